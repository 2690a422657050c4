"""Train a model from a config: the whole story, top to bottom.

jaxllm train --config=configs/smoke_cpu.py --workdir=runs/smoke
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import math
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from etils import epath
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.config import CONFIG_FILE, add_config_flags, config_from_args, plain_dict, save_config
from jaxllm.errors import UserError
from jaxllm.evaluators import EvalContext, ScheduledEvaluator, make_evaluators
from jaxllm.evaluators.early_stopping import EarlyStopping, EarlyStoppingSettings
from jaxllm.input.batches import example_ids
from jaxllm.input.device import Prefetch, prefetch
from jaxllm.input.flops import PlanFlops
from jaxllm.input.mini_tokenizer import mini_tokenizer
from jaxllm.input.mixture import Mixture, group_loss_capacity, read_mixture
from jaxllm.input.plan import Plan
from jaxllm.input.preferences import max_pairs
from jaxllm.input.presence import describe_presence
from jaxllm.input.provenance import check_same_order
from jaxllm.input.report import describe_input, format_examples, format_input
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params, num_params
from jaxllm.models.int8 import quantize_blocks
from jaxllm.models.lora import is_adapter
from jaxllm.models.partition import combine, leaf_names, partition
from jaxllm.models.settings import model_config_from_settings
from jaxllm.objectives.dpo import REFERENCE, DpoSettings
from jaxllm.objectives.reference import Reference
from jaxllm.objectives.train_program import (
    Objective,
    check_rows,
    make_objective,
    make_train_program,
)
from jaxllm.objectives.train_state import (
    Batch,
    State,
    fresh_adapters,
    fresh_params,
    fresh_state,
)
from jaxllm.observe.memory import peak_rss_mb
from jaxllm.observe.observer import Observer
from jaxllm.observe.peaks import total_peak
from jaxllm.observe.profile import parse_steps
from jaxllm.observe.progress import Progress
from jaxllm.observe.sinks import ObserveSettings
from jaxllm.observe.summary import remove_summary, write_summary
from jaxllm.parallel.agreement import first_process_first, is_first_process
from jaxllm.parallel.mesh import MeshShape, describe_mesh, make_mesh
from jaxllm.parallel.preemption import Preempted, Preemption
from jaxllm.parallel.rules import num_batch_parts, partition_spec
from jaxllm.parallel.startup import add_process_flags, joined
from jaxllm.parallel.stragglers import StragglerWatch
from jaxllm.paths import resolve_data_dir
from jaxllm.text.tokenizer import Tokenizer, load_tokenizer
from jaxllm.verb import Verb, run_verb
from jaxllm.weights.base_model import BaseModel
from jaxllm.weights.checkpoint import Checkpoints
from jaxllm.weights.digest import weights_digest
from jaxllm.weights.fingerprint import model_fingerprint
from jaxllm.weights.load import Model, lasting_source, load_model
from jaxllm.weights.lora_targets import LoraSettings, lora_config
from jaxllm.weights.source_files import SourceFiles

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
    _say(f"mesh: {describe_mesh(mesh)}")

    # ---- Model and tokenizer -------------------------------------------------------------------
    data_dir = resolve_data_dir(config.data_dir)
    # Before a large model is fetched for nothing.
    if presence := describe_presence(config, data_dir=data_dir):
        _say(presence)
    params, model_config, tokenizer, source_files, base = _start(config, mesh, data_dir)
    _say(f"model: {num_params(model_config):,} parameters, compute in {model_config.dtype}")
    peak = total_peak(model_config.dtype)

    # ---- Data and loss -------------------------------------------------------------------------
    check_rows(config, mesh)
    training = _training(config, tokenizer, data_dir, params, model_config, mesh)
    mixture = training.mixture
    _check_positions(mixture, model_config)
    plan = mixture.plan
    _say(format_input(describe_input(mixture)))
    _say(format_examples(mixture.first_examples(_EXAMPLES_SHOWN), tokenizer))

    # ---- State ---------------------------------------------------------------------------------
    program = make_train_program(config, model_config, mesh, training.objective, plan.num_steps)
    trained, frozen = partition(params, program.is_trained)
    _say(f"trained: {sum(leaf.size for leaf in jax.tree.leaves(trained)):,} parameters")
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
        start_step, extra, state, frozen = _resume(checkpoints, program.target, frozen, plan)
        if state is None:
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
            on_missing=_say,
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
        run = _Run(
            config, folder, mixture, evaluators, checkpoints, stopping, preemption, observer, tokens
        )
        with checkpoints.explained_full_disk(), preemption, observer:
            try:
                if not is_evaluated:
                    run.finish_step(state, frozen, start_step, anew=True)
                run.loop(state, frozen, start_step, train_step, mesh)
            finally:
                run.close()
    run.summary["seconds"] = round(time.time() - began, 3)
    if is_first_process():
        write_summary(folder, run.summary)
    return run.summary


class _Run:
    """The loop's books: what is logged, evaluated and saved at which step."""

    def __init__(
        self,
        config: ConfigDict,
        folder: epath.Path,
        mixture: Mixture,
        evaluators: Sequence[ScheduledEvaluator],
        checkpoints: Checkpoints,
        stopping: EarlyStopping,
        preemption: Preemption,
        observer: Observer,
        tokens: float,
    ) -> None:
        self.config, self.folder, self.mixture = config, folder, mixture
        self.plan, self.evaluators, self.checkpoints = mixture.plan, evaluators, checkpoints
        self.stopping, self.preemption, self.observer = stopping, preemption, observer
        self.stragglers = StragglerWatch()
        self.summary: dict[str, Any] = {}
        self._pending: tuple[int, dict[str, jax.Array]] | None = None
        self._tokens = tokens
        self._batches: Prefetch | None = None
        self._norm = jax.jit(optax.tree.norm)

    def loop(
        self, state: State, frozen: Params, start_step: int, train_step: Any, mesh: Mesh
    ) -> None:
        """Steps `start_step` to the plan's last, with everything that happens between them."""
        last = start_step if self.stopping.is_over else self.plan.num_steps
        compare = self.config.get("compare_processes_every", 0)
        layout = NamedSharding(mesh, partition_spec((None, "batch", "length")))
        accumulation = self.config.input.accumulation
        if start_step == 0:
            first = [item for item in self.evaluators if item.is_due(0, last)]
            self.stopping.observe(self._evaluate(first, combine(state["params"], frozen), 0))
        batches = self._batches = prefetch(
            self.plan,
            self.mixture.sources,
            start_step,
            last - start_step,
            layout,
            accumulation,
        )
        bar = Progress(
            "training", total=last, unit="steps", completed=start_step, above=self.observer.view
        )
        with batches, bar:
            free_since = None
            for index, batch in batches:
                step = index + 1
                self.observer.profile.before(step)
                state, metrics = train_step(state, frozen, batch)
                self.observer.profile.after(step, metrics)
                if self._is_logged(step):
                    metrics = {**metrics, "param_norm": self._norm(state["params"])}
                if free_since is not None:  # the first step compiles
                    self.stragglers.add(time.monotonic() - free_since)
                # Metrics are read one step late, so that the device never waits for the host.
                self._read_pending(bar)
                self._pending = (step, metrics)
                if self.finish_step(state, frozen, step, bar=bar):
                    last = step
                    break
                if compare and step % compare == 0:
                    for line in self.stragglers.check():
                        _say(f"step {step}: {line}")
                free_since = time.monotonic()
        self._read_pending(None)
        with self.observer.lost("checkpoint"):
            self.checkpoints.wait()
        if start_step < last:
            _say(str(self.observer.goodput))
            self.summary["goodput"] = round(self.observer.goodput.share, 4)
        best = self.checkpoints.best_step()
        if best is not None:
            _say(f"best {self.config.checkpoint.best_metric}: step {best}")
            self.summary["best_step"] = best
        self.summary |= {"steps": last, "input_wait_s": round(batches.wait_seconds, 3)}
        self.summary["peak_rss_mb"] = round(peak_rss_mb())

    def finish_step(
        self,
        state: State,
        frozen: Params,
        step: int,
        *,
        anew: bool = False,
        bar: Progress | None = None,
    ) -> bool:
        """Evaluates and saves what is due after a step; says whether the run ends with it.

        Args:
            anew: the step was saved before its evaluators were done.

        Raises:
            Preempted: the step is saved, and the program has to go.
        """
        last, every = self.plan.num_steps, self.config.checkpoint.every
        is_saved = step == last or (every > 0 and step % every == 0) or anew
        due = [item for item in self.evaluators if item.is_due(step, last)]
        goes = self.preemption.is_due()
        if not (is_saved or due or goes):
            return False
        self._read_pending(bar)
        params = combine(state["params"], frozen)
        scores: dict[str, float] = {}
        is_evaluated = not due
        with contextlib.suppress(Preempted):
            if due and not goes:
                scores = self._evaluate(due, params, step)
                self.stopping.observe(scores)
                if self.stopping.is_over and step < last:
                    _say(f"step {step}: {self.stopping.reason}: the run ends here")
                    last = step
                    rest = [item for item in self.evaluators if item not in due]
                    scores |= self._evaluate(rest, params, step)
                is_evaluated = True
        goes = self.preemption.is_due()
        # The best step can only be kept if every step that is judged is saved.
        if is_saved or goes or step == last or self.config.checkpoint.best_metric in scores:
            extra = {
                "order": dict(self.plan.parts),
                "tokens": self._tokens,
                "early_stopping": self.stopping.state,
                "is_evaluated": is_evaluated,
            }
            whole = {**state, "params": params}
            with self.observer.lost("checkpoint"):
                self.checkpoints.save(step, whole, metrics=scores, extra=extra, anew=anew)
        if goes and not (step == last and is_evaluated):
            self.checkpoints.wait()
            _say(f"asked to end (SIGTERM): step {step} is saved, the same command goes on from it")
            raise Preempted
        return step == last

    def close(self) -> None:
        """Ends what runs beside the loop; safe after a failure in it."""
        self.checkpoints.close()

    def _read_pending(self, bar: Progress | None) -> None:
        if self._pending is None:
            return
        step, metrics = self._pending
        self._pending = None
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if not math.isfinite(values["loss"]) or not math.isfinite(values["grad_norm"]):
            self._refuse(step, values)
        self._tokens += values["tokens"]
        if bar is not None:
            bar.update(1, loss=values["loss"])
        if self._is_logged(step):
            assert self._batches is not None
            values |= self.observer.speed(step, self._tokens, self._batches.wait_seconds)
            values["tokens_seen"] = self._tokens
            values["epoch"] = float(self.plan.step_epochs[step])
            self.observer.scalars(step, values)
            self.summary |= values

    def _is_logged(self, step: int) -> bool:
        return step % self.config.log_every == 0 or step == self.plan.num_steps

    def _refuse(self, step: int, values: dict[str, float]) -> None:
        ids = [
            name for row in example_ids(self.plan, step - 1, self.mixture.sources) for name in row
        ]
        self.checkpoints.wait()
        saved = self.checkpoints.latest_step()
        last_good = (
            f"the last good checkpoint is step {saved} in {self.folder / 'checkpoints'}"
            if saved is not None
            else "no checkpoint was saved before it"
        )
        shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
        raise UserError(
            f"the loss of step {step} is {values['loss']} (gradient norm {values['grad_norm']}); "
            f"its batch held {shown}; {last_good}. A lower --config.optimizer.peak_lr, a longer "
            "warmup, or leaving out the examples named usually helps"
        )

    def _evaluate(
        self, evaluators: Sequence[ScheduledEvaluator], params: Params, step: int
    ) -> dict[str, float]:
        """The scores of all of them, by name."""
        scores: dict[str, float] = {}
        for item in evaluators:
            with self.observer.lost("evaluation"):
                summary = item.run(params, step=step, tokens=int(self._tokens), workdir=self.folder)
            _say(f"step {step}: {item.name}: {item.describe(summary)}")
            found = {f"eval/{item.name}/{name}": value for name, value in summary.items()}
            self.summary |= found
            self.observer.scalars(step, found)
            scores |= found
        return scores


