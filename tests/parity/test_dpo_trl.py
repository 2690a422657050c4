"""Losses, gradients and logged numbers of TRL's DPOTrainer, on our packed rows."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxllm.input.batches import make_batch
from jaxllm.input.plan import make_plan
from jaxllm.input.preferences import max_pairs, pair_source, tokenize_pairs, unfold_pairs
from jaxllm.input.sources import read_source
from jaxllm.objectives.dpo import REFERENCE, DpoSettings, dpo_loss, share_sft_weights
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import load_tokenizer
from jaxllm.weights.load import load_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
trl = pytest.importorskip("trl")
pytestmark = [
    pytest.mark.parity,
    # What the libraries complain about is not ours.
    pytest.mark.filterwarnings("default"),
]

_SPEC = importlib.util.spec_from_file_location(
    "make_goldens", Path(__file__).parents[1] / "goldens" / "make_goldens.py"
)
goldens = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(goldens)

_LOGGED = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies")
_LOGGED = (*_LOGGED, "logps/chosen", "logps/rejected")


def _pairs(number: int) -> list[dict[str, str]]:
    rng = np.random.default_rng(0)

    def words(most: int) -> str:
        return "".join(f" w{word}" for word in rng.integers(10, 60, rng.integers(1, most)))

    return [
        {"prompt": words(8).strip(), "chosen": words(12), "rejected": words(12)}
        for _ in range(number)
    ]


def _save(folder: Path, name: str, noise: float) -> Path:
    """A folder of the tiny model `name`, its weights a little way off."""
    goldens.write_folder(folder, name)
    model = goldens.transformers_model(goldens.CONFIGS[name])
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += noise * torch.randn_like(weight)
    model.save_pretrained(folder)
    return folder


def _trl(policy, reference, pairs, tmp_path, **settings):
    """TRL's loss, its gradients in a folder of weights, and what it logs."""
    import datasets

    arguments = trl.DPOConfig(
        output_dir=str(tmp_path / "trl"),
        per_device_train_batch_size=len(pairs),
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        report_to="none",
        max_length=None,
        **settings,
    )
    load = functools.partial(transformers.AutoModelForCausalLM.from_pretrained, dtype="float32")
    trainer = trl.DPOTrainer(
        model=load(policy),
        ref_model=load(reference),
        args=arguments,
        train_dataset=datasets.Dataset.from_list(pairs),
        processing_class=transformers.PreTrainedTokenizerFast.from_pretrained(policy),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    logged = {name: trainer._metrics["train"][name][0] for name in _LOGGED}
    model = trainer.model
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.grad)
    gradients = tmp_path / "gradients"
    model.save_pretrained(gradients)
    for file in policy.glob("token*"):
        (gradients / file.name).write_bytes(file.read_bytes())
    return loss.item(), load_model(gradients).params, logged


def _ours(policy, reference, pairs, tmp_path, **settings):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    source = tokenize_pairs(
        read_source(f"jsonl:{path}", data_dir=tmp_path),
        get_template("plain"),
        load_tokenizer(policy),
        name="pairs",
        row_length=64,
        bos="never",
    )
    plan = make_plan([pair_source(source)], seed=0, rows_per_step=8, row_length=64, num_epochs=1)
    plan = unfold_pairs(plan)
    assert plan.num_steps == 1
    assert len(pairs) == 1 or max_pairs(plan) > 1
    batch = share_sft_weights(make_batch(plan, 0, [source]))
    model = load_model(policy)
    loss = functools.partial(
        dpo_loss, settings=DpoSettings(**settings), pairs_per_row=max_pairs(plan)
    )

    def mean(params):
        beside = {**params, REFERENCE: load_model(reference).params}
        total, weight, extras = loss(beside, model.config, batch)
        return total / weight, {name: extras[name] / weight for name in _LOGGED}

    (value, logged), grads = jax.jit(jax.value_and_grad(mean, has_aux=True))(model.params)
    return float(value), grads, {name: float(value) for name, value in logged.items()}


@pytest.mark.parametrize("name", ["llama_gqa_wide_heads", "gpt2_gelu_erf"])
@pytest.mark.parametrize(
    ("number", "theirs", "ours"),
    [
        (12, {"beta": 0.1}, {"beta": 0.1}),
        (12, {"beta": 0.3, "loss_type": ["ipo"]}, {"beta": 0.3, "loss": "ipo"}),
        (
            12,
            {"beta": 0.1, "loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.7]},
            {"beta": 0.1, "sft_weight": 0.7},
        ),
        # With a single pair "aot" sorts nothing and is conservative DPO.
        (
            1,
            {"beta": 0.5, "loss_type": ["aot"], "label_smoothing": 0.2},
            {"beta": 0.5, "label_smoothing": 0.2},
        ),
    ],
    ids=["sigmoid", "ipo", "sft", "conservative"],
)
def test_loss_and_gradients_are_trls(name, number, theirs, ours, tmp_path):
    policy, reference = (
        _save(tmp_path / folder, name, noise) for folder, noise in (("policy", 0.05), ("base", 0.0))
    )
    pairs = _pairs(number)

    loss, grads, logged = _trl(policy, reference, pairs, tmp_path, **theirs)
    our_loss, our_grads, our_logged = _ours(policy, reference, pairs, tmp_path, **ours)

    assert our_loss == pytest.approx(loss, rel=1e-5)
    for key in _LOGGED:
        assert our_logged[key] == pytest.approx(logged[key], rel=1e-4, abs=1e-5), key
    assert abs(logged["rewards/margins"]) > 1e-2
    largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(grads))
    assert largest > 1e-2
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5 * largest)
    jax.tree.map(close, our_grads, grads)
