"""One interface to every tokenizer: text to ids and back, and the ids that begin and end a text."""

from __future__ import annotations

import abc
import functools
import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from etils import epath

from jaxllm.errors import UserError
from jaxllm.text.special_tokens import SpecialTokens
from jaxllm.text.tokenizer_settings import TokenizerSettings, read_settings


class Tokenizer(abc.ABC):
    """Turns text into token ids and ids into text.

    Attributes:
      name: for logs; the folder's or the file's name.
      vocab_size: the largest id plus one; a model's embedding may have more rows.
      bos_id, eos_id, pad_id, unk_id: ids, None where the tokenizer has none. `eos_id` is always
        there, and `pad_id` falls back to it.
      adds_bos, adds_eos: whether the model's own tokenizer puts bos before a text, eos behind it.
      chat_template: the Jinja source shipped with the tokenizer, or None.
      extra_stop_ids: further ids that end an answer, from generation_config.json.
      special: the special tokens by name and id.
      prefix_after_special: whether text behind a special token gets the dummy prefix ("▁") again.
    """

    def __init__(
        self,
        *,
        name: str,
        special: SpecialTokens,
        settings: TokenizerSettings,
        vocab_size: int,
        bos_id: int | None,
        eos_id: int,
        pad_id: int | None,
        unk_id: int | None,
        adds_bos: bool,
        adds_eos: bool = False,
        prefix_after_special: bool,
    ):
        self.name = name
        self.special = special
        self.vocab_size = vocab_size
        self.bos_id = bos_id
        self.eos_id = eos_id
        self.pad_id = eos_id if pad_id is None else pad_id
        self.unk_id = unk_id
        self.adds_bos = adds_bos and bos_id is not None
        self.adds_eos = adds_eos
        self.prefix_after_special = prefix_after_special
        self.chat_template = settings.chat_template
        self.extra_stop_ids = tuple(
            i for i in settings.stop_ids if i != eos_id and 0 <= i < vocab_size
        )
        self._config = settings.config

    # What a kind of tokenizer brings.

    file_name: str

    @abc.abstractmethod
    def _file_bytes(self) -> bytes:
        """The tokenizer's own file."""

    @abc.abstractmethod
    def _encode_text(self, text: str, *, continues: bool) -> list[int]:
        """Ids of non-empty text; without the dummy prefix where it continues other text."""

    @abc.abstractmethod
    def _decode_text(self, ids: list[int], *, continues: bool) -> str:
        """Text of ids that are neither special nor out of range."""

    # What every tokenizer does.

    def encode(self, text: str, *, encode_special: bool = False) -> list[int]:
        """Returns the ids of a text, with no bos or eos around it.

        Names of special tokens in the text ("</s>") are ordinary text, so that no user can write
        a turn of the conversation; with `encode_special=True` they are read as the tokens, and
        each stretch between them is encoded apart.
        """
        if not encode_special:
            return self._encode_plain(text, continues=False)
        ids: list[int] = []
        for part in self.special.split(text):
            if isinstance(part, int):
                ids.append(part)
            else:
                continues = bool(ids) and not self.prefix_after_special
                ids += self._encode_plain(part, continues=continues)
        return ids

    def encode_continuation(self, text: str) -> list[int]:
        """Returns the ids of a text as it stands behind other text, without a dummy prefix.

        `decode(a + encode_continuation(text)) == decode(a) + text` where `a` ends in ordinary
        text and the tokenizer keeps `text` as it is.
        """
        return self._encode_plain(text, continues=True)

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Returns the text of ids; ids the tokenizer does not know become U+FFFD.

        Special tokens are left out, or written by name with `skip_special=False`; the stretches
        between them are decoded apart.
        """
        return self._decode(ids, skip_special=skip_special, continues=False)

    def decode_continuation(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Returns the text of ids that stand behind other text: a space in front of it is kept."""
        return self._decode(ids, skip_special=skip_special, continues=True)

    def token_string(self, token_id: int | None) -> str | None:
        """Returns the name of a special token, None for None and for an ordinary token."""
        return None if token_id is None else self.special.names.get(token_id)

    @functools.cached_property
    def digest(self) -> str:
        """The sha256 of the tokenizer's file and of the settings that change what it does."""
        meaning = json.dumps(
            [
                sorted(self.special.ids.items()),
                [self.bos_id, self.eos_id, self.pad_id, self.unk_id, list(self.extra_stop_ids)],
                [self.adds_bos, self.prefix_after_special, self.chat_template],
            ]
        )
        return hashlib.sha256(self._file_bytes() + meaning.encode()).hexdigest()

    def save(self, folder: epath.PathLike) -> None:
        """Writes the files from which `load_tokenizer` reads an equal tokenizer.

        They are tokenizer.model or tokenizer.json, tokenizer_config.json and, where there are
        extra stop ids, generation_config.json.
        """
        folder = epath.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.file_name).write_bytes(self._file_bytes())
        config: dict[str, Any] = {
            **self._config,
            "add_bos_token": self.adds_bos,
            "add_eos_token": self.adds_eos,
            "added_tokens_decoder": {
                **self._config.get("added_tokens_decoder", {}),
                **{str(i): self._added_token(name) for i, name in self.special.names.items()},
            },
        }
        for key in ("bos", "eos", "pad", "unk"):
            config[f"{key}_token"] = self.token_string(getattr(self, f"{key}_id"))
        if self.chat_template is not None:
            config["chat_template"] = self.chat_template
        _write_json(folder / "tokenizer_config.json", config)
        if self.extra_stop_ids:
            stop_ids = [self.eos_id, *self.extra_stop_ids]
            _write_json(folder / "generation_config.json", {"eos_token_id": stop_ids})

    def _added_token(self, name: str) -> dict[str, Any]:
        return {
            "content": name,
            "lstrip": name in self.special.strips_left,
            "normalized": False,
            "rstrip": name in self.special.strips_right,
            "single_word": False,
            "special": True,
        }

    def _encode_plain(self, text: str, *, continues: bool) -> list[int]:
        if not text:
            return []
        ids = self._encode_text(text, continues=continues)
        if self.special.names.keys().isdisjoint(ids):
            return ids
        # A model whose vocabulary holds the special names (the Unigram ones of llm-jp do) finds
        # them by itself. Cut inside each name there is nothing to find.
        first, *rest = self.special.cut(text)
        ids = self._encode_text(first, continues=continues)
        for part in rest:
            ids += self._encode_text(part, continues=True)
        return ids

    def _decode(self, ids: Iterable[int], *, skip_special: bool, continues: bool) -> str:
        texts: list[str] = []
        stretch: list[int] = []

        def close_stretch() -> None:
            if stretch:
                behind = continues if not texts else not self.prefix_after_special
                texts.append(self._decode_text(stretch, continues=behind))
                stretch.clear()

        for token_id in map(int, ids):
            known = 0 <= token_id < self.vocab_size
            if known and token_id not in self.special.names:
                stretch.append(token_id)
                continue
            close_stretch()
            if not known:
                texts.append("\ufffd")
            else:
                texts.append("" if skip_special else self.special.names[token_id])
        close_stretch()
        return "".join(texts)