def _start(
    config: ConfigDict, mesh: Mesh, data_dir: str
) -> tuple[Params, ModelConfig, Tokenizer, SourceFiles | None, BaseModel | None]:
    """The model to train, and where that has adapters what they stand on."""
    named = config.tokenizer
    if named == "mini":
        with first_process_first():
            named = mini_tokenizer(data_dir)
    lora = LoraSettings(**config.lora)
    if config.init_from:
        model = load_model(
            config.init_from,
            dtype=config.model.dtype,
            param_dtype=config.model.param_dtype,
            mesh=mesh,
        )
        numerics = {name: config.model[name] for name in ("attention", "remat", "scan_unroll")}
        tokenizer = load_tokenizer(named) if named else model.tokenizer
        model_config = model.config.replace(**numerics)
        if not lora.rank:
            return model.params, model_config, tokenizer, model.source_files, None
        params, model_config, base = _adapted(model, model_config, lora, mesh, config.seed)
        return params, model_config, tokenizer, model.source_files, base
    if lora.rank:
        raise UserError(
            f"config.lora.rank={lora.rank} and no config.init_from: adapters need a model to adapt"
        )
    if not named:
        raise UserError(
            "config.tokenizer is empty and there is no config.init_from to take one from: "
            "name a tokenizer file or folder"
        )
    tokenizer = load_tokenizer(named)
    model_config = model_config_from_settings(config.model, vocab_size=tokenizer.vocab_size)
    return fresh_params(model_config, mesh, config.seed), model_config, tokenizer, None, None


