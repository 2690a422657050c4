"""Train a model from a config: the whole story, top to bottom.

jaxllm train --config=configs/smoke_cpu.py --workdir=runs/smoke
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from etils import epath
from jax.sharding import NamedSharding
from ml_collections import ConfigDict

from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.config import CONFIG_FILE, add_config_flags, config_from_args, plain_dict, save_config
from jaxllm.evaluators import EvalContext, make_evaluators
from jaxllm.evaluators.early_stopping import EarlyStopping, EarlyStoppingSettings
from jaxllm.input.device import prefetch
from jaxllm.input.flops import PlanFlops
from jaxllm.input.presence import describe_presence
from jaxllm.input.report import describe_input, format_examples, format_input
from jaxllm.models.decoder import Params, num_params
from jaxllm.models.partition import partition
from jaxllm.objectives.train_program import check_rows, make_train_program
from jaxllm.objectives.train_state import Batch, State, fresh_state
from jaxllm.observe.observer import Observer
from jaxllm.observe.peaks import total_peak
from jaxllm.observe.profile import parse_steps
from jaxllm.observe.progress import Progress
from jaxllm.observe.sinks import ObserveSettings
from jaxllm.observe.summary import remove_summary, write_summary
from jaxllm.parallel.agreement import is_first_process, say
from jaxllm.parallel.mesh import MeshShape, describe_mesh, make_mesh
from jaxllm.parallel.preemption import Preempted, Preemption
from jaxllm.parallel.rules import partition_spec
from jaxllm.parallel.startup import add_process_flags, joined
from jaxllm.parallel.stragglers import StragglerWatch
from jaxllm.paths import resolve_data_dir
from jaxllm.training.books import Books
from jaxllm.training.data import read_training_data
from jaxllm.training.resume import resume
from jaxllm.training.start import start_model
from jaxllm.verb import Verb, run_verb
from jaxllm.weights.checkpoint import Checkpoints

_EXAMPLES_SHOWN = 3


def train(
    config: ConfigDict, workdir: str | os.PathLike[str], *, profile_steps: range = range(0)
) -> dict[str, Any]:
    """Trains as `config` says and leaves checkpoints, metrics and evaluations in `workdir`.

    Of `profile_steps`, counted from 1, it also leaves a trace.

    A workdir that holds a checkpoint is resumed from the newest whole one, to the same bits as a
    run that was never interrupted.

    Returns:
        The last step's metrics and every evaluator's last summary, by name.

    Raises:
        UserError: a config, data or checkpoint that cannot work, or a loss that is not finite.
    """
    folder = epath.Path(workdir)
    began = time.time()
    if is_first_process():
        folder.mkdir(parents=True, exist_ok=True)
        save_config(config, folder / CONFIG_FILE)
        remove_summary(folder)
    enable_compilation_cache()

    # ---- Mesh ----------------------------------------------------------------------------------
    mesh = make_mesh(MeshShape(**config.mesh))
    say(f"mesh: {describe_mesh(mesh)}")

    # ---- Model and tokenizer -------------------------------------------------------------------
    data_dir = resolve_data_dir(config.data_dir)
    # Before a large model is fetched for nothing.
    if presence := describe_presence(config, data_dir=data_dir):
        say(presence)
    params, model_config, tokenizer, source_files, base = start_model(config, mesh, data_dir)
    say(f"model: {num_params(model_config):,} parameters, compute in {model_config.dtype}")
    peak = total_peak(model_config.dtype)

    # ---- Data and loss -------------------------------------------------------------------------
    check_rows(config, mesh)
    training = read_training_data(config, tokenizer, data_dir, params, model_config, mesh)
    mixture, plan = training.mixture, training.mixture.plan
    say(format_input(describe_input(mixture)))
    say(format_examples(mixture.first_examples(_EXAMPLES_SHOWN), tokenizer))

    # ---- State ---------------------------------------------------------------------------------
    program = make_train_program(config, model_config, mesh, training.objective, plan.num_steps)
    trained, frozen = partition(params, program.is_trained)
    say(f"trained: {sum(leaf.size for leaf in jax.tree.leaves(trained)):,} parameters")
    del params
    with jax.set_mesh(mesh):
        checkpoints = Checkpoints(
            folder / "checkpoints",
            model_config=model_config,
            tokenizer=tokenizer,
            source_files=source_files,
            base=base,
            keep_last=config.checkpoint.keep_last,
            keep_every=config.checkpoint.keep_every,
            best_metric=config.checkpoint.best_metric,
            best_mode=config.checkpoint.best_mode,
        )
        start_step, extra = 0, dict[str, Any]()
        if resumed := resume(checkpoints, program.target, frozen, plan):
            start_step, extra, state, frozen = resumed
            say(f"resuming after step {start_step}")
        else:
            # A step gives up the memory of the weights it trains, and a reference keeps its own.
            start = jax.tree.map(jnp.copy, trained) if training.beside else trained
            state = fresh_state(start, program.optimizer, program.target)
            del start
        del trained

        # ---- Step ------------------------------------------------------------------------------
        def train_step(state: State, frozen: Params, batch: Batch) -> tuple[State, Batch]:
            return program.step(state, {**frozen, **training.beside}, batch)

        # ---- Evaluators ------------------------------------------------------------------------
        preemption = Preemption()
        context = EvalContext(
            model_config=model_config,
            tokenizer=tokenizer,
            mesh=mesh,
            data_dir=data_dir,
            name=folder.name,
            source=os.fspath(folder),
            config=plain_dict(config),
            reference=training.reference,
            preemption=preemption,
        )
        evaluators = make_evaluators(
            config.evals,
            context,
            num_steps=plan.num_steps,
            num_epochs=float(plan.step_epochs[-1]),
            on_missing=say,
        )
        stopping = EarlyStopping(
            EarlyStoppingSettings(**config.early_stopping),
            metric=config.checkpoint.best_metric,
            mode=config.checkpoint.best_mode,
            saved=extra.get("early_stopping"),
        )
        if training.reference is not None:
            training.reference.release()

        # ---- Loop ------------------------------------------------------------------------------
        tokens, is_evaluated = extra.get("tokens", 0.0), extra.get("is_evaluated", True)
        flops = PlanFlops(model_config, plan, mixture.sources)
        # The backward pass needs twice the forward's, or once where the weights stay as they are.
        passes = 3.0 if base is None else 2.0
        observer = Observer(
            folder,
            ObserveSettings(**config.observe),
            plain_dict(config),
            began=began,
            step=start_step,
            tokens=tokens,
            flops=lambda steps: passes * flops.forward(steps),
            peak=peak,
            profile_steps=profile_steps,
            # A run that is at its end already leaves everything as it is.
            tells=is_first_process() and (start_step < plan.num_steps or not is_evaluated),
        )
        books = Books(
            config,
            folder,
            mixture,
            evaluators=evaluators,
            checkpoints=checkpoints,
            stopping=stopping,
            preemption=preemption,
            observer=observer,
            extra=extra,
        )
        stragglers, compare = StragglerWatch(), config.get("compare_processes_every", 0)
        with (
            checkpoints.explained_full_disk(),
            preemption,
            observer,
            contextlib.closing(checkpoints),
        ):
            if not is_evaluated:
                books.finish_step(state, frozen, start_step, anew=True)
            last = start_step if stopping.is_over else plan.num_steps
            if start_step == 0:
                books.evaluate_start(state, frozen)
            layout = NamedSharding(mesh, partition_spec((None, "batch", "length")))
            batches = prefetch(
                plan,
                mixture.sources,
                start_step,
                last - start_step,
                layout,
                config.input.accumulation,
            )
            bar = Progress(
                "training", total=last, unit="steps", completed=start_step, above=observer.view
            )
            with batches, bar:
                free_since = None
                for index, batch in batches:
                    step = index + 1
                    observer.profile.before(step)
                    state, metrics = train_step(state, frozen, batch)
                    observer.profile.after(step, metrics)
                    if free_since is not None:  # the first step compiles
                        stragglers.add(time.monotonic() - free_since)
                    books.enter(step, metrics, state["params"], batches, bar)
                    if books.finish_step(state, frozen, step):
                        last = step
                        break
                    if compare and step % compare == 0:
                        for line in stragglers.check():
                            say(f"step {step}: {line}")
                    free_since = time.monotonic()
            books.close(start_step, last, batches.wait_seconds)
    books.summary["seconds"] = round(time.time() - began, 3)
    if is_first_process():
        write_summary(folder, books.summary)
    return books.summary


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm train`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm train",
        description="Train a model from a config, with its evaluators running alongside.",
        epilog="example: jaxllm train --config=configs/smoke_cpu.py --workdir=runs/smoke "
        "--config.optimizer.peak_lr=1e-4",
    )
    add_config_flags(parser)
    parser.add_argument("--workdir", required=True, help="where checkpoints and results go")
    add_process_flags(parser)
    parser.add_argument(
        "--profile_steps",
        default="",
        metavar="FIRST:STOP",
        help="leave an xprof trace of these steps in WORKDIR/profile, such as 10:13",
    )
    args, unknown = parser.parse_known_args(argv)
    config, steps = config_from_args(args, unknown), parse_steps(args.profile_steps)
    with joined(args), contextlib.suppress(Preempted):
        train(config, args.workdir, profile_steps=steps)
    return 0


sys.modules[__name__].__class__ = Verb

if __name__ == "__main__":
    sys.exit(run_verb(main))
