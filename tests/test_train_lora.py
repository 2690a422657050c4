"""Training adapters: what is saved, what stays, where they go, and what is refused."""

from __future__ import annotations

import json
import math
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from jaxllm.config import load_config
from jaxllm.convert import convert
from jaxllm.defaults import mixture_entry
from jaxllm.errors import UserError
from jaxllm.evaluate import evaluate
from jaxllm.models.lora import is_adapter
from jaxllm.models.partition import leaf_names
from jaxllm.observe.writer import read_scalars
from jaxllm.train import train
from jaxllm.weights.load import load_adapter, load_model


@pytest.fixture
def lora_config(tiny_run, tiny_questions):
    """Eight steps of adapters on the model of `tiny_run`, evaluated on its own questions."""
    config = load_config(tiny_run)
    with config.unlocked():
        config.init_from, config.tokenizer = str(tiny_run), ""
        config.model.architecture = {}
        config.steps = 8
        config.optimizer.update(peak_lr=1e-2)
        config.lora.update(rank=4, alpha=8.0, dropout=0.1)
        config.evals.held_out = {
            "type": "loss",
            "source": f"jsonl:{tiny_questions}",
            "template": "llm_jp_v1.3",
            "bos": "never",
            "max_length": 128,
        }
    return config


@pytest.fixture(scope="module")
def lora_run(tmp_path_factory, request, tiny_run, tiny_questions):
    workdir = tmp_path_factory.mktemp("runs") / "lora"
    train(lora_config.__wrapped__(tiny_run, tiny_questions), workdir)
    return workdir


def _leaves(tree):
    return dict(zip(leaf_names(tree), jax.device_get(jax.tree.leaves(tree)), strict=True))


def _stored_numbers(folder):
    """How many numbers an item of a checkpoint holds; its bytes depend on how it was cut."""
    with ocp.StandardCheckpointer() as reader:
        found = reader.metadata(folder).item_metadata.tree
    return sum(math.prod(array.shape) for array in jax.tree.leaves(found))


def test_only_adapters_are_trained_and_saved(lora_run, tiny_run):
    rows = read_scalars(lora_run)
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < losses[0] - 0.05
    adapter = load_adapter(lora_run)
    assert all(map(is_adapter, leaf_names(adapter.params)))
    assert adapter.base.source == str(tiny_run / "checkpoints" / "12")
    assert _stored_numbers(lora_run / "checkpoints" / "8" / "params") == 4096
    # AdamW's two moments of them, and a few counts.
    assert 0 <= _stored_numbers(lora_run / "checkpoints" / "8" / "rest") - 2 * 4096 < 16
    before, after = _leaves(load_model(tiny_run).params), _leaves(load_model(lora_run).params)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {name for name in before if name.endswith("kernel")}


def test_the_merged_model_has_the_loss_that_training_saw(lora_run, lora_config, tmp_path):
    seen = next(row for row in read_scalars(lora_run) if "eval/held_out/loss" in row)
    found = evaluate(lora_config, lora_run, tmp_path)
    assert found["held_out"]["loss"] == pytest.approx(seen["eval/held_out/loss"], abs=1e-5)


def test_an_adapter_goes_to_peft_and_comes_back(lora_run, tiny_run, tmp_path):
    convert(tiny_run, tmp_path / "base", to="hf")
    assert convert(lora_run, tmp_path / "peft", to="peft") == 4096
    fields = json.loads((tmp_path / "peft" / "adapter_config.json").read_text())
    assert fields["target_modules"] == [
        f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")
    ]
    assert (fields["r"], fields["lora_alpha"], fields["lora_dropout"]) == (4, 8.0, 0.1)
    merged = _leaves(load_model(lora_run).params)
    # On the run it came from, and on that model as a Hugging Face folder.
    for base in (fields["base_model_name_or_path"], str(tmp_path / "base")):
        text = json.dumps(fields | {"base_model_name_or_path": base})
        (tmp_path / "peft" / "adapter_config.json").write_text(text)
        for name, leaf in _leaves(load_model(tmp_path / "peft").params).items():
            np.testing.assert_allclose(leaf, merged[name], atol=1e-6, err_msg=name)
    with pytest.raises(UserError, match="no adapters of a run"):
        convert(tiny_run, tmp_path / "other", to="peft")
    with pytest.raises(UserError, match="float32"):
        convert(lora_run, tmp_path / "other", to="peft", dtype="bfloat16")


