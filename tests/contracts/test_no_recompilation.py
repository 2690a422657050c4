"""Contract: a training run compiles its step once."""

from __future__ import annotations

import logging

import jax
import pytest

from jaxllm.train import train

_CHANGES = {
    "plain": {},
    "accumulation": {"input.rows": 16, "input.accumulation": 2},
    "frozen": {"optimizer.freeze": ("embed.*",)},
    "lora": {"lora.rank": 4},
    "lora int8": {"lora.rank": 4, "lora.base": "int8"},
}


def _num_steps_compiled(records) -> int:
    return sum(record.getMessage().startswith("Compiling jit(step)") for record in records)


@pytest.mark.parametrize("change", _CHANGES)
def test_no_recompilation(tiny_train_config, tiny_run, tmp_path, caplog, change):
    config = tiny_train_config
    config.init_from = str(tiny_run)
    config.steps, config.checkpoint.every = 6, 3
    config.update_from_flattened_dict(_CHANGES[change])
    with jax.log_compiles(), caplog.at_level(logging.WARNING, "jax"):
        train(config, tmp_path / "run")
        assert _num_steps_compiled(caplog.records) == 1
        # Nor does a resumed run compile twice.
        (tmp_path / "run" / "checkpoints" / "6").rename(tmp_path / "6")
        caplog.clear()
        train(config, tmp_path / "run")
    assert _num_steps_compiled(caplog.records) == 1
