"""SentencePiece models, with or without the JSON files Hugging Face keeps beside them."""

from __future__ import annotations

import re

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from jaxllm.errors import UserError
from jaxllm.text.special_tokens import SpecialTokens
from jaxllm.text.tokenizer import Tokenizer, first_known, require_eos, strip_flags
from jaxllm.text.tokenizer_settings import TokenizerSettings

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model; the names of its special tokens come from the files beside it.

    Where those give special tokens with their ids (`added_tokens_decoder`), they are the special
    tokens, under these names; else they are the model's control pieces, its user-defined pieces
    in angle brackets, and whatever special_tokens_map.json names. A name such as `<EOD|LLM-jp>`
    that is no piece stands for the piece without the suffix, `<EOD>`.
    """

    file_name = "tokenizer.model"

    def __init__(self, model: bytes, *, settings: TokenizerSettings, name: str):
        proto = sentencepiece_model_pb2.ModelProto()
        try:
            proto.ParseFromString(model)
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except Exception as error:
            raise UserError(f"{name} is no SentencePiece model: {error}") from None
        self._model = model
        self._adds_prefix = proto.normalizer_spec.add_dummy_prefix
        self._bare = self._processor
        if self._adds_prefix:
            proto.normalizer_spec.add_dummy_prefix = False
            self._bare = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
        size = len(self._processor)
        special = _special_tokens(proto, settings)

        def named(key: str) -> int | None:
            return special.ids.get(settings.names.get(key, ""))

        bos_id = first_known(named("bos_token"), self._processor.bos_id())
        config_eos = settings.stop_ids[0] if settings.stop_ids else None
        eos_id = first_known(named("eos_token"), config_eos, self._processor.eos_id())
        # Llama's own tokenizer, which has no setting for it, adds bos; one that was made a
        # tokenizer.json (PreTrainedTokenizerFast) says so where it does.
        adds_bos = settings.add_bos_token
        if adds_bos is None:
            adds_bos = settings.config.get("tokenizer_class") != "PreTrainedTokenizerFast"
        super().__init__(
            name=name,
            special=special,
            settings=settings,
            vocab_size=max(size, 1 + max(special.ids.values(), default=0)),
            bos_id=bos_id,
            eos_id=require_eos(eos_id, file=name, tokens=list(special.ids)),
            pad_id=first_known(named("pad_token"), self._processor.pad_id()),
            unk_id=first_known(named("unk_token"), self._processor.unk_id()),
            adds_bos=adds_bos,
            adds_eos=bool(settings.add_eos_token),
            prefix_after_special=self._adds_prefix and settings.config.get("legacy") is not False,
        )

    def _file_bytes(self) -> bytes:
        return self._model

    def _encode_text(self, text: str, *, continues: bool) -> list[int]:
        return (self._bare if continues else self._processor).encode(text)

    def _decode_text(self, ids: list[int], *, continues: bool) -> str:
        size = len(self._processor)
        ids = [i if i < size else self._processor.unk_id() for i in ids]
        return (self._bare if continues else self._processor).decode(ids)


def _special_tokens(
    proto: sentencepiece_model_pb2.ModelProto, settings: TokenizerSettings
) -> SpecialTokens:
    ids_of_pieces: dict[str, int] = {}
    always: dict[str, int] = {}
    bracketed: dict[str, int] = {}
    for token_id, piece in enumerate(proto.pieces):
        ids_of_pieces[piece.piece] = token_id
        if piece.type in (_UNKNOWN, _CONTROL):
            always[piece.piece] = token_id
        elif piece.type == _USER_DEFINED and re.fullmatch(r"<[^<>\s]+>", piece.piece):
            bracketed[piece.piece] = token_id

    own = {**always, **({} if settings.added_tokens else bracketed)}
    ids = {}
    for key, name in settings.names.items():
        plain = re.sub(r"\|[^|<>]+>$", ">", name)
        token_id = settings.added_tokens.get(name, ids_of_pieces.get(name))
        token_id = ids_of_pieces.get(plain) if token_id is None else token_id
        if token_id is not None:
            ids[name] = token_id
        elif key in ("bos_token", "eos_token"):
            raise UserError(
                f"the {key} {name!r} of tokenizer_config.json or special_tokens_map.json is no "
                "piece of the SentencePiece model beside it"
            )
    ids |= settings.added_tokens
    named = set(ids.values())
    ids |= {piece: token_id for piece, token_id in own.items() if token_id not in named}
    entries = settings.config.get("added_tokens_decoder", {}).values()
    specials = set(ids.values())
    return SpecialTokens(
        ids=ids,
        aliases=frozenset(p for p, token_id in ids_of_pieces.items() if token_id in specials),
        strips_left=strip_flags(entries, "lstrip"),
        strips_right=strip_flags(entries, "rstrip"),
    )
