"""Contract: a plan says what fits, by compiling it, and what a config that does not fit needs."""

from __future__ import annotations

import json

import pytest

from jaxllm.cli import main

pytestmark = pytest.mark.slow

_CONFIG = """
from jaxllm.defaults import train_config

def get_config():
    config = train_config()
    config.init_from = "llm-jp/llm-jp-3-13b"
    config.model.update(dtype="bfloat16", remat="full")
    config.input.update(max_length=4096, rows=16)
    config.mesh.update(data=1, fsdp=-1)
    config.steps = 1000
    return config
"""


@pytest.fixture
def planned(tmp_path, capsys):
    """Runs `jaxllm plan` on a 13B model; returns the exit status and the JSON object."""
    pytest.importorskip("libtpu", reason="pip install -e '.[plan]'")
    path = tmp_path / "config.py"
    path.write_text(_CONFIG, encoding="utf-8")

    def plan(*flags):
        status = main(["plan", f"--config={path}", "--json", *flags])
        return status, json.loads(capsys.readouterr().out)

    return plan


def test_13b_on_8_v5e_chips_is_refused_with_what_it_needs(planned):
    status, record = planned("--topology=v5e:2x4", "--no_advice")
    assert status == 1
    assert record["fits"] is False
    assert (record["chips"], record["hbm_gib_per_chip"]) == (8, 16)
    # Weights and two moments in float32 alone are 12 bytes for each of 13.7 billion parameters.
    state = 12 * record["num_params"] / 8 / 2**30
    assert record["peak_gib_per_chip"] > state > record["hbm_gib_per_chip"]


def test_13b_on_16_v5p_chips_fits(planned):
    status, record = planned("--topology=v5p-32")
    assert status == 0
    assert record["fits"] is True
    assert (record["chips"], record["topology"]) == (16, "v5p:2x2x4")
    assert record["peak_gib_per_chip"] < record["hbm_gib_per_chip"]
    assert record["peak_gib_per_chip"] == pytest.approx(record["computed_gib"]["total"], rel=0.4)
    assert record["advice"] == []
    # Attention is the kernel that was meant.
    assert record["attention"] == "splash"
    assert record["kernels"] > 0
    # Every weight is gathered for each pass over it, in two bytes.
    gathered = sum(one["gib"] for one in record["collectives"] if one["axes"] == ["fsdp"])
    assert gathered > 2 * record["num_params"] / 2**30
    assert record["chip_hours"] > record["least"]["hours"] * 16 > 0
