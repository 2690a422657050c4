"""The programs of a config for devices that are not here: functions and abstract arguments.

Shape suffixes: A micro-batches, B rows, T positions.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.input.mixture import read_mixture
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params, abstract_params, logical_axes
from jaxllm.models.lora import is_adapter
from jaxllm.models.partition import partition
from jaxllm.models.settings import NUMERICS, model_config_from_settings
from jaxllm.objectives.dpo import REFERENCE
from jaxllm.objectives.objective import DataFacts, compares_pairs, data_facts, make_objective
from jaxllm.objectives.train_program import check_rows, make_train_program
from jaxllm.objectives.train_state import State, laid_out
from jaxllm.parallel.rules import partition_spec, shardings
from jaxllm.paths import resolve_data_dir
from jaxllm.text.tokenizer import Tokenizer, load_tokenizer
from jaxllm.training.start import named_tokenizer
from jaxllm.weights.architecture import find_architecture
from jaxllm.weights.lora_targets import LoraSettings, lora_config

# Arrays of a batch.
_INTEGERS = ("tokens", "targets", "segment_ids", "positions", "source_ids")
# Where no data was read: pairs of a row are as many as fit in answers of this many tokens.
_TOKENS_PER_PAIR = 256


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrainCall:
    """The train step and what it is called with, all abstract."""

    step: Any  # a jitted function
    state: State
    frozen: Params
    batch: dict[str, jax.ShapeDtypeStruct]


def planned_model(config: ConfigDict) -> ModelConfig:
    """The model that `config` trains, without its weights.

    Raises:
        UserError: its sizes cannot be known here.
    """
    numerics = {name: config.model[name] for name in NUMERICS}
    if config.init_from:
        model = find_architecture(config.init_from).replace(**numerics)
    else:
        model = model_config_from_settings(config.model, vocab_size=_vocab_size(config))
    lora = LoraSettings(**config.lora)
    if not lora.rank:
        return model
    return model.replace(lora=lora_config(lora, model), kernels=lora.base)


def evaluated_model(config: ConfigDict, source: str) -> ModelConfig:
    """The model that `jaxllm evaluate --model=SOURCE` asks, without its weights.

    Without a source it is the one that `config.model.zoo` or `config.model.architecture` names.

    Raises:
        UserError: it is asked elsewhere, or its sizes cannot be known here.
    """
    if config.model.get("type", "local") != "local":
        raise UserError(
            "config.model.type='api': that model runs elsewhere, there is no plan of it"
        )
    if source:
        return find_architecture(source).replace(**{name: config.model[name] for name in NUMERICS})
    if not config.model.zoo and "vocab_size" not in config.model.architecture:
        raise UserError(
            "the model is not named: give --model=llm-jp/llm-jp-3-13b, or --config.model.zoo"
        )
    return model_config_from_settings(config.model, vocab_size=0)


def read_facts(config: ConfigDict, mesh: Mesh, *, from_data: bool) -> DataFacts:
    """What the data says of a run on `mesh`, or what can be said without it.

    Without it every position is taken to carry loss: the programs then need no less.

    Raises:
        UserError: rows that do not divide over the mesh, or data that cannot be read.
    """
    check_rows(config, mesh)
    pairs = compares_pairs(config)
    if not from_data:
        most = max(1, config.input.max_length // _TOKENS_PER_PAIR)
        return DataFacts(
            num_steps=config.steps or None,
            pairs_per_row=most if pairs else 0,
            num_sources=len(config.mixture),
        )
    data_dir = resolve_data_dir(config.data_dir)
    mixture = read_mixture(config, _tokenizer(config), data_dir=data_dir, pairs=pairs)
    return data_facts(config, mixture, mesh)


def train_call(config: ConfigDict, model: ModelConfig, mesh: Mesh, facts: DataFacts) -> TrainCall:
    """What `jaxllm train` would compile for `config` on `mesh`.

    Raises:
        UserError: weights that do not divide over the mesh.
    """
    objective = make_objective(config, mesh, facts)
    # The number of steps is a constant of the schedule: it changes no shape.
    program = make_train_program(config, model, mesh, objective, facts.num_steps or 1000)
    weights = placed_params(model, mesh)
    _, frozen = partition(weights, program.is_trained)
    if config.objective == "dpo" and config.dpo.reference == "live":
        _, base = partition(weights, is_adapter)
        frozen = {**frozen, REFERENCE: base}
    return TrainCall(
        step=program.step,
        state=program.target,
        frozen=frozen,
        batch=abstract_batch(config, mesh),
    )


def placed_params(model: ModelConfig, mesh: Mesh) -> Params:
    """All weights as `jax.ShapeDtypeStruct`s with shardings."""
    params = abstract_params(model)
    return jax.tree.map(laid_out, params, shardings(mesh, logical_axes(model), params))


def abstract_batch(config: ConfigDict, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """The arrays [A, B, T] of a step."""
    rows, accumulation = config.input.rows, config.input.accumulation
    shape = (accumulation, rows // accumulation, config.input.max_length)
    layout = NamedSharding(mesh, partition_spec((None, "batch", "length")))
    dtypes = dict.fromkeys(_INTEGERS, jnp.int32)
    dtypes["loss_weights"] = jnp.float32
    if config.objective == "dpo" and config.dpo.reference == "cached":
        dtypes["reference_log_probs"] = jnp.float32
    return {
        name: jax.ShapeDtypeStruct(shape, dtype, sharding=layout) for name, dtype in dtypes.items()
    }


def _vocab_size(config: ConfigDict) -> int:
    if config.model.zoo or "vocab_size" in config.model.architecture:
        return 0  # not asked for
    return _tokenizer(config).vocab_size


def _tokenizer(config: ConfigDict) -> Tokenizer:
    named = named_tokenizer(config, resolve_data_dir(config.data_dir))
    return named or load_tokenizer(config.init_from)
