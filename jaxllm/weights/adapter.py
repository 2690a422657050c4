"""PEFT LoRA adapter folders, merged into the weights of their base model as these are read.

LoRA: W + (alpha / r) B A (arXiv 2106.09685); rsLoRA scales by alpha / sqrt(r) (arXiv 2312.03732).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath

from jaxllm.errors import UserError
from jaxllm.weights.safetensors_file import SafetensorsFile
from jaxllm.weights.tensors import TensorInfo, TensorSource

CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_TARGETS = frozenset(
    "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj c_attn c_proj c_fc".split()
)
_READ = frozenset("base_model_name_or_path bias lora_alpha peft_type r use_rslora".split())
# Any other option that is on (DoRA, modules_to_save, rank_pattern, ...) is refused.
# These act in training only, or are said by the tensors themselves; fan_in_fan_out follows from
# the base model.
_INERT = frozenset(
    """
    auto_mapping ensure_weight_tying eva_config exclude_modules fan_in_fan_out inference_mode
    init_lora_weights layers_pattern layers_to_transform loftq_config lora_dropout
    lora_ga_config megatron_core peft_version qalora_group_size revision target_modules
    task_type
    """.split()
)


class Adapter:
    """A LoRA adapter folder, its options checked.

    Raises:
        UserError: it is no LoRA adapter, or has options or tensors that are not implemented.
    """

    def __init__(self, folder: epath.PathLike) -> None:
        self.folder = Path(epath.Path(folder))
        path = self.folder / CONFIG
        try:
            fields = json.loads(path.read_text())
        except ValueError as error:
            raise UserError(f"{path} is no JSON: {error}") from error
        _check_options(fields, str(path))
        self.base: str = fields["base_model_name_or_path"]
        self.revision: str | None = fields.get("revision")
        rank = fields["r"]
        self.scaling = fields["lora_alpha"] / (rank**0.5 if fields.get("use_rslora") else rank)
        if not (self.folder / _WEIGHTS).exists():
            raise UserError(f"{self.folder} has no {_WEIGHTS}; save the adapter as safetensors")
        self._file = SafetensorsFile(self.folder / _WEIGHTS)
        self.targets = _targets(self._file)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one of the adapter's own tensors."""
        return self._file.tensors[name].shape

    def delta(self, module: str) -> np.ndarray:
        """What the adapter adds to a module's weight, float32 [out, in]."""
        down, up = (self._file.read(name).astype(np.float32) for name in self.targets[module])
        return np.float32(self.scaling) * (up @ down)


class MergedSource:
    """A base model's tensors with an adapter added, each merged when it is read.

    Raises:
        UserError: the adapter has targets the base model lacks, or of another shape.
    """

    def __init__(self, base: TensorSource, adapter: Adapter, *, conv1d: bool) -> None:
        self._base, self._adapter, self._conv1d = base, adapter, conv1d
        self.where = f"{base.where} with {adapter.folder}"
        self.tensors: Mapping[str, TensorInfo] = base.tensors
        for module, (down, up) in adapter.targets.items():
            shape = (adapter.shape(up)[0], adapter.shape(down)[1])
            expected = shape[::-1] if conv1d else shape
            info = base.tensors.get(f"{module}.weight")
            if info is None or info.shape != expected:
                found = "nothing" if info is None else list(info.shape)
                raise UserError(
                    f"{adapter.folder} adapts {module} of shape {list(expected)}, the base model "
                    f"{base.where} has {found} there; is base_model_name_or_path right?"
                )

    def read(self, name: str) -> np.ndarray:
        """The tensor, with the adapter's share added in float32 where it has one."""
        array = self._base.read(name)
        module = name.removesuffix(".weight")
        if name == module or module not in self._adapter.targets:
            return array
        delta = self._adapter.delta(module)
        return (array.astype(np.float32) + (delta.T if self._conv1d else delta)).astype(array.dtype)


def _check_options(fields: Mapping[str, Any], where: str) -> None:
    if fields.get("peft_type") != "LORA":
        raise UserError(
            f"{where}: peft_type={fields.get('peft_type')!r} is not implemented; supported: LORA"
        )
    if fields.get("bias", "none") != "none":
        raise UserError(f"{where}: bias={fields['bias']!r} is not implemented; supported: 'none'")
    for name, value in fields.items():
        if value in (None, False) or value in ({}, []) or name in _READ | _INERT:
            continue
        raise UserError(
            f"{where}: {name}={value!r} is an option that is not implemented; merge the adapter "
            "with PEFT's merge_and_unload and load the merged model"
        )
    for name in ("base_model_name_or_path", "r", "lora_alpha"):
        if not fields.get(name):
            raise UserError(f"{where}: {name} is missing")


def _targets(file: SafetensorsFile) -> dict[str, tuple[str, str]]:
    """Module name in the base model -> names of its A [r, in] and B [out, r]."""
    found: dict[str, dict[str, str]] = {}
    for name in file.tensors:
        match = re.fullmatch(r"base_model\.model\.(.+)\.lora_(A|B)(?:\.default)?\.weight", name)
        if match is None or match[1].rpartition(".")[2] not in _TARGETS:
            raise UserError(
                f"{file.path}: {name} is not implemented; adapters may change "
                f"{', '.join(sorted(_TARGETS))}"
            )
        found.setdefault(match[1], {})[match[2]] = name
    for module, pair in found.items():
        if pair.keys() != {"A", "B"}:
            raise UserError(f"{file.path}: {module} has only lora_{next(iter(pair))}")
    return {module: (pair["A"], pair["B"]) for module, pair in found.items()}
