"""The byte-level BPE tokenizer that a GGUF file carries in its metadata."""

from __future__ import annotations

import json
from collections.abc import Sequence

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from jaxllm.errors import UserError
from jaxllm.text.hf_tokenizer import HFTokenizer
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.text.tokenizer_settings import settings_from_values

# llama.cpp's token types.
_CONTROL, _USER_DEFINED = 3, 4

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tokenizer_from_gguf_fields(
    *,
    tokens: Sequence[str],
    merges: Sequence[str],
    token_types: Sequence[int],
    bos_id: int | None,
    eos_id: int,
    pre: str,
    chat_template: str | None = None,
    add_bos: bool | None = None,
    pad_id: int | None = None,
    name: str = "gguf",
) -> Tokenizer:
    """Builds the tokenizer of a GGUF file whose `tokenizer.ggml.model` is "gpt2".

    The arguments are the fields of the same names under `tokenizer.ggml`; a merge is two pieces
    with a space between. `pre` names the split into words: "smollm", "gpt-2", "llama-bpe" or
    "qwen2". Control tokens become special tokens.

    Raises UserError for a `pre` that is not known.
    """
    splits = {
        "smollm": [pre_tokenizers.Digits(individual_digits=True), _bytes(use_regex=True)],
        "gpt-2": [_bytes(use_regex=True)],
        "llama-bpe": [_words("{1,3}"), _bytes(use_regex=False)],
        "qwen2": [_words(""), _bytes(use_regex=False)],
    }
    if pre not in splits:
        raise UserError(
            f"{name}: the GGUF pre-tokenizer {pre!r} is not known (known: {', '.join(splits)}); "
            "put the model's tokenizer.json beside the file"
        )
    tokenizer = tokenizers.Tokenizer(
        models.BPE(
            vocab={token: index for index, token in enumerate(tokens)},
            merges=[_pair(merge) for merge in merges],
            # Llama 3 takes a word that is a token as it is, without asking the merges.
            ignore_merges=pre == "llama-bpe",
        )
    )
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits[pre])
    tokenizer.decoder = decoders.ByteLevel()
    special = {token: i for i, token in enumerate(tokens) if token_types[i] == _CONTROL}
    tokenizer.add_special_tokens(list(special))
    tokenizer.add_tokens(
        [
            tokenizers.AddedToken(token, normalized=False)
            for token, kind in zip(tokens, token_types, strict=True)
            if kind == _USER_DEFINED
        ]
    )
    ids: dict[str, int | None] = {"bos_token": bos_id, "eos_token": eos_id, "pad_token": pad_id}
    settings = settings_from_values(
        names={key: tokens[i] for key, i in ids.items() if i is not None},
        added_tokens=special,
        chat_template=chat_template,
        add_bos_token=add_bos,
    )
    # Written anew with sorted keys: the library orders its vocabulary by chance.
    source = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, sort_keys=True)
    return HFTokenizer(source.encode(), settings=settings, name=name)


def _bytes(*, use_regex: bool) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def _words(digits: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(tokenizers.Regex(_WORDS % digits), behavior="isolated")


def _pair(merge: str) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    return left, right
