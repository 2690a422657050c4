"""DPO on packed rows against the papers' formulas on the same answers, each in a row of its own."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxllm.input.batches import make_batch
from jaxllm.input.mixture import loss_capacity
from jaxllm.input.plan import make_plan
from jaxllm.input.preferences import max_pairs, pair_source, unfold_pairs
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource
from jaxllm.models.decoder import forward, init_params, project_logits
from jaxllm.objectives.dpo import REFERENCE, DpoSettings, dpo_loss, share_sft_weights

# Prompt, chosen and rejected tokens of each pair; packed into rows of 64.
_PAIRS = ((4, 6, 2), (3, 20, 9), (10, 1, 1), (2, 5, 14), (7, 12, 3), (1, 2, 30), (5, 8, 8))


@pytest.fixture(scope="module")
def source(tiny_config):
    rng = np.random.default_rng(0)
    ids, weights = [], []
    for prompt, chosen, rejected in _PAIRS:
        asked = rng.integers(0, tiny_config.vocab_size, prompt)
        for size in (chosen, rejected):
            ids.append([*asked, *rng.integers(0, tiny_config.vocab_size, size)])
            weights.append([0.0] * prompt + [1.0] * size)
    return TokenizedSource(
        name="pairs",
        ids=np.concatenate(ids).astype(np.int32),
        loss_weights=np.concatenate(weights).astype(np.float32),
        offsets=np.cumsum([0, *map(len, ids)]),
        example_ids=tuple(map(str, range(len(ids)))),
        counts=TokenizeCounts(
            read=len(_PAIRS), kept=len(_PAIRS), truncated=0, dropped_long=0, dropped_untrained=0
        ),
    )


@pytest.fixture(scope="module")
def models(tiny_config, tiny_params):
    """The weights to train, and those of the reference beside them."""
    other = jax.jit(init_params, static_argnums=0)(tiny_config, jax.random.key(1))
    near = jax.tree.map(lambda a, b: 0.95 * a + 0.05 * b, tiny_params, other)
    return {**near, REFERENCE: tiny_params}


def _packed(config, source, models, settings):
    """Mean loss, its gradients and logged means of one epoch in packed rows, step by step."""
    plan = unfold_pairs(
        make_plan([pair_source(source)], seed=0, rows_per_step=2, row_length=64, num_epochs=1)
    )
    assert (plan.num_steps, max_pairs(plan)) == (2, 3)
    batches = [make_batch(plan, step, [source]) for step in range(plan.num_steps)]
    batches = {name: jnp.stack([batch[name] for batch in batches]) for name in batches[0]}
    batches = share_sft_weights(batches)
    # As though the first pairs of rows were of one source, the second ones of another, and so on.
    batches["source_ids"] = jnp.maximum(batches["segment_ids"] - 1, 0) // 2

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def run(models, batch):
        total, *rest = dpo_loss(
            models,
            config,
            batch,
            settings=settings,
            pairs_per_row=max_pairs(plan),
            loss_capacity=loss_capacity(plan, [source]),
            num_sources=3,
        )
        return total, rest

    parts = [
        run(models, {name: array[step] for name, array in batches.items()})
        for step in range(plan.num_steps)
    ]
    (total, (pairs, extras)), grads = jax.tree.map(lambda *leaves: sum(leaves), *parts)
    assert float(pairs) == len(_PAIRS)
    slots = np.diff(plan.row_offsets) // 2
    assert extras["source_weights"].tolist() == [np.sum(slots > slot) for slot in range(3)]
    return jax.tree.map(lambda leaf: leaf / pairs, (total, grads, extras))


def _written_out(config, source, models, settings):
    """The same from the formulas, every answer in a row of its own."""
    rows = np.split(np.arange(len(source.ids)), source.offsets[1:-1])
    ids, trained = np.zeros((2, len(rows), source.lengths.max()), np.int32)
    for row, places in enumerate(rows):
        ids[row, : len(places)] = source.ids[places]
        trained[row, : len(places)] = source.loss_weights[places]

    def log_probs(params):
        positions = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        hidden = forward(params, config, ids, positions, np.ones_like(ids))
        found = jax.nn.log_softmax(project_logits(params, config, hidden))[:, :-1]
        return jnp.take_along_axis(found, ids[:, 1:, None], axis=-1)[..., 0] * trained[:, 1:]

    def mean(params):
        policy, reference = log_probs(params), log_probs(models[REFERENCE])
        ratios = jnp.sum(policy - reference, axis=1)
        if settings.loss == "ipo":
            ratios = ratios / trained.sum(axis=1)
            losses = (ratios[0::2] - ratios[1::2] - 1 / (2 * settings.beta)) ** 2
        else:
            right = jax.nn.sigmoid(settings.beta * (ratios[0::2] - ratios[1::2]))
            losses = -(1 - settings.label_smoothing) * jnp.log(right)
            losses -= settings.label_smoothing * jnp.log(1 - right)
        chosen_loss = -jnp.sum(policy[0::2]) / trained[0::2].sum()
        return jnp.mean(losses) + settings.sft_weight * chosen_loss

    trained_params = {name: part for name, part in models.items() if name != REFERENCE}
    return jax.jit(jax.value_and_grad(mean))(trained_params)


@pytest.mark.parametrize(
    "settings",
    [
        DpoSettings(loss="ipo", beta=0.3),
        DpoSettings(beta=0.5, label_smoothing=0.2, sft_weight=0.7),
    ],
    ids=["ipo", "sigmoid"],
)
def test_packed_rows_have_the_loss_of_the_papers(tiny_config, source, models, settings):
    value, grads, logged = _packed(tiny_config, source, models, settings)
    wanted, wanted_grads = _written_out(tiny_config, source, models, settings)
    assert float(value) == pytest.approx(float(wanted), rel=1e-5)
    assert abs(float(logged["rewards/margins"])) > 0.1
    assert float(jnp.sum(logged["source_losses"])) == pytest.approx(float(wanted), rel=1e-5)
    assert len(set(logged["source_losses"].tolist())) == 3
    # No gradient reaches the reference.
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads.pop(REFERENCE)))
    largest = max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(wanted_grads))
    assert largest > 1e-2
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5 * largest)
    jax.tree.map(close, grads, wanted_grads)
