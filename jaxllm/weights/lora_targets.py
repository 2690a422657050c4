"""`config.lora`: which layers get adapters, by the names they have at Hugging Face."""

from __future__ import annotations

import dataclasses
import fnmatch
from typing import Literal

from jaxllm.errors import UserError
from jaxllm.models.config import LoraConfig, ModelConfig
from jaxllm.weights.names import table

_PRESETS = ("all-linear", "all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """`config.lora`; a `rank` of 0 trains the weights themselves.

    The other defaults are LLM-jp's. `targets` are names of the base model's layers at Hugging Face
    or their ends, with wildcards (`q_proj`, `c_attn`, `mlp.*`); "all-linear" are the linear layers
    of every block, "all" the embeddings and the output projection too. With `base="int8"` the
    frozen kernels of the blocks are kept in 8 bits.
    """

    rank: int = 0
    alpha: float = 32.0
    dropout: float = 0.05
    targets: tuple[str, ...] = ("all-linear",)
    rslora: bool = False
    base: Literal["float", "int8"] = "float"

    def __post_init__(self) -> None:
        if self.rank < 0:
            raise UserError(f"config.lora.rank={self.rank}: use 0 for none, or 1 and more")
        if not self.alpha > 0:
            raise UserError(f"config.lora.alpha={self.alpha}: it must be above 0, such as 32")
        if not 0 <= self.dropout < 1:
            raise UserError(f"config.lora.dropout={self.dropout}: use 0 to below 1, such as 0.05")
        if self.base not in ("float", "int8"):
            raise UserError(f"config.lora.base={self.base!r}: use float or int8")
        if self.rank and not self.targets:
            raise UserError("config.lora.targets is empty: name layers, or use all-linear")


def lora_config(settings: LoraSettings, config: ModelConfig) -> LoraConfig:
    """The adapters that `settings` put on a model.

    Raises:
        UserError: a target that the model does not have.
    """
    modules = lora_modules(config)
    chosen: set[str] = set()
    for pattern in settings.targets:
        found = {ours for ours, name in modules.items() if _matches(ours, name, pattern)}
        if not found:
            raise UserError(
                f"config.lora.targets: {pattern!r} is no layer of this model; it has "
                f"{', '.join(short_names(config).values())}; {' and '.join(_PRESETS)} name many"
            )
        chosen |= found
    return LoraConfig(
        rank=settings.rank,
        alpha=settings.alpha,
        targets=tuple(ours for ours in modules if ours in chosen),
        dropout=settings.dropout,
        rslora=settings.rslora,
    )


def lora_modules(config: ModelConfig) -> dict[str, str]:
    """What may be adapted: a target of ours to the module's name (`...{layer}.mlp.up_proj`).

    Where a model ties its output projection to its embeddings neither may be: an adapter on one of
    the two could not be merged.
    """
    modules: dict[str, str] = {}
    for row in table(config):
        name = row.name.removesuffix(".weight")
        if row.path[-1] == "kernel":
            ours = ".".join(row.path[1:-1]) if row.stacked else row.path[0]
            modules["attention.qkv" if row.num_parts > 1 else ours] = name
        elif row.path == ("embed", "tokens") and not config.tie_embeddings:
            modules["embed"] = name
    return modules


def short_names(config: ModelConfig) -> dict[str, str]:
    """A target of ours to the shortest ending of the module's name that no other one has."""
    modules = lora_modules(config)

    def shortest(name: str) -> str:
        parts = name.split(".")
        endings = (".".join(parts[start:]) for start in reversed(range(len(parts))))
        return next(
            ending
            for ending in endings
            if sum(f".{other}".endswith(f".{ending}") for other in modules.values()) == 1
        )

    return {ours: shortest(name) for ours, name in modules.items()}


def _matches(ours: str, name: str, pattern: str) -> bool:
    if pattern in _PRESETS:
        return pattern == "all" or ours not in ("embed", "head")
    return any(fnmatch.fnmatchcase(name, form) for form in (pattern, f"*.{pattern}"))
