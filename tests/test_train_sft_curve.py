"""Training against TRL's loss curve as it is kept, without TRL."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

_SPEC = importlib.util.spec_from_file_location(
    "sft_curve", Path(__file__).parent / "goldens" / "sft_curve.py"
)
sft_curve = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sft_curve)


@pytest.mark.slow
def test_a_hundred_losses_are_those_that_trl_had(tmp_path):
    ours = sft_curve.our_losses(*sft_curve.write_inputs(tmp_path), tmp_path)
    kept = json.loads(sft_curve.CURVE.read_text())["losses"]
    np.testing.assert_allclose(ours, kept, atol=1e-3)
