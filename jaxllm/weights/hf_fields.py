"""Reading a Hugging Face `config.json` field by field, and refusing what was not understood.

A field is read, or must hold the value that leaves the computation alone, or is known to be inert.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxllm.errors import UserError

_ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}

# Fields that must hold one of these values; any other changes what is computed.
_REQUIRED: dict[str, tuple[Any, ...]] = {
    "add_cross_attention": (False,),
    "is_encoder_decoder": (False,),
    "partial_rotary_factor": (1.0,),
    "per_layer_config": ({},),
    "pruned_heads": ({},),
    "reorder_and_upcast_attn": (False,),
    "rope_interleaved": (False,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "scale_attn_weights": (True,),
    "use_sliding_window": (False,),
}

# Fields that never change the logits: names, token ids, training-only dropout, output switches,
# defaults for generation, and what old transformers versions wrote into every file.
_INERT = frozenset(
    """
    _name_or_path _attn_implementation_autoset architectures model_type transformers_version
    dtype torch_dtype torchscript use_bfloat16 use_cache tokenizer_class name_or_path
    bos_token_id eos_token_id pad_token_id sep_token_id decoder_start_token_id
    forced_bos_token_id forced_eos_token_id bad_words_ids begin_suppress_tokens suppress_tokens
    attention_dropout hidden_dropout resid_pdrop embd_pdrop attn_pdrop
    gradient_checkpointing pretraining_tp chunk_size_feed_forward n_ctx
    id2label label2id num_labels problem_type finetuning_task task_specific_params
    output_attentions output_hidden_states output_scores return_dict return_dict_in_generate
    remove_invalid_values prefix is_decoder cross_attention_hidden_size tie_encoder_decoder
    tf_legacy_loss max_length max_sequence_length min_length do_sample early_stopping num_beams
    num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty
    length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size num_return_sequences
    exponential_decay_length_penalty max_new_tokens max_window_layers
    summary_type summary_use_proj summary_activation summary_proj_to_labels
    summary_first_dropout unsloth_fixed unsloth_version tie_last_hidden_states
    """.split()
)


class Fields:
    """A config.json that remembers which of its fields were read."""

    def __init__(self, fields: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._fields, self._defaults = fields, defaults
        self._read: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """The field's value; what is absent or null takes the family's default, then `default`."""
        self._read.add(name)
        for value in (self._fields.get(name), self._defaults.get(name)):
            if value is not None:
                return value
        return default

    def size(self, name: str, default: int | None = None) -> int:
        """A positive integer.

        Raises:
            UserError: it is absent and has no default, or it is something else.
        """
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"config.json: `{name}` must be a positive integer, not {value!r}")
        return value

    def activation(self, name: str) -> Any:
        """Our name of the activation function."""
        value = self.get(name)
        if value not in _ACTIVATIONS:
            raise UserError(
                f"config.json: {name}={value!r} is no activation this program computes; "
                f"supported: {', '.join(_ACTIVATIONS)}"
            )
        return _ACTIVATIONS[value]

    def refuse_unread(self) -> None:
        """Call it last: a field nobody read must be one that changes nothing.

        Raises:
            UserError: naming the first field that is not, and its value.
        """
        for name, value in self._fields.items():
            if name in self._read or name in _INERT or value is None:
                continue
            if name == "auto_map" and not any("AutoModel" in key for key in value):
                continue  # a tokenizer class of its own does not change the model
            if name == "layer_types" and set(value) == {"full_attention"}:
                continue
            if name == "sliding_window" and self._fields.get("use_sliding_window") is False:
                continue
            if name not in _REQUIRED:
                raise UserError(
                    f"config.json: `{name}`={value!r} is a setting this program does not "
                    "implement and that may change what the model computes; if it does not, "
                    "remove the field from config.json"
                )
            if value not in _REQUIRED[name]:
                raise UserError(
                    f"config.json: `{name}`={value!r} changes what the model computes and is not "
                    f"implemented; supported: {_REQUIRED[name][0]!r}"
                )
