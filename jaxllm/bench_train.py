"""`jaxllm bench train`: the speed of supervised tuning, with the step that `jaxllm train` runs."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import psutil
from jax.sharding import NamedSharding

from jaxllm.defaults import mixture_entry, train_config
from jaxllm.errors import UserError
from jaxllm.input.device import prefetch
from jaxllm.input.id_pairs import holds_ids, read_id_pairs
from jaxllm.input.mixture import group_loss_capacity, read_mixture
from jaxllm.input.plan import Plan, make_plan, plan_source
from jaxllm.input.tokens import TokenizedSource
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import logical_axes
from jaxllm.objectives.optimizer import OptimizerSettings, learning_rate, make_optimizer
from jaxllm.objectives.sft import sft_loss
from jaxllm.objectives.train_state import abstract_state, fresh_state, make_train_step
from jaxllm.observe.flops import attention_flops, logits_flops, matmul_flops_per_token
from jaxllm.observe.memory import peak_rss_mb
from jaxllm.observe.peaks import matmul_peak
from jaxllm.parallel.mesh import make_mesh
from jaxllm.parallel.rules import num_batch_parts, partition_spec
from jaxllm.paths import resolve_data_dir
from jaxllm.weights.load import Model, load_model


def bench_train(
    model: str, data: str, *, rows: int, length: int, max_steps: int, dtype: str
) -> dict[str, Any]:
    """One epoch of completion-only SFT, or its first `max_steps`; the first step is not timed.

    Lines of `data` are `prompt` and `completion`, or any other record that a mixture takes; lines
    of `prompt_ids` and `completion_ids` need no tokenizer.

    Returns:
        `tokens_per_s` counts real tokens (no padding), `trained_tokens_per_s` those with loss.
        `needed_gflop` are the operations of the timed steps that the mathematics needs: forward
        and twice that backward, causal attention as half of its square, the output projection
        where there is loss, nothing computed twice. `peak_share` is that over the time, as a share
        of the matrix-product peak in `dtype`, measured in this run. `input_wait` is the share of
        time in which no batch was ready. `startup_s` runs from the start of this process, imports
        and compilation included, to the end of the first step.

    Raises:
        UserError: a model or data that cannot work, or fewer than two steps.
    """
    mesh = make_mesh()
    parts = num_batch_parts(mesh)
    if rows % parts:
        raise UserError(f"--rows={rows}: {parts} devices share the rows; use a multiple of {parts}")
    by_ids = holds_ids(data)
    loaded = load_model(model, dtype=dtype, mesh=mesh, needs_tokenizer=not by_ids)
    read = _read_ids if by_ids else _read_texts
    plan, sources = read(loaded, data, rows=rows, length=length)
    steps = min(plan.num_steps, max_steps or plan.num_steps)
    if steps < 2:
        raise UserError(
            f"{data} makes {steps} step of {rows} rows of {length}, and the first is not timed: "
            "more data, a smaller --rows or a larger --max_steps"
        )
    settings = OptimizerSettings()
    optimizer = make_optimizer(settings, steps, logical_axes(loaded.config))
    with jax.set_mesh(mesh):
        target = abstract_state(loaded.config, optimizer, mesh)
        state = fresh_state(loaded.params, optimizer, target)
        train_step = make_train_step(
            loaded.config,
            optimizer,
            functools.partial(
                sft_loss,
                loss_capacity=group_loss_capacity(plan, sources, num_groups=parts, accumulation=1),
                loss_groups=parts,
            ),
            learning_rate(settings, steps),
            target,
        )
        layout = NamedSharding(mesh, partition_spec((None, "batch", "length")))
        logged = []
        with prefetch(plan, sources, 0, steps, layout) as batches:
            for index, batch in batches:
                state, metrics = train_step(state, {}, batch)
                if index == 0:
                    jax.block_until_ready(state)
                    startup = time.time() - psutil.Process().create_time()
                    waited, clock = batches.wait_seconds, time.monotonic()
                logged.append(metrics)
            jax.block_until_ready(state)
            seconds = time.monotonic() - clock
            waited = batches.wait_seconds - waited
    tokens, trained = (
        sum(float(metrics[name]) for metrics in logged[1:]) for name in ("tokens", "trained_tokens")
    )
    rss = peak_rss_mb()
    needed = _needed_flops(loaded.config, plan, sources, range(1, steps))
    peak = matmul_peak(dtype)
    return {
        "tokens_per_s": round(tokens / seconds, 1),
        "trained_tokens_per_s": round(trained / seconds, 1),
        "peak_share": round(needed / seconds / peak, 4),
        "peak_gflops": round(peak / 1e9, 1),
        "needed_gflop": round(needed / 1e9, 3),
        "padding": round(plan.padding_share, 4),
        "input_wait": round(waited / seconds, 4),
        "peak_rss_mb": round(rss),
        "startup_s": round(startup, 2),
        "steps": steps,
        "seconds": round(seconds, 2),
        "first_loss": round(float(logged[0]["loss"]), 4),
        "last_loss": round(float(logged[-1]["loss"]), 4),
    }


def _read_texts(
    model: Model, data: str, *, rows: int, length: int
) -> tuple[Plan, Sequence[TokenizedSource]]:
    config = train_config()
    config.mixture.data = mixture_entry(f"jsonl:{data}", template="plain")
    config.input.update(rows=rows, max_length=length, truncation="truncate")
    config.epochs = 1.0
    mixture = read_mixture(config, model.tokenizer, data_dir=resolve_data_dir())
    return mixture.plan, mixture.sources


def _read_ids(
    model: Model, data: str, *, rows: int, length: int
) -> tuple[Plan, Sequence[TokenizedSource]]:
    source = read_id_pairs(data, vocab_size=model.config.vocab_size, max_length=length + 1)
    plan = make_plan(
        [plan_source(source)], seed=0, rows_per_step=rows, row_length=length, num_epochs=1
    )
    return plan, [source]


def _needed_flops(
    config: ModelConfig, plan: Plan, sources: Sequence[TokenizedSource], steps: range
) -> float:
    first, stop = (plan.row_offsets[step * plan.rows_per_step] for step in (steps[0], steps.stop))
    lengths: list[int] = []
    trained = 0
    for index, source in enumerate(sources):
        mine = plan.source_ids[first:stop] == index
        chosen = plan.example_ids[first:stop][mine]
        lengths += (source.lengths[chosen] - 1).tolist()
        per_example = np.add.reduceat(source.loss_weights > 0, source.offsets[:-1], dtype=np.int64)
        trained += int(per_example[chosen].sum())
    forward = sum(lengths) * matmul_flops_per_token(config)
    forward += attention_flops(config, lengths)
    forward += logits_flops(config, trained)
    return 3.0 * forward
