"""Where a run begins: a model from elsewhere or from fresh weights, with adapters or without."""

from __future__ import annotations

from typing import NamedTuple

from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.input.mini_tokenizer import mini_tokenizer
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params
from jaxllm.models.int8 import quantize_blocks
from jaxllm.models.partition import combine
from jaxllm.models.settings import model_config_from_settings
from jaxllm.objectives.train_state import fresh_adapters, fresh_params
from jaxllm.parallel.agreement import first_process_first
from jaxllm.text.tokenizer import Tokenizer, load_tokenizer
from jaxllm.weights.base_model import BaseModel
from jaxllm.weights.digest import weights_digest
from jaxllm.weights.load import Model, lasting_source, load_model
from jaxllm.weights.lora_targets import LoraSettings, lora_config
from jaxllm.weights.source_files import SourceFiles


class Start(NamedTuple):
    """A model before its first step.

    Attributes:
      source_files: what stood beside weights from elsewhere.
      base: what adapters stand on; None without adapters.
    """

    params: Params
    model_config: ModelConfig
    tokenizer: Tokenizer
    source_files: SourceFiles | None
    base: BaseModel | None


def start_model(config: ConfigDict, mesh: Mesh, data_dir: str) -> Start:
    """The model that `config` trains, laid out on a mesh.

    Raises:
        UserError: a model or tokenizer that is not named, not there, or not to be adapted.
    """
    lora = LoraSettings(**config.lora)
    if lora.rank and not config.init_from:
        raise UserError(
            f"config.lora.rank={lora.rank} and no config.init_from: adapters need a model to adapt"
        )
    tokenizer = named_tokenizer(config, data_dir)
    if config.init_from:
        model = load_model(
            config.init_from,
            dtype=config.model.dtype,
            param_dtype=config.model.param_dtype,
            mesh=mesh,
        )
        numerics = {name: config.model[name] for name in ("attention", "remat", "scan_unroll")}
        tokenizer = tokenizer or model.tokenizer
        model_config = model.config.replace(**numerics)
        if not lora.rank:
            return Start(model.params, model_config, tokenizer, model.source_files, None)
        params, model_config, base = _adapted(model, model_config, lora, mesh, config.seed)
        return Start(params, model_config, tokenizer, model.source_files, base)
    assert tokenizer is not None
    model_config = model_config_from_settings(config.model, vocab_size=tokenizer.vocab_size)
    params = fresh_params(model_config, mesh, config.seed)
    return Start(params, model_config, tokenizer, None, None)


def named_tokenizer(config: ConfigDict, data_dir: str) -> Tokenizer | None:
    """The tokenizer that `config.tokenizer` names; None leaves it to `config.init_from`.

    Raises:
        UserError: neither is there, or it is no tokenizer.
    """
    if config.tokenizer == "mini":
        with first_process_first():
            return load_tokenizer(mini_tokenizer(data_dir))
    if config.tokenizer:
        return load_tokenizer(config.tokenizer)
    if config.init_from:
        return None
    raise UserError(
        "config.tokenizer is empty and there is no config.init_from to take one from: "
        "name a tokenizer file or folder"
    )


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
