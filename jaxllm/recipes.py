"""What LLM-jp's recipes in `configs/` share: a released model, and the TPUs it is meant for."""

from __future__ import annotations

import math

from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.models.zoo import ZOO, get_config

# The chips each model is meant for, all of them along `fsdp` but for these along `tensor`.
_TOPOLOGIES = {
    "llm-jp-1.3b-v1.0": "v5e:4x4",
    "llm-jp-13b-v1.0": "v6e:8x8",
    "llm-jp-13b-v2.0": "v6e:8x8",
    "llm-jp-3-150m": "v5e:2x2",
    "llm-jp-3-440m": "v5e:2x4",
    "llm-jp-3-980m": "v5e:2x4",
    "llm-jp-3-1.8b": "v5e:4x4",
    "llm-jp-3-3.7b": "v5p:2x2x4",
    "llm-jp-3-7.2b": "v5p:2x4x4",
    "llm-jp-3-13b": "v6e:8x8",
    "llm-jp-3-172b": "v5p:8x8x8",
    "llm-jp-3.1-1.8b": "v5e:4x4",
    "llm-jp-3.1-13b": "v6e:8x8",
    "llm-jp-4-8b": "v5p:2x4x4",
    "llm-jp-4-33b": "v5p:4x4x8",
}
_TENSOR = {"llm-jp-3-172b": 8, "llm-jp-4-33b": 2}
# Tokens of a micro-batch on a chip: what goes with 16, 32 and 95 GiB of memory.
_TOKENS_PER_CHIP = {"v5e": 4096, "v6e": 4096, "v5p": 16384}


def tune_released(config: ConfigDict, name: str, *, suffix: str = "") -> None:
    """Makes `config` begin with a released model, laid out on the TPUs it is meant for.

    Weights in float32, computed in bfloat16, activations recomputed. `config.input` has its rows
    by now: they are cut into micro-batches that fit. On other devices than the intended ones the
    mesh stays as it is, all devices along `fsdp`; `config.input.accumulation` may want a change.

    Args:
      name: of the zoo.
      suffix: of the hub id, where training begins with a tune of the model ("-instruct2").

    Raises:
      UserError: there is no such model.
    """
    get_config(name)  # says which there are
    topology, tensor = _TOPOLOGIES[name], _TENSOR.get(name, 1)
    config.init_from = ZOO[name].hub_id + suffix
    config.model.update(zoo=name, dtype="bfloat16", remat="full")
    config.topology = topology
    config.mesh.update(data=1, fsdp=-1, tensor=tensor)
    splits = num_chips(topology) // tensor
    config.input.accumulation = _accumulation(config.input, splits, topology.partition(":")[0])


def num_chips(topology: str) -> int:
    """The chips of a topology such as v5e:4x4."""
    return math.prod(map(int, topology.partition(":")[2].split("x")))


def model_and_choice(arg: str, models: dict[str, str], choices: tuple[str, ...]) -> tuple[str, str]:
    """Reads a recipe's argument, SIZE or SIZE,CHOICE.

    Returns:
      The model's name in the zoo, which `models` has by size, and the choice, the first of
      `choices` where none is made.

    Raises:
      UserError: no such choice.
    """
    size, comma, choice = arg.partition(",")
    if comma and choice not in choices:
        raise UserError(f"{choice!r} is none of {', '.join(choices)}")
    return models.get(size, size), choice or choices[0]


def _accumulation(settings: ConfigDict, splits: int, chip: str) -> int:
    """The fewest micro-batches whose rows fit a chip and divide the step's."""
    rows = settings.rows // splits
    most = max(1, _TOKENS_PER_CHIP[chip] // settings.max_length)
    return next(n for n in range(1, rows + 1) if rows % n == 0 and rows // n <= most)