def test_a_base_in_eight_bits_is_trained_on_and_merged_in_full(lora_config, tmp_path):
    lora_config.lora.update(base="int8")
    lora_config.mesh.update(data=2, fsdp=2, tensor=2)
    train(lora_config, tmp_path / "run")
    losses = [row["loss"] for row in read_scalars(tmp_path / "run") if "loss" in row]
    assert losses[-1] < losses[0] - 0.05
    model = load_model(tmp_path / "run")
    assert model.config.kernels == "float"
    assert model.params["blocks"]["mlp"]["up"]["kernel"].dtype == "float32"


def test_preferences_move_adapters_too(lora_config, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pair = {"chosen": "はい", "rejected": "いいえ"}
    lines = [json.dumps({"prompt": f"質問：{number}", **pair}) for number in range(32)]
    pairs.write_text("\n".join(lines) + "\n")
    with lora_config.unlocked():
        lora_config.objective = "dpo"
        lora_config.dpo.reference = "live"
        lora_config.mixture = {"pairs": mixture_entry(f"jsonl:{pairs}", template="plain")}
    train(lora_config, tmp_path / "run")
    rows = [row for row in read_scalars(tmp_path / "run") if "loss" in row]
    # Adapters begin without effect: the first loss is that of the reference against itself.
    assert rows[0]["loss"] == pytest.approx(math.log(2), abs=0.02)
    assert rows[-1]["rewards/margins"] > rows[0]["rewards/margins"] + 0.01
    assert all(map(is_adapter, leaf_names(load_adapter(tmp_path / "run").params)))


def test_frozen_adapters_are_kept_too(lora_config, tmp_path):
    lora_config.optimizer.freeze = ("*.lora.a",)
    lora_config.steps = 2
    train(lora_config, tmp_path)
    adapter = load_adapter(tmp_path).params["blocks"]["mlp"]["up"]["lora"]
    assert np.any(adapter["a"])
    assert np.any(adapter["b"])
    train(lora_config, tmp_path)  # resumes


def test_a_base_that_changed_is_refused(lora_config, tiny_run, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(tiny_run, base)
    lora_config.init_from = str(base)
    lora_config.steps = 2
    train(lora_config, tmp_path / "run")
    convert(tiny_run, tmp_path / "other", to="hf", dtype="bfloat16")
    convert(tmp_path / "other", base / "checkpoints" / "12", to="orbax", overwrite=True)
    with pytest.raises(UserError, match="trained on other weights than those of"):
        load_model(tmp_path / "run")
    lora_config.init_from = str(tmp_path / "other")
    with pytest.raises(UserError, match=r"trained on other weights .* in a new workdir"):
        train(lora_config, tmp_path / "run")
    shutil.rmtree(base)
    with pytest.raises(UserError, match="adapts a model that cannot be loaded"):
        load_model(tmp_path / "run")


@pytest.mark.parametrize(
    "change, named",
    [
        ({"alpha": 16.0}, "adapters with alpha=8.0, config.lora.alpha now gives 16.0"),
        ({"rslora": True}, "rslora=False"),
        ({"base": "int8"}, "a base in float"),
        ({"rank": 0}, r"holds adapters and this run trains whole models"),
    ],
)
def test_adapters_of_another_kind_are_not_gone_on_with(lora_run, lora_config, change, named):
    lora_config.lora.update(change)
    with pytest.raises(UserError, match=named):
        train(lora_config, lora_run)


@pytest.mark.parametrize(
    "change, named",
    [
        ({"targets": ("c_attn",)}, r"'c_attn' is no layer .* q_proj, k_proj, v_proj, o_proj"),
        ({"targets": ("embed_tokens",)}, "'embed_tokens' is no layer"),  # it is tied
        ({"targets": ()}, "targets is empty"),
        ({"rank": -1}, "rank=-1"),
        ({"alpha": 0.0}, "alpha=0.0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"base": "int4"}, "base='int4'"),
    ],
)
def test_settings_that_cannot_work_are_named(lora_config, tmp_path, change, named):
    lora_config.lora.update(change)
    with pytest.raises(UserError, match=named):
        train(lora_config, tmp_path)


def test_adapters_need_a_model(lora_config, tmp_path):
    lora_config.init_from = ""
    with pytest.raises(UserError, match="adapters need a model to adapt"):
        train(lora_config, tmp_path)
