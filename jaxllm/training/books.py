"""The books of a run: what of its steps is logged, evaluated and saved, and what they came to."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import optax
from etils import epath
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.evaluators import ScheduledEvaluator
from jaxllm.evaluators.early_stopping import EarlyStopping
from jaxllm.input.batches import example_ids
from jaxllm.input.device import Prefetch
from jaxllm.input.mixture import Mixture
from jaxllm.models.decoder import Params
from jaxllm.models.partition import combine
from jaxllm.objectives.train_state import State
from jaxllm.observe.memory import peak_rss_mb
from jaxllm.observe.observer import Observer
from jaxllm.observe.progress import Progress
from jaxllm.parallel.agreement import say
from jaxllm.parallel.preemption import Preempted, Preemption
from jaxllm.training.source_losses import SourceLosses
from jaxllm.weights.checkpoint import Checkpoints


class _Pending(NamedTuple):
    """Metrics of a step that are still on the devices, and what is told of it with them."""

    step: int
    metrics: dict[str, jax.Array]
    batches: Prefetch
    bar: Progress


class Books:
    """What happens between the steps of a run.

    Args:
        folder: the run's workdir.
        extra: what the checkpoint kept beside the state that the run goes on from.

    Attributes:
        summary: the newest metrics and scores by name, and at the end what the run came to.
    """

    def __init__(
        self,
        config: ConfigDict,
        folder: epath.Path,
        mixture: Mixture,
        *,
        evaluators: Sequence[ScheduledEvaluator],
        checkpoints: Checkpoints,
        stopping: EarlyStopping,
        preemption: Preemption,
        observer: Observer,
        extra: Mapping[str, Any],
    ) -> None:
        self.summary: dict[str, Any] = {}
        self._config, self._folder, self._mixture = config, folder, mixture
        self._plan, self._evaluators, self._checkpoints = mixture.plan, evaluators, checkpoints
        self._stopping, self._preemption, self._observer = stopping, preemption, observer
        self._pending: _Pending | None = None
        self._tokens = extra.get("tokens", 0.0)
        names = [source.name for source in mixture.sources]
        self._source_losses = SourceLosses(names, extra.get("source_losses"))
        self._norm = jax.jit(optax.tree.norm)

    def evaluate_start(self, state: State, frozen: Params) -> None:
        """Runs the evaluators that are due before the first step."""
        due = [item for item in self._evaluators if item.is_due(0, self._plan.num_steps)]
        self._stopping.observe(self._evaluate(due, combine(state["params"], frozen), 0))

    def enter(
        self,
        step: int,
        metrics: dict[str, jax.Array],
        params: Params,
        batches: Prefetch,
        bar: Progress,
    ) -> None:
        """Takes a step's metrics, which are read one step late: the device never waits for us.

        Raises:
            UserError: the step before had a loss that is not finite.
        """
        if self._is_logged(step):
            metrics = {**metrics, "param_norm": self._norm(params)}
        self._read_pending()
        self._pending = _Pending(step, metrics, batches, bar)

    def finish_step(self, state: State, frozen: Params, step: int, *, anew: bool = False) -> bool:
        """Evaluates and saves what is due after a step; says whether the run ends with it.

        Args:
            anew: the step was saved before its evaluators were done.

        Raises:
            Preempted: the step is saved, and the program has to go.
        """
        last, every = self._plan.num_steps, self._config.checkpoint.every
        is_saved = step == last or (every > 0 and step % every == 0) or anew
        due = [item for item in self._evaluators if item.is_due(step, last)]
        goes = self._preemption.is_due()
        if not (is_saved or due or goes):
            return False
        self._read_pending()
        params = combine(state["params"], frozen)
        scores: dict[str, float] = {}
        is_evaluated = not due
        with contextlib.suppress(Preempted):
            if due and not goes:
                scores = self._evaluate(due, params, step)
                self._stopping.observe(scores)
                if self._stopping.is_over and step < last:
                    say(f"step {step}: {self._stopping.reason}: the run ends here")
                    last = step
                    rest = [item for item in self._evaluators if item not in due]
                    scores |= self._evaluate(rest, params, step)
                is_evaluated = True
        goes = self._preemption.is_due()
        # The best step can only be kept if every step that is judged is saved.
        if is_saved or goes or step == last or self._config.checkpoint.best_metric in scores:
            extra = {
                "order": dict(self._plan.parts),
                "tokens": self._tokens,
                "source_losses": self._source_losses.state,
                "early_stopping": self._stopping.state,
                "is_evaluated": is_evaluated,
            }
            whole = {**state, "params": params}
            with self._observer.lost("checkpoint"):
                self._checkpoints.save(step, whole, metrics=scores, extra=extra, anew=anew)
        if goes and not (step == last and is_evaluated):
            self._checkpoints.wait()
            say(f"asked to end (SIGTERM): step {step} is saved, the same command goes on from it")
            raise Preempted
        return step == last

    def close(self, start_step: int, last: int, waited: float) -> None:
        """Waits for the last checkpoint and sums up the steps after `start_step`.

        Args:
            waited: seconds in which no batch was ready.
        """
        with self._observer.lost("checkpoint"):
            self._checkpoints.wait()
        if start_step < last:
            say(str(self._observer.goodput))
            self.summary["goodput"] = round(self._observer.goodput.share, 4)
        best = self._checkpoints.best_step()
        if best is not None:
            say(f"best {self._config.checkpoint.best_metric}: step {best}")
            self.summary["best_step"] = best
        self.summary |= {"steps": last, "input_wait_s": round(waited, 3)}
        self.summary["peak_rss_mb"] = round(peak_rss_mb())

    def _read_pending(self) -> None:
        if self._pending is None:
            return
        step, metrics, batches, bar = self._pending
        self._pending = None
        on_host = jax.device_get(metrics)
        self._source_losses.add(on_host)
        values = {name: float(value) for name, value in on_host.items()}
        if not math.isfinite(values["loss"]) or not math.isfinite(values["grad_norm"]):
            self._refuse(step, values)
        self._tokens += values["tokens"]
        bar.update(1, loss=values["loss"])
        if self._is_logged(step):
            values |= self._observer.speed(step, self._tokens, batches.wait_seconds)
            values["tokens_seen"] = self._tokens
            values |= self._source_losses.read()
            values["epoch"] = float(self._plan.step_epochs[step])
            self._observer.scalars(step, values)
            self.summary |= values

    def _is_logged(self, step: int) -> bool:
        return step % self._config.log_every == 0 or step == self._plan.num_steps

    def _refuse(self, step: int, values: dict[str, float]) -> None:
        ids = [
            name for row in example_ids(self._plan, step - 1, self._mixture.sources) for name in row
        ]
        self._checkpoints.wait()
        saved = self._checkpoints.latest_step()
        last_good = (
            f"the last good checkpoint is step {saved} in {self._folder / 'checkpoints'}"
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
            with self._observer.lost("evaluation"):
                summary = item.run(
                    params, step=step, tokens=int(self._tokens), workdir=self._folder
                )
            say(f"step {step}: {item.name}: {item.describe(summary)}")
            found = {f"eval/{item.name}/{name}": value for name, value in summary.items()}
            self.summary |= found
            self._observer.scalars(step, found)
            scores |= found
        return scores