def load_tokenizer(path: epath.PathLike) -> Tokenizer:
    """Loads a SentencePiece model, a tokenizer.json, or the tokenizer of a model folder.

    In a folder tokenizer.json comes before tokenizer.model, and that before a single `*.model` of
    another name. The JSON files beside it say which tokens are special; see `read_settings`. A
    SentencePiece file that stands alone takes bos, eos and pad from its own header.

    Raises UserError where there is no tokenizer, or none that names its eos.
    """
    path = epath.Path(path)
    file = _tokenizer_file(path)
    settings = read_settings(file.parent)
    generic = file.name in ("tokenizer.json", "tokenizer.model")
    name = file.parent.name if generic else file.stem
    # Imported here: a backend is a library of its own, and each derives from Tokenizer above.
    if file.suffix == ".json":
        from jaxllm.text.hf_tokenizer import HFTokenizer

        return HFTokenizer(file.read_bytes(), settings=settings, name=name)
    from jaxllm.text.sentencepiece_tokenizer import SentencePieceTokenizer

    return SentencePieceTokenizer(file.read_bytes(), settings=settings, name=name)


def _tokenizer_file(path: epath.Path) -> epath.Path:
    if path.is_dir():
        for name in ("tokenizer.json", "tokenizer.model"):
            if (path / name).exists():
                return path / name
        models = sorted(path.glob("*.model"))
        if len(models) == 1:
            return models[0]
        found = f"{len(models)} files" if models else "none"
        raise UserError(
            f"{path} has no tokenizer: looked for tokenizer.json, tokenizer.model and one *.model "
            f"({found} found); name the file itself"
        )
    if not path.exists():
        raise UserError(f"there is no tokenizer at {path}")
    if path.suffix not in (".json", ".model"):
        raise UserError(f"{path} is no tokenizer: give a *.model, a tokenizer.json or a folder")
    return path


def _write_json(path: epath.Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


def first_known(*candidates: int | None) -> int | None:
    """Returns the first candidate that is an id, or None."""
    return next((i for i in candidates if i is not None and i >= 0), None)


def strip_flags(entries: Iterable[dict[str, Any]], flag: str) -> frozenset[str]:
    """Returns the strings of the saved added tokens whose `lstrip` or `rstrip` is set."""
    return frozenset(entry["content"] for entry in entries if entry.get(flag))


def require_eos(eos_id: int | None, *, file: str, tokens: Sequence[str] = ()) -> int:
    """Returns the eos id, or raises UserError saying where it can be named."""
    if eos_id is None:
        hint = f" (its special tokens: {', '.join(tokens[:8])})" if tokens else ""
        raise UserError(
            f'{file} names no end-of-text token: put {{"eos_token": "..."}} into '
            f"tokenizer_config.json beside it{hint}"
        )
    return eos_id
