"""Tokenizers stored as a Hugging Face tokenizer.json, read by the `tokenizers` library."""

from __future__ import annotations

import json
from typing import Any

import tokenizers

from jaxllm.errors import UserError
from jaxllm.text.special_tokens import SpecialTokens
from jaxllm.text.tokenizer import Tokenizer, first_known, require_eos, strip_flags
from jaxllm.text.tokenizer_settings import TokenizerSettings


class HFTokenizer(Tokenizer):
    """A tokenizer.json with the settings beside it.

    Special are its added tokens marked so, those of tokenizer_config.json, and the tokens either
    file names as bos, eos, pad or unk. Whether it adds bos and eos is what tokenizer_config.json
    says, or else what the file's own post-processor does.
    """

    file_name = "tokenizer.json"

    def __init__(self, source: bytes, *, settings: TokenizerSettings, name: str):
        self._source = source
        try:
            description = json.loads(source)
            self._tokenizer = _build(description)
        except Exception as error:
            raise UserError(f"{name} is no tokenizer.json that can be read: {error}") from None
        bare = _without_prefix(description)
        self._bare = self._tokenizer if bare is None else _build(bare)
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        special = _special_tokens(description, settings, vocabulary)

        def named(key: str) -> int | None:
            return special.ids.get(settings.names.get(key, ""))

        bos_id = named("bos_token")
        config_eos = settings.stop_ids[0] if settings.stop_ids else None
        eos_id = first_known(named("eos_token"), config_eos)
        adds_bos, adds_eos = settings.add_bos_token, settings.add_eos_token
        processed = self._tokenizer.encode("a", add_special_tokens=True).ids
        if adds_bos is None:
            adds_bos = bos_id is not None and processed[:1] == [bos_id]
        if adds_eos is None:
            adds_eos = processed[-1:] == [eos_id]
        super().__init__(
            name=name,
            special=special,
            settings=settings,
            vocab_size=1 + max([*vocabulary.values(), *special.ids.values()]),
            bos_id=bos_id,
            eos_id=require_eos(eos_id, file=name, tokens=list(special.ids)),
            pad_id=named("pad_token"),
            unk_id=named("unk_token"),
            adds_bos=adds_bos,
            adds_eos=adds_eos,
            prefix_after_special=bare is not None and not _prefixes_first_only(description),
        )
        # Something ordinary to stand in front of a continuation when it is decoded.
        self._anchor = self._tokenizer.encode("a", add_special_tokens=False).ids
        self._anchor_text = self._decode_text(self._anchor, continues=False)

    def _file_bytes(self) -> bytes:
        return self._source

    def _encode_text(self, text: str, *, continues: bool) -> list[int]:
        tokenizer = self._bare if continues else self._tokenizer
        return tokenizer.encode(text, add_special_tokens=False).ids

    def _decode_text(self, ids: list[int], *, continues: bool) -> str:
        if not continues:
            return self._tokenizer.decode(ids, skip_special_tokens=False)
        text = self._tokenizer.decode([*self._anchor, *ids], skip_special_tokens=False)
        return text[len(self._anchor_text) :]


def _build(description: dict[str, Any]) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(description))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # The library's name for "read special tokens in a text as text".
    tokenizer.encode_special_tokens = True
    return tokenizer


def _special_tokens(
    description: dict[str, Any], settings: TokenizerSettings, vocabulary: dict[str, int]
) -> SpecialTokens:
    added = description.get("added_tokens", [])
    ids = {entry["content"]: entry["id"] for entry in added if entry.get("special")}
    ids |= {name: i for name, i in settings.added_tokens.items() if name not in ids}
    for key, name in settings.names.items():
        if name in vocabulary:
            ids[name] = vocabulary[name]
        elif name not in ids and key in ("bos_token", "eos_token"):
            raise UserError(
                f"the {key} {name!r} of tokenizer_config.json or special_tokens_map.json is not "
                "in the tokenizer.json beside it"
            )
    return SpecialTokens(
        ids=ids,
        strips_left=strip_flags(added, "lstrip"),
        strips_right=strip_flags(added, "rstrip"),
    )


def _steps(part: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    """The members of a normalizer or pre-tokenizer, whether it is a Sequence or a single one."""
    if part is None:
        return []
    return part[key] if part["type"] == "Sequence" else [part]


def _adds_prefix(step: dict[str, Any]) -> bool:
    if step["type"] == "Prepend":
        return True
    if step["type"] == "Replace":
        return step["pattern"].get("Regex", "").endswith("^")
    if step["type"] == "Metaspace":
        return step.get("prepend_scheme", "always") != "never"
    return step["type"] == "ByteLevel" and step.get("add_prefix_space", False)


def _prefixes_first_only(description: dict[str, Any]) -> bool:
    return any(
        step.get("prepend_scheme") == "first"
        for step in _steps(description.get("pre_tokenizer"), "pretokenizers")
    )


def _without_prefix(description: dict[str, Any]) -> dict[str, Any] | None:
    """The same tokenizer without its dummy prefix, or None where it has none."""
    normalizers = _steps(description.get("normalizer"), "normalizers")
    pretokenizers = _steps(description.get("pre_tokenizer"), "pretokenizers")
    if not any(map(_adds_prefix, normalizers + pretokenizers)):
        return None
    kept = [step for step in normalizers if not _adds_prefix(step)]
    silenced = [
        {**step, "add_prefix_space": False}
        | ({"prepend_scheme": "never"} if step["type"] == "Metaspace" else {})
        if _adds_prefix(step)
        else step
        for step in pretokenizers
    ]
    return {
        **description,
        "normalizer": {"type": "Sequence", "normalizers": kept} if kept else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": silenced} if silenced else None,
    }
