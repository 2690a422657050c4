"""The loss of each source: of what a step held, and over the steps between two lines of the log."""

from __future__ import annotations

import functools
import json

import jax
import numpy as np
import pytest

import jaxllm.train as train_verb
from jaxllm.defaults import mixture_entry
from jaxllm.input.batches import make_batch
from jaxllm.input.mixture import read_mixture
from jaxllm.observe.writer import read_scalars
from jaxllm.parallel.mesh import make_mesh
from jaxllm.text.tokenizer import load_tokenizer
from jaxllm.training.source_losses import SourceLosses


def test_a_source_is_weighted_by_its_tokens_and_silent_without_any() -> None:
    losses = SourceLosses(["a", "b", "never"])
    # Of eight tokens six are of `a`, whose loss is 2, and two of `b`, whose loss is 8.
    losses.add(
        {
            "weight": 8,
            "source_losses": np.array([1.5, 2.0, 0.0]),
            "source_weights": np.array([0.75, 0.25, 0.0]),
        }
    )
    metrics = {
        "loss": 1.0,
        "weight": 2,
        "source_losses": np.array([1.0, 0.0, 0.0]),
        "source_weights": np.array([1.0, 0.0, 0.0]),
    }
    resumed = SourceLosses(["a", "b", "never"], json.loads(json.dumps(losses.state)))
    resumed.add(metrics)
    assert metrics == {"loss": 1.0}
    assert resumed.read() == {"loss/a": (6 * 2 + 2 * 1) / 8, "loss/b": 8.0}
    assert resumed.read() == {}


@pytest.fixture
def config(tiny_train_config, tmp_path):
    """Two sources, of which the second is in every other step or so."""
    path = tmp_path / "rare.jsonl"
    records = [{"prompt": f"{n}は？", "completion": "犬" * (n + 1)} for n in range(4)]
    path.write_text("\n".join(json.dumps(record) for record in records))
    tiny_train_config.mixture.rare = mixture_entry(f"jsonl:{path}")
    tiny_train_config.input.packing = "none"
    return tiny_train_config


def test_the_losses_of_sources_make_up_the_loss(config, tmp_path, monkeypatch) -> None:
    # On a few cores eight devices mostly wait for one another.
    one = functools.partial(make_mesh, devices=jax.devices()[:1])
    monkeypatch.setattr(train_verb, "make_mesh", one)
    train_verb.train(config, tmp_path / "every")
    rows = {row["step"]: row for row in read_scalars(tmp_path / "every")}
    mixture = read_mixture(config, load_tokenizer(config.tokenizer), data_dir=tmp_path)
    names = [source.name for source in mixture.sources]
    weights = np.zeros((config.steps, len(names)))
    losses = np.zeros_like(weights)
    for step in range(config.steps):
        batch = make_batch(mixture.plan, step, mixture.sources)
        for number, name in enumerate(names):
            weights[step, number] = batch["loss_weights"][batch["source_ids"] == number].sum()
            assert (weights[step, number] > 0) == (f"loss/{name}" in rows[step + 1])
            losses[step, number] = rows[step + 1].get(f"loss/{name}", 0.0)
        together = (losses[step] * weights[step]).sum() / weights[step].sum()
        assert together == pytest.approx(rows[step + 1]["loss"], rel=1e-6)
    assert (weights == 0).any()
    # Steps between two lines of the log count by their tokens, also when a run goes on amid them.
    config.log_every = 5
    config.checkpoint.every = 4
    train_verb.train(config, tmp_path / "rarely")
    (tmp_path / "rarely" / "checkpoints" / "12").rename(tmp_path / "12")
    (tmp_path / "rarely" / "metrics").rename(tmp_path / "metrics")
    train_verb.train(config, tmp_path / "rarely")
    (resumed,) = [row for row in read_scalars(tmp_path / "rarely") if row["step"] == 10]
    for number, name in enumerate(names):
        total = (losses * weights)[5:10, number].sum() / weights[5:10, number].sum()
        assert resumed[f"loss/{name}"] == pytest.approx(total, rel=1e-6)
