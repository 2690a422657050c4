"""What a run trains on: its mixture, and the objective that this is measured by."""

from __future__ import annotations

import dataclasses
import functools

from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxllm.errors import UserError
from jaxllm.input.mixture import Mixture, read_mixture
from jaxllm.models.config import ModelConfig
from jaxllm.models.decoder import Params
from jaxllm.models.lora import is_adapter
from jaxllm.models.partition import partition
from jaxllm.objectives.dpo import REFERENCE, DpoSettings
from jaxllm.objectives.objective import Objective, compares_pairs, data_facts, make_objective
from jaxllm.objectives.reference import Reference
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.weights.digest import weights_digest
from jaxllm.weights.fingerprint import model_fingerprint


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """What `config.objective` trains on.

    Attributes:
      beside: weights that the loss wants and that no model is made of.
      reference: what a preference is measured against.
    """

    mixture: Mixture
    objective: Objective
    beside: Params = dataclasses.field(default_factory=dict)
    reference: Reference | None = None


def read_training_data(
    config: ConfigDict,
    tokenizer: Tokenizer,
    data_dir: str,
    params: Params,
    model_config: ModelConfig,
    mesh: Mesh,
) -> TrainingData:
    """Reads what `config` trains on; `params` are the weights of the start.

    Raises:
        UserError: settings or data that cannot work, or examples longer than the model's positions.
    """
    pairs = compares_pairs(config)
    mixture = read_mixture(config, tokenizer, data_dir=data_dir, pairs=pairs)
    _check_positions(mixture, model_config)
    objective = make_objective(config, mesh, data_facts(config, mixture, mesh))
    if not pairs:
        return TrainingData(mixture=mixture, objective=objective)
    settings = DpoSettings(**config.dpo)
    _, weights = partition(params, is_adapter)
    plain_config, digest = model_config.replace(lora=None), weights_digest(weights)
    # A run may not go on with another reference.
    plan = dataclasses.replace(mixture.plan, parts={**mixture.plan.parts, "reference": digest})
    reference = Reference(
        weights,
        plain_config,
        fingerprint=model_fingerprint(digest, plain_config, tokenizer),
        mesh=mesh,
        data_dir=data_dir,
    )
    sources = mixture.sources
    if settings.reference == "cached":
        rows = config.input.rows // config.input.accumulation
        ask = functools.partial(reference.annotate, rows=rows, row_length=config.input.max_length)
        sources = tuple(map(ask, sources))
    return TrainingData(
        mixture=dataclasses.replace(mixture, plan=plan, sources=sources),
        objective=objective,
        beside={REFERENCE: weights} if settings.reference == "live" else {},
        reference=reference,
    )


def _check_positions(mixture: Mixture, model_config: ModelConfig) -> None:
    """Learned positions end somewhere, and what stands beyond them would have none."""
    last = model_config.max_positions
    longest = max(int(source.lengths.max()) - 1 for source in mixture.sources)
    if mixture.plan.packing == "concat":
        longest = mixture.plan.row_length
    if model_config.positions == "learned" and longest > last:
        raise UserError(
            f"the model has {last} positions and the data has examples of {longest}: set "
            f"--config.input.max_length={last}"
        )
