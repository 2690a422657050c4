"""`jaxllm plan` as it is used: one config of each family compiled for chips that are not here."""

from __future__ import annotations

import importlib.util
import json

import pytest

from jaxllm.cli import main
from jaxllm.defaults import evaluate_config, train_config
from jaxllm.errors import UserError
from jaxllm.plan import plan

_SMALL = {
    "vocab_size": 4096,
    "hidden_size": 256,
    "num_layers": 2,
    "num_heads": 4,
    "num_kv_heads": 2,
    "head_dim": 64,
    "ffn_size": 512,
    "max_positions": 1024,
}
_GPT2 = {
    "norm": "layer",
    "activation": "gelu",
    "gated_mlp": False,
    "positions": "learned",
    "qkv_bias": True,
    "out_bias": True,
    "mlp_bias": True,
    "num_kv_heads": 4,
    "tie_embeddings": True,
}
_FAMILIES = {
    "llama": {},
    "gpt2": {"model.architecture": _SMALL | _GPT2},
    "qwen2": {"model.architecture": _SMALL | {"qkv_bias": True}},
    "qwen3": {"model.architecture": _SMALL | {"qk_norm": True}},
    "lora": {"lora.rank": 8},
    "dpo": {"objective": "dpo"},
    "tensor": {"mesh.fsdp": 2, "mesh.tensor": 2, "input.accumulation": 2},
}

with_compiler = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="pip install -e '.[plan]'"
)


def _config(changes=()):
    config = train_config()
    config.model.update(dtype="bfloat16", remat="dots", architecture=_SMALL)
    config.input.update(max_length=1024, rows=8)
    config.mesh.update(data=1, fsdp=-1)
    config.steps = 10
    for name, value in dict(changes).items():
        config.update_from_flattened_dict({name: value})
    return config


@pytest.mark.slow
@with_compiler
@pytest.mark.parametrize("family", _FAMILIES)
def test_every_family_is_compiled(family):
    record = plan(_config(_FAMILIES[family]), "v5e:2x2")
    assert record["fits"]
    assert record["chips"] == 4
    assert record["attention"] == "splash"
    assert record["kernels"] > 0
    axes = {axis for one in record["collectives"] for axis in one["axes"]}
    assert axes == ({"fsdp", "tensor"} if family == "tensor" else {"fsdp"})
    json.dumps(record)


@pytest.mark.slow
@with_compiler
@pytest.mark.parametrize("topology", ["v4-8", "v5p:2x2x1", "v6e:2x2", "tpu7x:2x2x1", "v5e:1x1"])
def test_every_chip_is_compiled_for(topology):
    record = plan(_config(), topology)
    assert record["fits"]
    assert record["kernels"] > 0


@pytest.mark.slow
@with_compiler
def test_slices_are_joined_along_data():
    record = plan(_config({"mesh.data": 2}), "v5e:2x2", num_slices=2)
    assert record["fits"]
    assert record["chips"] == 8
    between = {tuple(one["axes"]) for one in record["collectives"] if one["gib_between_slices"]}
    assert all("data" in axes for axes in between)
    with pytest.raises(UserError, match=r"multiple of 2"):
        plan(_config(), "v5e:2x2", num_slices=2)


@pytest.mark.slow
@with_compiler
def test_a_search_ranks_what_fits():
    record = plan(_config(), "v5e:2x2", searched=3)
    assert 0 < len(record["search"]) <= 3
    seconds = [one["step_s"] for one in record["search"]]
    assert seconds == sorted(seconds)


@pytest.mark.slow
@with_compiler
def test_a_config_of_evaluate_is_planned_with_the_change_that_makes_it_fit(tmp_path, capsys):
    path = tmp_path / "config.py"
    path.write_text(
        "from jaxllm.defaults import evaluate_config\n"
        "def get_config():\n"
        "    config = evaluate_config()\n"
        "    config.evals.mini = {'type': 'generate', 'suite': 'mini/v1'}\n"
        "    return config\n"
    )
    command = ["plan", f"--config={path}", "--model=llm-jp/llm-jp-3-1.8b", "--topology=v5e:1x1"]
    assert main([*command, "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    # Weights in float32, and their layers once more.
    weights = 4 * record["num_params"] / 2**30
    assert weights < record["weights_gib"] < 2 * weights
    assert "--config.model.dtype=bfloat16" in record["advice"][0]
    assert "fits" in record["advice"][0]
    narrow = ["--config.model.dtype=bfloat16", "--config.model.param_dtype=bfloat16"]
    assert main([*command, *narrow]) == 0
    said = capsys.readouterr().out
    assert "1 chip, data=1" in said
    assert "fits" in said


@pytest.mark.parametrize(
    ("config", "settings", "said"),
    [
        (evaluate_config(), {"searched": 3}, "--search are for a config of jaxllm train"),
        (train_config(), {"model": "llm-jp/llm-jp-3-13b"}, "here it is config.init_from"),
    ],
)
def test_what_is_of_the_other_kind_of_config_is_refused(config, settings, said):
    with pytest.raises(UserError, match=said):
        plan(config, "v5e:2x2", **settings)


@pytest.mark.slow
@with_compiler
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "no entry that decodes"),
        ({"evals.mini": {"type": "generate"}}, "the model is not named"),
        ({"evals.mini": {"type": "generate"}, "model.type": "api"}, "runs elsewhere"),
    ],
)
def test_an_evaluation_that_cannot_be_planned_says_why(changes, said):
    config = evaluate_config()
    for name, value in changes.items():
        config.update_from_flattened_dict({name: value})
    with pytest.raises(UserError, match=said):
        plan(config, "v5e:2x2")


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is not None, reason="libtpu is here")
def test_without_the_compiler_it_says_what_to_install(capsys):
    assert main(["plan", "--config=configs/smoke_cpu.py", "--topology=v5e:2x2"]) == 2
    assert "pip install -e '.[plan]'" in capsys.readouterr().err
