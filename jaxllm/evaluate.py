"""Run a config's evaluators on a model, without training.

jaxllm evaluate --config=configs/eval/mini.py --model=runs/smoke --workdir=runs/smoke_eval
jaxllm evaluate --config=configs/eval/mini.py --checkpoints=runs/smoke --workdir=runs/smoke_steps
jaxllm evaluate --config=configs/eval/mini.py --from_outputs=outputs/ --workdir=runs/elsewhere

Answers are kept in a journal as they come: the same command again goes on where a kill left it.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
from collections.abc import Sequence

import jax
from etils import epath
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxllm.chat.endpoint import Endpoint, EndpointSettings
from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.config import CONFIG_FILE, add_config_flags, config_from_args, plain_dict, save_config
from jaxllm.defaults import model_settings
from jaxllm.errors import UserError
from jaxllm.evaluators import EvalContext, ScheduledEvaluator, make_evaluators
from jaxllm.evaluators.foreign import score_foreign_run
from jaxllm.evaluators.schedule import (
    evaluator_settings,
    result_folder,
    set_everywhere,
)
from jaxllm.models.decoder import Params
from jaxllm.parallel.agreement import is_first_process
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.parallel.preemption import TERMINATED, Preempted
from jaxllm.parallel.startup import add_process_flags, joined
from jaxllm.paths import resolve_data_dir
from jaxllm.reporting.llm_jp_eval_outputs import ForeignRun, read_outputs
from jaxllm.reporting.llm_jp_eval_results import SHAPES, write_llm_jp_eval
from jaxllm.reporting.results import read_result
from jaxllm.text.characters import Characters
from jaxllm.verb import Verb, run_verb
from jaxllm.weights.load import Model, load_model
from jaxllm.weights.series import checkpoint_series

# How weights are computed; an endpoint has no use for it.
_LOCAL_FIELDS = frozenset({"type", *model_settings()})


def evaluate(
    config: ConfigDict,
    model: str | os.PathLike[str] | None,
    workdir: str | os.PathLike[str],
    *,
    also: Sequence[str] = (),
) -> dict[str, dict[str, float]]:
    """Runs every evaluator of `config.evals` on `model` and writes its results under `workdir`.

    Args:
        model: a Hugging Face folder or hub id, a PEFT adapter folder, a .gguf file, or a checkpoint
            of ours; None where `config.model` names one at an endpoint.
        also: shapes of `jaxllm.reporting.llm_jp_eval_results` to write every result in too.

    Returns:
        Each evaluator's headline numbers, by name.

    Raises:
        UserError: no evaluator, an unknown task, or a model that cannot be loaded.
    """
    if is_at_endpoint(config) != (model is None):
        raise UserError(
            "name a model, or set config.model.type='api' for one at an endpoint: one of the two"
        )
    if model is None:
        _check_alone("a model at an endpoint is asked")
        folder = _prepare_workdir(config, workdir, also)
        context = _endpoint_context(config)
        return _run(make_evaluators(config.evals, context), {}, folder, step=None, also=also)
    folder, mesh = _begin(config, workdir, also)
    loaded = _load(config, model, mesh)
    evaluators = make_evaluators(
        config.evals,
        _context(config, loaded, mesh, name=loaded.name, source=loaded.source),
    )
    return _run(evaluators, loaded.params, folder, step=None, also=also)


def is_at_endpoint(config: ConfigDict) -> bool:
    """Whether `config.model` says that the model runs elsewhere."""
    kind = config.model.get("type", "local")
    if kind not in ("local", "api"):
        raise UserError(f"config.model.type={kind!r}: it takes 'local' or 'api'")
    return kind == "api"


def evaluate_series(
    config: ConfigDict,
    checkpoints: str | os.PathLike[str],
    workdir: str | os.PathLike[str],
    *,
    also: Sequence[str] = (),
) -> dict[int, dict[str, dict[str, float]]]:
    """Runs every evaluator on each checkpoint of a training run, programs compiled once.

    Args:
        checkpoints: a run of ours, or a folder with a Hugging Face folder for each step.
        also: as in `evaluate`.

    Returns:
        Each evaluator's headline numbers, by step and name.

    Raises:
        UserError: as `evaluate`, no checkpoints, or ones of different models.
    """
    folder, mesh = _begin(config, workdir, also)
    source = os.fspath(checkpoints)
    summaries: dict[int, dict[str, dict[str, float]]] = {}
    first: Model | None = None
    for step, place in checkpoint_series(checkpoints):
        loaded = _load(config, place, mesh)
        if first is None:
            first = loaded
            name = epath.Path(source).resolve().name
            context = _context(config, loaded, mesh, name=name, source=source)
            evaluators = make_evaluators(config.evals, context)
        elif loaded.config != first.config or loaded.tokenizer.digest != first.tokenizer.digest:
            raise UserError(
                f"{place} has another architecture or tokenizer than {first.source}: a series is "
                "one model at several steps"
            )
        print(f"step {step}: {place}", flush=True)
        summaries[step] = _run(evaluators, loaded.params, folder, step=step, also=also)
    return summaries


def score_outputs(
    config: ConfigDict,
    outputs: str | os.PathLike[str],
    workdir: str | os.PathLike[str],
    *,
    also: Sequence[str] = (),
) -> dict[str, dict[str, dict[str, float]]]:
    """Scores outputs that llm-jp-eval left, with the tasks of `config.evals` and without a model.

    Args:
        outputs: a file that `jaxllm.reporting.llm_jp_eval_outputs` reads, or a folder of them.
        also: as in `evaluate`.

    Returns:
        Each evaluator's headline numbers, by run and name. Several runs have a folder each.

    Raises:
        UserError: no evaluator of type "generate", none of its tasks in the files, or damaged ones.
    """
    _check_alone("outputs are scored")
    folder = _prepare_workdir(config, workdir, also)
    entries = evaluator_settings(config.evals)
    skipped = [name for name, (kind, _) in entries.items() if kind != "generate"]
    if len(skipped) == len(entries):
        raise UserError(
            "outputs are scored by evaluators of type 'generate'; config.evals has none"
        )
    if skipped:
        print(f"not run, for they need a model: {', '.join(skipped)}", file=sys.stderr)
    runs = read_outputs(outputs)
    summaries: dict[str, dict[str, dict[str, float]]] = {}
    for run, label in zip(runs, _labels(runs), strict=True):
        place = folder / label if len(runs) > 1 else folder
        summaries[label] = {}
        for name, (kind, settings) in entries.items():
            if kind != "generate":
                continue
            result = result_folder(place, name, step=None)
            summary = score_foreign_run(
                settings,
                run,
                data_dir=resolve_data_dir(config.data_dir),
                config=plain_dict(config),
                folder=result,
            )
            _write_also(result, also)
            summaries[label][name] = summary
            print(f"{label}: {name}: {ScheduledEvaluator.describe(summary)}", flush=True)
    return summaries


def _labels(runs: Sequence[ForeignRun]) -> list[str]:
    """A folder name for each run: its model's, with a number where two have the same."""
    labels: list[str] = []
    for run in runs:
        name = label = re.sub(r"[^\w.-]+", "--", run.model).strip(".-") or "outputs"
        number = 1
        while label in labels:
            number += 1
            label = f"{name}_{number}"
        labels.append(label)
    return labels


