"""Run a config's evaluators on a model, without training.

jaxllm evaluate --config=configs/eval/mini.py --model=runs/smoke --workdir=runs/smoke_eval
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from jaxllm.compilation_cache import enable_compilation_cache
from jaxllm.config import CONFIG_FILE, add_config_flags, config_from_args, plain_dict, save_config
from jaxllm.errors import UserError
from jaxllm.evaluators import EvalContext, make_evaluators
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.paths import resolve_data_dir
from jaxllm.verb import Verb, run_verb
from jaxllm.weights.load import load_model


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
    if not len(config.evals):
        raise UserError("config.evals is empty: name what to evaluate")
    folder = epath.Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder / CONFIG_FILE)
    enable_compilation_cache()
    mesh = make_mesh(MeshShape(**config.mesh))
    loaded = load_model(
        os.fspath(model),
        dtype=config.model.dtype,
        param_dtype=config.model.param_dtype,
        mesh=mesh,
    )
    context = EvalContext(
        model_config=loaded.config.replace(attention=config.model.attention),
        tokenizer=loaded.tokenizer,
        mesh=mesh,
        data_dir=resolve_data_dir(config.data_dir),
        name=loaded.name,
        source=loaded.source,
        revision=loaded.revision,
        config=plain_dict(config),
    )
    summaries: dict[str, Any] = {}
    for item in make_evaluators(config.evals, context):
        summaries[item.name] = item.run(loaded.params, step=None, tokens=None, workdir=folder)
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
    parser.add_argument(
        "--model",
        required=True,
        help="Hugging Face folder or hub id, PEFT adapter folder, .gguf file, or a checkpoint",
    )
    parser.add_argument("--workdir", required=True, help="where the results go")
    args, unknown = parser.parse_known_args(argv)
    evaluate(config_from_args(args, unknown), args.model, args.workdir)
    return 0


sys.modules[__name__].__class__ = Verb

if __name__ == "__main__":
    sys.exit(run_verb(main))
