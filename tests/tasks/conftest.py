"""Two corpora of the embedded suite, prepared once."""

from __future__ import annotations

import pytest

from jaxllm import corpora


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    corpora.prepare(["mini/nli", "mini/qa"], data_dir=folder)
    return folder