def _check_alone(what: str) -> None:
    if jax.process_count() > 1:
        raise UserError(f"{what} by one process, and here are {jax.process_count()}: start one")


def _prepare_workdir(
    config: ConfigDict, workdir: str | os.PathLike[str], also: Sequence[str]
) -> epath.Path:
    if not len(config.evals):
        raise UserError("config.evals is empty: name what to evaluate")
    evaluator_settings(config.evals)  # a wrong one is told before a model is loaded
    for shape in also:
        if shape not in SHAPES:
            raise UserError(f"also={shape!r}: choose from {', '.join(SHAPES)}")
    folder = epath.Path(workdir)
    if is_first_process():
        folder.mkdir(parents=True, exist_ok=True)
        save_config(config, folder / CONFIG_FILE)
    return folder


def _begin(
    config: ConfigDict, workdir: str | os.PathLike[str], also: Sequence[str]
) -> tuple[epath.Path, Mesh]:
    folder = _prepare_workdir(config, workdir, also)
    enable_compilation_cache()
    return folder, make_mesh(MeshShape(**config.mesh))


def _load(config: ConfigDict, model: str | os.PathLike[str], mesh: Mesh) -> Model:
    return load_model(
        os.fspath(model),
        dtype=config.model.dtype,
        param_dtype=config.model.param_dtype,
        mesh=mesh,
    )