def _adapted(
    model: Model, model_config: ModelConfig, settings: LoraSettings, mesh: Mesh, seed: int
) -> tuple[Params, ModelConfig, BaseModel]:
    """A model's weights with fresh adapters on them."""
    source, revision = lasting_source(model)
    base = BaseModel(
        source=source,
        revision=revision,
        param_dtype=model_config.param_dtype,
        digest=weights_digest(model.params),
    )
    lora = lora_config(settings, model_config)
    model_config = model_config.replace(lora=lora, kernels=settings.base)
    params = quantize_blocks(model.params) if settings.base == "int8" else model.params
    return combine(fresh_adapters(model_config, mesh, seed), params), model_config, base


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Training:
    """What `config.objective` trains on.

    `beside` are weights that the loss wants and that no model is made of; `reference` is what a
    preference is measured against.
    """

    mixture: Mixture
    objective: Objective
    beside: Params = dataclasses.field(default_factory=dict)
    reference: Reference | None = None


def _training(
    config: ConfigDict,
    tokenizer: Tokenizer,
    data_dir: str,
    params: Params,
    model_config: ModelConfig,
    mesh: Mesh,
) -> _Training:
    match config.objective:
        case "sft":
            mixture = read_mixture(config, tokenizer, data_dir=data_dir)
            objective = make_objective(
                config,
                loss_capacity=group_loss_capacity(
                    mixture.plan,
                    mixture.sources,
                    num_groups=num_batch_parts(mesh),
                    accumulation=config.input.accumulation,
                ),
                loss_groups=num_batch_parts(mesh),
            )
            return _Training(mixture=mixture, objective=objective)
        case "dpo":
            return _dpo(config, tokenizer, data_dir, params, model_config, mesh)
        case unknown:
            raise UserError(f"config.objective={unknown!r}: use sft or dpo")


