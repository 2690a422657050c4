"""Run a config's evaluators on a model, without training.

jaxllm evaluate --config=configs/eval/mini.py --model=runs/smoke --workdir=runs/smoke_eval
jaxllm evaluate --config=configs/eval/mini.py --checkpoints=runs/smoke --workdir=runs/smoke_steps
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from etils import epath
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.config import CONFIG_FILE, add_config_flags, config_from_args, plain_dict, save_config
from jaxllm.errors import UserError
from jaxllm.evaluators import EvalContext, ScheduledEvaluator, make_evaluators
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.paths import resolve_data_dir
from jaxllm.verb import Verb, run_verb
from jaxllm.weights.load import Model, load_model
from jaxllm.weights.series import checkpoint_series


def evaluate(
    config: ConfigDict, model: str | os.PathLike[str], workdir: str | os.PathLike[str]
) -> dict[str, dict[str, float]]:
    """Runs every evaluator of `config.evals` on `model` and writes its results under `workdir`.

    Args:
        model: a Hugging Face folder or hub id, a PEFT adapter folder, a .gguf file, or a checkpoint
            of ours.

    Returns:
        Each evaluator's headline numbers, by name.

    Raises:
        UserError: no evaluator, an unknown task, or a model that cannot be loaded.
    """
    folder, mesh = _begin(config, workdir)
    loaded = _load(config, model, mesh)
    evaluators = make_evaluators(
        config.evals,
        _context(config, loaded, mesh, name=loaded.name, source=loaded.source),
    )
    return _run(evaluators, loaded, folder, step=None)


def evaluate_series(
    config: ConfigDict, checkpoints: str | os.PathLike[str], workdir: str | os.PathLike[str]
) -> dict[int, dict[str, dict[str, float]]]:
    """Runs every evaluator on each checkpoint of a training run, programs compiled once.

    Args:
        checkpoints: a run of ours, or a folder with a Hugging Face folder for each step.

    Returns:
        Each evaluator's headline numbers, by step and name.

    Raises:
        UserError: as `evaluate`, no checkpoints, or ones of different models.
    """
    folder, mesh = _begin(config, workdir)
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
        summaries[step] = _run(evaluators, loaded, folder, step=step)
    return summaries


def _begin(config: ConfigDict, workdir: str | os.PathLike[str]) -> tuple[epath.Path, Mesh]:
    if not len(config.evals):
        raise UserError("config.evals is empty: name what to evaluate")
    folder = epath.Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder / CONFIG_FILE)
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


def _run(
    evaluators: Sequence[ScheduledEvaluator], loaded: Model, folder: epath.Path, *, step: int | None
) -> dict[str, dict[str, float]]:
    summaries = {}
    for item in evaluators:
        summaries[item.name] = item.run(loaded.params, step=step, tokens=None, workdir=folder)
        print(f"{item.name}: {item.describe(summaries[item.name])}", flush=True)
    return summaries


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm evaluate`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm evaluate",
        description="Run a config's evaluators on a model.",
        epilog="example: jaxllm evaluate --config=configs/eval/mini.py --model=runs/smoke "
        "--workdir=runs/smoke_eval --config.evals.mini.max_samples=50",
    )
    add_config_flags(parser)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument(
        "--model",
        help="Hugging Face folder or hub id, PEFT adapter folder, .gguf file, or a checkpoint",
    )
    asked.add_argument(
        "--checkpoints", help="every checkpoint of a run, or a folder of Hugging Face folders"
    )
    parser.add_argument("--workdir", required=True, help="where the results go")
    args, unknown = parser.parse_known_args(argv)
    config = config_from_args(args, unknown)
    if args.checkpoints:
        evaluate_series(config, args.checkpoints, args.workdir)
    else:
        evaluate(config, args.model, args.workdir)
    return 0


sys.modules[__name__].__class__ = Verb

if __name__ == "__main__":
    sys.exit(run_verb(main))
