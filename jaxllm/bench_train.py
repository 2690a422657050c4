"""`jaxllm bench train`: the speed of supervised tuning, with the step that `jaxllm train` runs."""

from __future__ import annotations

import time
from typing import Any

import jax
import psutil
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from jaxllm.defaults import mixture_entry, train_config
from jaxllm.errors import UserError
from jaxllm.input.device import prefetch
from jaxllm.input.flops import PlanFlops
from jaxllm.input.id_pairs import holds_ids, read_id_pairs
from jaxllm.input.mixture import Mixture, read_mixture
from jaxllm.input.plan import make_plan, plan_source
from jaxllm.objectives.objective import data_facts, make_objective
from jaxllm.objectives.train_program import make_train_program
from jaxllm.objectives.train_state import fresh_state
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
    config = train_config()
    config.input.update(rows=rows, max_length=length, truncation="truncate")
    config.epochs = 1.0
    mixture = _read_ids(loaded, data, config) if by_ids else _read_texts(loaded, data, config)
    plan, sources = mixture.plan, mixture.sources
    steps = min(plan.num_steps, max_steps or plan.num_steps)
    if steps < 2:
        raise UserError(
            f"{data} makes {steps} step of {rows} rows of {length}, and the first is not timed: "
            "more data, a smaller --rows or a larger --max_steps"
        )
    objective = make_objective(config, mesh, data_facts(config, mixture, mesh))
    program = make_train_program(config, loaded.config, mesh, objective, steps)
    with jax.set_mesh(mesh):
        state = fresh_state(loaded.params, program.optimizer, program.target)
        layout = NamedSharding(mesh, partition_spec((None, "batch", "length")))
        logged = []
        with prefetch(plan, sources, 0, steps, layout) as batches:
            for index, batch in batches:
                state, metrics = program.step(state, {}, batch)
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
    needed = 3.0 * PlanFlops(loaded.config, plan, sources).forward(range(1, steps))
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


def _read_texts(model: Model, data: str, config: ConfigDict) -> Mixture:
    config.mixture.data = mixture_entry(f"jsonl:{data}", template="plain")
    return read_mixture(config, model.tokenizer, data_dir=resolve_data_dir())


def _read_ids(model: Model, data: str, config: ConfigDict) -> Mixture:
    rows, length = config.input.rows, config.input.max_length
    source = read_id_pairs(data, vocab_size=model.config.vocab_size, max_length=length + 1)
    plan = make_plan(
        [plan_source(source)], seed=0, rows_per_step=rows, row_length=length, num_epochs=1
    )
    return Mixture(sources=(source,), plan=plan, missing={})
