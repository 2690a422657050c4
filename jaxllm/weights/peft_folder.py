"""Adapter folders as PEFT keeps them, read into adapters of ours and written from them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from etils import epath

from jaxllm.errors import UserError
from jaxllm.models.config import LoraConfig, ModelConfig
from jaxllm.models.decoder import Params, abstract_params
from jaxllm.models.lora import lora_path
from jaxllm.models.partition import combine
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.weights.base_model import BaseModel
from jaxllm.weights.lora_targets import lora_modules, short_names
from jaxllm.weights.safetensors_file import SafetensorsFile, write_safetensors
from jaxllm.weights.source_files import SourceFiles, write_source_files
from jaxllm.weights.tensors import TensorInfo, leaf
from jaxllm.weights.whole_folder import whole_folder

CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_BASE_LAYER = ".base_layer.weight"
_READ = frozenset(
    "base_model_name_or_path bias lora_alpha lora_dropout peft_type r revision use_rslora".split()
)
# Any other option that is on (DoRA, modules_to_save, rank_pattern, ...) is refused.
# These act in training only, or are said by the tensors themselves; fan_in_fan_out follows from
# the base model.
_INERT = frozenset(
    """
    auto_mapping ensure_weight_tying eva_config exclude_modules fan_in_fan_out inference_mode
    init_lora_weights layers_pattern layers_to_transform loftq_config lora_ga_config megatron_core
    peft_version qalora_group_size target_modules task_type
    """.split()
)


class PeftFolder:
    """A LoRA adapter folder, its options checked.

    Raises:
        UserError: it is no LoRA adapter, or has options that are not implemented.
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
        self._fields = fields
        if not (self.folder / _WEIGHTS).exists():
            raise UserError(f"{self.folder} has no {_WEIGHTS}; save the adapter as safetensors")
        self._file = SafetensorsFile(self.folder / _WEIGHTS)

    def read(self, config: ModelConfig, params: Params) -> tuple[LoraConfig, Params]:
        """The adapters on a base model, numpy arrays; layers without one have zeros.

        Raises:
            UserError: the adapters do not fit this base model.
        """
        pairs = _pairs(self._file)
        self._check_base_layers(params)
        places = {
            name.format(layer=layer): (ours, layer)
            for ours, name in lora_modules(config).items()
            for layer in range(config.num_layers)
        }
        for module in pairs:
            if module not in places:
                raise UserError(
                    f"{self.folder} adapts {module}, which is no layer of the base model "
                    f"{self.base} that may be adapted: these are "
                    f"{', '.join(short_names(config).values())}"
                )
        used = {places[module][0] for module in pairs}
        lora = LoraConfig(
            rank=self._fields["r"],
            alpha=self._fields["lora_alpha"],
            targets=tuple(ours for ours in lora_modules(config) if ours in used),
            dropout=self._fields.get("lora_dropout") or 0.0,
            rslora=bool(self._fields.get("use_rslora")),
        )
        shapes = abstract_params(config.replace(lora=lora))
        params = {}
        for ours in lora.targets:
            path = lora_path(ours)
            adapter = {
                part: np.zeros(like.shape, np.float32) for part, like in leaf(shapes, path).items()
            }
            for module, pair in pairs.items():
                target, layer = places[module]
                if target != ours:
                    continue
                self._check_shapes(module, pair, adapter)
                for part, name in pair.items():
                    slot = adapter[part][layer] if path[0] == "blocks" else adapter[part]
                    slot[...] = self._file.read(name).T
            for key in reversed(path):
                adapter = {key: adapter}
            params = combine(params, adapter)
        return lora, params

    def _check_base_layers(self, params: Params) -> None:
        # PEFT writes the base model's embeddings beside adapters on them: copies, unless the
        # vocabulary was changed.
        for name in self._file.tensors:
            if not name.endswith(_BASE_LAYER):
                continue
            own = self._file.read(name)
            is_head = name == f"{_PREFIX}lm_head{_BASE_LAYER}"
            base = np.asarray(params["head"]["kernel"].T if is_head else params["embed"]["tokens"])
            if own.shape != base.shape or not np.array_equal(own.astype(base.dtype), base):
                raise UserError(
                    f"{self.folder}: {name} is not the base model's; merge the adapter with PEFT's "
                    "merge_and_unload and load the merged model"
                )

    def _check_shapes(self, module: str, pair: Mapping[str, str], adapter: Params) -> None:
        (rank, size_in), (size_out, _) = (self._file.tensors[pair[part]].shape for part in "ab")
        if rank != self._fields["r"]:
            raise UserError(
                f"{self.folder}: {module} has rank {rank}, and r is {self._fields['r']}"
            )
        expected = [adapter["b"].shape[-1], adapter["a"].shape[-2]]
        if [size_out, size_in] != expected:
            raise UserError(
                f"{self.folder} adapts {module} of shape {[size_out, size_in]}, the base model "
                f"{self.base} has {expected} there; is base_model_name_or_path right?"
            )


