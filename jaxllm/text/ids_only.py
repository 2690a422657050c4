"""What stands in place of a tokenizer where a model came without one."""

from __future__ import annotations

from typing import NoReturn

from etils import epath

from jaxllm.errors import UserError
from jaxllm.text.special_tokens import SpecialTokens
from jaxllm.text.tokenizer import Tokenizer
from jaxllm.text.tokenizer_settings import TokenizerSettings


class IdsOnly(Tokenizer):
    """Every row of the embedding is an id, and no id has a text.

    Ids decode to the empty text; to encode one is the user's error. Answers end where
    generation_config.json and config.json say, or not before their budget.
    """

    file_name = ""  # there is none

    def __init__(self, *, name: str, vocab_size: int, settings: TokenizerSettings):
        super().__init__(
            name=name,
            special=SpecialTokens(ids={}),
            settings=settings,
            vocab_size=vocab_size,
            bos_id=None,
            eos_id=next(iter(settings.stop_ids), -1),  # -1: an id that no model gives
            pad_id=None,
            unk_id=None,
            adds_bos=False,
            prefix_after_special=False,
        )

    def _encode_text(self, text: str, *, continues: bool) -> NoReturn:
        raise UserError(f"{self.name} came without a tokenizer: give token ids, not text")

    def _decode_text(self, ids: list[int], *, continues: bool) -> str:
        return ""

    def _file_bytes(self) -> bytes:
        return b""

    def save(self, folder: epath.PathLike) -> NoReturn:
        """Raises a UserError: there is nothing to save."""
        raise UserError(f"{self.name} came without a tokenizer, so that there is none to save")