def _context(
    config: ConfigDict, loaded: Model, mesh: Mesh, *, name: str, source: str
) -> EvalContext:
    return EvalContext(
        model_config=loaded.config.replace(attention=config.model.attention),
        tokenizer=loaded.tokenizer,
        mesh=mesh,
        data_dir=resolve_data_dir(config.data_dir),
        name=name,
        source=source,
        revision=loaded.revision if source == loaded.source else None,
        config=plain_dict(config),
    )


def _endpoint_context(config: ConfigDict) -> EvalContext:
    known = [field.name for field in dataclasses.fields(EndpointSettings)]
    for name in config.model:
        if name not in known and name not in _LOCAL_FIELDS:
            raise UserError(f"config.model.{name} is no field; there are {', '.join(known)}")
    settings = EndpointSettings(
        **{name: config.model[name] for name in known if name in config.model}
    )
    endpoint = Endpoint(settings)
    return EvalContext(
        model_config=None,
        tokenizer=Characters(endpoint.name),
        mesh=None,
        data_dir=resolve_data_dir(config.data_dir),
        name=endpoint.name,
        source=str(endpoint.provenance["base_url"]),
        config=plain_dict(config),
        endpoint=endpoint,
    )


def _run(
    evaluators: Sequence[ScheduledEvaluator],
    params: Params,
    folder: epath.Path,
    *,
    step: int | None,
    also: Sequence[str],
) -> dict[str, dict[str, float]]:
    summaries = {}
    for item in evaluators:
        summary = item.run(params, step=step, tokens=None, workdir=folder)
        _write_also(result_folder(folder, item.name, step), also)
        summaries[item.name] = summary
        print(f"{item.name}: {item.describe(summary)}", flush=True)
    return summaries


def _write_also(folder: epath.Path, also: Sequence[str]) -> None:
    # Held-out loss leaves no result folder.
    if also and is_first_process() and folder.exists():
        result = read_result(folder)
        if "judge" in result.record:
            return  # llm-jp-eval has no judge; `jaxllm judge --also` knows the tools that have
        for shape in also:
            write_llm_jp_eval(result, shape)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm evaluate`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm evaluate",
        description="Run a config's evaluators on a model, or score outputs made elsewhere.",
        epilog="example: jaxllm evaluate --config=configs/eval/mini.py --model=runs/smoke "
        "--workdir=runs/smoke_eval --config.evals.mini.max_samples=50. Killed, the same command "
        "goes on where it was.",
    )
    add_config_flags(parser)
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--model",
        help="Hugging Face folder or hub id, PEFT adapter folder, .gguf file, or a checkpoint; "
        "with --config.model.type=api the model is config.model.model",
    )
    asked.add_argument(
        "--checkpoints", help="every checkpoint of a run, or a folder of Hugging Face folders"
    )
    asked.add_argument(
        "--from_outputs",
        metavar="PATH",
        help="no model: score NAME.eval-generated.json, a result file of llm-jp-eval, or a folder "
        "of them",
    )
    parser.add_argument("--workdir", required=True, help="where the results go")
    parser.add_argument("--split", help="ask this split, in every evaluator that has one")
    parser.add_argument(
        "--max_samples", type=int, help="ask so many samples, in every evaluator; -1: all"
    )
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        choices=sorted(SHAPES),
        help="write every result in this shape too; may be given twice",
    )
    add_process_flags(parser)
    args, unknown = parser.parse_known_args(argv)
    config = config_from_args(args, unknown)
    changes = {name: getattr(args, name) for name in ("split", "max_samples")}
    changes = {name: value for name, value in changes.items() if value is not None}
    set_everywhere(config.evals, **changes)
    try:
        with joined(args):
            if args.checkpoints:
                evaluate_series(config, args.checkpoints, args.workdir, also=args.also)
            elif args.from_outputs:
                score_outputs(config, args.from_outputs, args.workdir, also=args.also)
            else:
                evaluate(config, args.model, args.workdir, also=args.also)
    except Preempted:
        print("asked to end (SIGTERM): the same command goes on from here", file=sys.stderr)
        return TERMINATED
    return 0


sys.modules[__name__].__class__ = Verb

if __name__ == "__main__":
    sys.exit(run_verb(main))
