"""Turn weights from one format into another, bit for bit.

jaxllm convert --to=hf runs/sft exported/sft
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from etils import epath

from jaxllm.errors import UserError
from jaxllm.verb import Verb, run_verb
from jaxllm.weights.checkpoint import Checkpoints
from jaxllm.weights.load import load_adapter, load_model
from jaxllm.weights.peft_folder import write_peft_folder
from jaxllm.weights.safetensors_folder import write_hf_folder

FORMATS = ("hf", "orbax", "peft")


def convert(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    to: str,
    dtype: str | None = None,
    revision: str | None = None,
    overwrite: bool = False,
) -> int:
    """Writes the model `source` (anything `load_model` takes) as `to` ("hf", "orbax" or "peft").

    Weights keep the dtype they are stored in unless `dtype` names another. To "peft" go the
    adapters of a run alone; to the others they go merged. Returns the number of parameters.

    Raises:
        UserError: an unknown format, a destination that is not empty, or a source that cannot be
            loaded.
    """
    if to not in FORMATS:
        raise UserError(f"--to={to} is no format; use one of {', '.join(FORMATS)}")
    target = epath.Path(destination)
    origin = epath.Path(source).resolve()
    if target.exists() and target.resolve() in (origin, *origin.parents):
        raise UserError(f"{target} holds the source itself; choose another folder")
    if target.exists() and (not target.is_dir() or any(target.iterdir())) and not overwrite:
        raise UserError(f"{target} is not empty; choose another folder, or give --overwrite")
    if to == "peft":
        return _write_adapter(source, target, dtype, overwrite)
    model = load_model(source, param_dtype=dtype, revision=revision)
    if to == "hf":
        write_hf_folder(
            target,
            model.params,
            model.config,
            model.tokenizer,
            source_files=model.source_files,
            overwrite=overwrite,
        )
        return model.num_params
    if overwrite and target.exists():
        target.rmtree() if target.is_dir() else target.unlink()
    checkpoints = Checkpoints(
        target,
        model_config=model.config,
        tokenizer=model.tokenizer,
        source_files=model.source_files,
    )
    try:
        checkpoints.save(0, {"params": model.params, "step": jnp.int32(0)})
    finally:
        checkpoints.close()
    return model.num_params


def _write_adapter(
    source: str | os.PathLike[str], target: epath.Path, dtype: str | None, overwrite: bool
) -> int:
    adapter = load_adapter(source)
    if dtype is not None:
        raise UserError("--dtype does not go with --to=peft: adapters are written in float32")
    write_peft_folder(
        target,
        adapter.params,
        adapter.config,
        adapter.base,
        adapter.tokenizer,
        source_files=adapter.source_files,
        overwrite=overwrite,
    )
    return sum(leaf.size for leaf in jax.tree.leaves(adapter.params))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm convert`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm convert",
        description="Turn weights from one format into another. SRC is a Hugging Face folder or "
        "hub id, a .gguf file, a PEFT LoRA folder, or a run (its workdir, checkpoints or a step).",
        epilog="example: jaxllm convert --to=hf runs/sft exported/sft",
    )
    parser.add_argument("source", metavar="SRC")
    parser.add_argument("destination", metavar="DST")
    parser.add_argument("--to", choices=FORMATS, required=True, help="the format of DST")
    parser.add_argument(
        "--dtype", help="store the weights as float32, bfloat16 or float16 (default: as they are)"
    )
    parser.add_argument("--revision", help="branch, tag or commit of a hub id")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in DST")
    args = parser.parse_args(argv)
    count = convert(
        args.source,
        args.destination,
        to=args.to,
        dtype=args.dtype,
        revision=args.revision,
        overwrite=args.overwrite,
    )
    print(f"wrote {count:,} parameters to {args.destination}")
    return 0


sys.modules[__name__].__class__ = Verb  # jaxllm.convert(...) calls convert(...)

if __name__ == "__main__":
    sys.exit(run_verb(main))
