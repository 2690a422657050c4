"""The loss curve of TRL's SFTTrainer, step by step, and the one that is kept of it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("trl")
pytestmark = [
    pytest.mark.parity,
    # What the libraries complain about is not ours.
    pytest.mark.filterwarnings("default"),
]

_SPEC = importlib.util.spec_from_file_location(
    "sft_curve", Path(__file__).parents[1] / "goldens" / "sft_curve.py"
)
sft_curve = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sft_curve)


def test_a_hundred_losses_are_trls(tmp_path):
    inputs = sft_curve.write_inputs(tmp_path)
    theirs = sft_curve.trl_losses(*inputs, tmp_path)
    ours = sft_curve.our_losses(*inputs, tmp_path)
    assert len(theirs) == len(ours) == sft_curve.NUM_STEPS
    assert theirs[-1] < theirs[0] - 1
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    kept = json.loads(sft_curve.CURVE.read_text())["losses"]
    np.testing.assert_allclose(theirs, kept, atol=1e-3)
