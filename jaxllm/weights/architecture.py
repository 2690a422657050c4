"""The sizes of a model whose weights need not be here."""

from __future__ import annotations

from etils import epath

from jaxllm.errors import UserError
from jaxllm.models.config import ModelConfig
from jaxllm.models.zoo import ZOO
from jaxllm.weights.hf_config import config_from_hf
from jaxllm.weights.locate import LocatedPeft, locate
from jaxllm.weights.safetensors_folder import read_config


def find_architecture(source: str) -> ModelConfig:
    """The architecture of what `load_model` would load from `source`, adapters merged.

    Of the released llm-jp models and what was tuned from them (`llm-jp/llm-jp-3-1.8b-instruct`) the
    sizes are known here; of other models on the hub their config.json is fetched.

    Raises:
        UserError: there is no such model, or one that this program cannot compute.
    """
    if epath.Path(source).exists():
        found = locate(source)
        if isinstance(found, LocatedPeft):
            return find_architecture(found.adapter.base)
        return found.config.replace(lora=None, kernels="float")
    known = [
        entry
        for entry in ZOO.values()
        if source == entry.hub_id or source.startswith(f"{entry.hub_id}-instruct")
    ]
    return known[0].config if known else _from_hub(source)


def _from_hub(name: str) -> ModelConfig:
    # Imported here: most runs load from disk, and the client takes its time.
    import huggingface_hub

    try:
        file = huggingface_hub.hf_hub_download(name, "config.json")
    except (OSError, ValueError) as error:  # all of the client's errors are one of these
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"the sizes of {name} are not known: it is no folder here and its config.json is not "
            f"to be had from the Hugging Face hub ({first}); give a folder with its config.json, "
            "or leave init_from empty and name --config.model.zoo or --config.model.architecture"
        ) from error
    return config_from_hf(read_config(epath.Path(file).parent)[0])
