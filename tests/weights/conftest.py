"""Tiny Hugging Face models for the tests of this folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny():
    """`tests/goldens/make_goldens.py`: tiny models of every family."""
    path = Path(__file__).parents[1] / "goldens" / "make_goldens.py"
    spec = importlib.util.spec_from_file_location("make_goldens", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