def _dpo(
    config: ConfigDict,
    tokenizer: Tokenizer,
    data_dir: str,
    params: Params,
    model_config: ModelConfig,
    mesh: Mesh,
) -> _Training:
    """Preferences, with what their reference says of them: the weights of the start."""
    settings = DpoSettings(**config.dpo)
    mixture = read_mixture(config, tokenizer, data_dir=data_dir, pairs=True)
    _, weights = partition(params, is_adapter)
    plain_config, digest = model_config.replace(lora=None), weights_digest(weights)
    # A run may not go on with another reference.
    plan = dataclasses.replace(mixture.plan, parts={**mixture.plan.parts, "reference": digest})
    reference = Reference(
        weights,
        plain_config,
        fingerprint=model_fingerprint(digest, plain_config, tokenizer),
        mesh=mesh,
        data_dir=data_dir,
    )
    sources = mixture.sources
    if settings.reference == "cached":
        rows = config.input.rows // config.input.accumulation
        ask = functools.partial(reference.annotate, rows=rows, row_length=config.input.max_length)
        sources = tuple(map(ask, sources))
    return _Training(
        mixture=dataclasses.replace(mixture, plan=plan, sources=sources),
        objective=make_objective(
            config, loss_capacity=mixture.loss_capacity, pairs_per_row=max_pairs(plan)
        ),
        beside={REFERENCE: weights} if settings.reference == "live" else {},
        reference=reference,
    )


def _resume(
    checkpoints: Checkpoints, target: State, frozen: Params, plan: Plan
) -> tuple[int, dict[str, Any], State | None, Params]:
    """Step, what was kept beside it, state and frozen weights of the newest checkpoint, if any."""
    if checkpoints.latest_step() is None:
        return 0, {}, None, frozen
    params = combine(target["params"], jax.tree.map(_abstract, frozen))
    state, extra = checkpoints.restore(None, {**target, "params": params})
    step = int(state["step"])
    check_same_order(extra.get("order"), plan.parts, step)
    _say(f"resuming after step {step}")
    is_trained = set(leaf_names(target["params"])).__contains__
    trained, restored = partition(state["params"], is_trained)
    # Of a model that adapters stand on nothing was saved.
    _, unsaved = partition(frozen, set(leaf_names(restored)).__contains__)
    return step, extra, {**state, "params": trained}, combine(restored, unsaved)


def _abstract(array: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)


def _check_positions(mixture: Mixture, model_config: ModelConfig) -> None:
    """Learned positions end somewhere, and what stands beyond them would have none."""
    last = model_config.max_positions
    longest = max(int(source.lengths.max()) - 1 for source in mixture.sources)
    if mixture.plan.packing == "concat":
        longest = mixture.plan.row_length
    if model_config.positions == "learned" and longest > last:
        raise UserError(
            f"the model has {last} positions and the data has examples of {longest}: set "
            f"--config.input.max_length={last}"
        )


def _say(text: str) -> None:
    if is_first_process():
        print(text, flush=True)


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