def write_peft_folder(
    folder: str | epath.PathLike,
    params: Params,
    config: ModelConfig,
    base: BaseModel,
    tokenizer: Tokenizer | None = None,
    *,
    source_files: SourceFiles | None = None,
    overwrite: bool = False,
) -> None:
    """Write the adapters `params` of `config.lora` as PEFT saves them, float32.

    Raises:
        UserError: the folder is not empty (without `overwrite`).
    """
    lora = config.lora
    assert lora is not None
    arrays = dict(_peft_tensors(jax.device_get(params), config))
    names = short_names(config)
    fields = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.source,
        "revision": base.revision,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "use_rslora": lora.rslora,
        "bias": "none",
        # Whether linear layers are Conv1D, [in, out], as GPT-2's.
        "fan_in_fan_out": config.positions == "learned",
        "inference_mode": True,
        "target_modules": [names[ours] for ours in lora.targets],
    }
    with whole_folder(folder, overwrite=overwrite) as target:
        if target is None:
            return
        write_source_files(target, tokenizer, source_files)
        (target / CONFIG).write_text(json.dumps(fields, indent=2) + "\n")
        infos = {
            name: TensorInfo(shape=array.shape, dtype=array.dtype) for name, array in arrays.items()
        }
        with (target / _WEIGHTS).open("wb") as file:
            write_safetensors(file, infos, arrays.__getitem__)


def _peft_tensors(params: Params, config: ModelConfig) -> Iterator[tuple[str, np.ndarray]]:
    assert config.lora is not None
    modules = lora_modules(config)
    for ours in config.lora.targets:
        adapter, is_stacked = leaf(params, lora_path(ours)), lora_path(ours)[0] == "blocks"
        form = "lora_embedding_{}" if ours == "embed" else "lora_{}.weight"
        for layer in range(config.num_layers if is_stacked else 1):
            for part in "ab":
                array = adapter[part][layer] if is_stacked else adapter[part]
                name = f"{modules[ours].format(layer=layer)}.{form.format(part.upper())}"
                yield _PREFIX + name, np.asarray(array, np.float32).T


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


def _pairs(file: SafetensorsFile) -> dict[str, dict[str, str]]:
    """Module name in the base model -> names of its A [r, in] and B [out, r], as `a` and `b`."""
    found: dict[str, dict[str, str]] = {}
    for name in file.tensors:
        if name.endswith(_BASE_LAYER):
            continue
        match = re.fullmatch(
            re.escape(_PREFIX) + r"(.+)\.lora_(?:embedding_)?(A|B)(?:\.default)?(?:\.weight)?", name
        )
        if match is None:
            raise UserError(f"{file.path}: {name} is no weight of a LoRA adapter")
        found.setdefault(match[1], {})[match[2].lower()] = name
    for module, pair in found.items():
        if pair.keys() != {"a", "b"}:
            raise UserError(f"{file.path}: {module} has only lora_{next(iter(pair)).upper()}")
    return found
