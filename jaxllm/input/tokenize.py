"""Render examples into flat arrays of token ids and loss weights, once, with a cache on disk."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from etils import epath

from jaxllm.errors import UserError
from jaxllm.text.example import Example
from jaxllm.text.spans import BosPolicy, Rendered
from jaxllm.text.templates import Template
from jaxllm.text.tokenizer import Tokenizer

# Raise it when this file changes what it writes for the same input.
_CACHE_VERSION = 1
_PROGRESS_EVERY = 256
_NUM_PROBES = 8

Truncation = Literal["drop", "truncate", "error"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizeCounts:
    """What became of a source's examples; `read` is the sum of kept and dropped ones.

    `truncated` are among the kept. `dropped_untrained` have no token with a loss weight, be it
    from the start or because the cut took all of them.
    """

    read: int
    kept: int
    truncated: int
    dropped_long: int
    dropped_untrained: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TokenizedSource:
    """All examples of one source, end to end: example i is `ids[offsets[i]:offsets[i + 1]]`.

    Attributes:
      name: what the plan shuffles by and the reports print.
      ids: int32 [tokens].
      loss_weights: float32 [tokens]; the weight of predicting the token at the same place.
      offsets: int64 [examples + 1].
      example_ids: where each example came from, for messages.
      counts: how many were kept, cut, dropped.
      origin: what the tokens were made from, by the names of `provenance.CAUSES`.
      reference_log_probs: float32 [tokens], what another model says of the token at the same place
        (see `jaxllm.objectives.reference`), where it was asked.
    """

    name: str
    ids: np.ndarray
    loss_weights: np.ndarray
    offsets: np.ndarray
    example_ids: tuple[str, ...]
    counts: TokenizeCounts
    origin: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reference_log_probs: np.ndarray | None = None

    @functools.cached_property
    def digest(self) -> str:
        """The sha256 of the tokens and their weights."""
        digest = hashlib.sha256(np.ascontiguousarray(self.ids, "<i4").data)
        digest.update(np.ascontiguousarray(self.loss_weights, "<f4").data)
        return digest.hexdigest()

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example, int64 [examples]."""
        return np.diff(self.offsets)

    @property
    def num_trained_tokens(self) -> int:
        """Tokens with a loss weight above 0."""
        return int(np.count_nonzero(self.loss_weights > 0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Settings:
    max_length: int
    truncation: Truncation
    bos: BosPolicy


def tokenize(
    examples: Sequence[Example],
    template: Template,
    tokenizer: Tokenizer,
    *,
    name: str,
    max_length: int,
    truncation: Truncation = "drop",
    bos: BosPolicy = "auto",
    data_dir: epath.PathLike | None = None,
    progress: Callable[[int], None] | None = None,
) -> TokenizedSource:
    """Renders every example with the template and lays the results end to end.

    Args:
      examples: of one source.
      template: has `name` and `render(tokenizer, messages, bos=)`.
      tokenizer: has `digest`.
      name: the source's name.
      max_length: most tokens an example may have; a row of T positions holds T + 1 tokens.
      truncation: what happens to a longer one. "drop" leaves it out; "truncate" keeps its first
        `max_length` tokens, so the end of the last answer and its end-of-text token are lost
        while the prompt stays whole, and drops it when no trained token is left; "error" stops.
      bos: "auto", "always" or "never", as the template takes it.
      data_dir: the result is kept in `data_dir/cache` under a key of everything it depends on,
        and read from there the next time; None turns the cache off.
      progress: called with the number of examples done since its last call.

    Raises:
      UserError: a too long example under "error"; an example the template cannot render; no
        trained token in the whole source.
    """
    if truncation not in ("drop", "truncate", "error"):
        raise UserError(f'truncation is {truncation!r}; write "drop", "truncate" or "error"')
    if max_length < 2:
        raise UserError(f"max_length is {max_length}; an example needs at least 2 tokens")
    settings = _Settings(max_length=max_length, truncation=truncation, bos=bos)
    path = None
    if data_dir is not None:
        key = _cache_key(examples, template, tokenizer, settings)
        path = epath.Path(data_dir) / "cache" / f"tokens-{key[:32]}.npz"
        cached = _read_cache(path, name, len(examples))
        if cached is not None:
            if progress:
                progress(len(examples))
            return cached
    result = _render_all(examples, template, tokenizer, settings, name, progress)
    if path is not None:
        _write_cache(path, result)
    return result


def _render(example: Example, template: Template, tokenizer: Tokenizer, bos: BosPolicy) -> Rendered:
    given = example.messages[: example.num_given]
    try:
        rendered = template.render(tokenizer, example.messages, bos=bos)
        if any(message.role == "assistant" for message in given):
            rendered.loss_weights[: len(template.prompt_ids(tokenizer, given, bos=bos))] = 0
    except UserError as error:
        raise UserError(f"{example.id}: {error}") from error
    return rendered


def _render_all(
    examples: Sequence[Example],
    template: Template,
    tokenizer: Tokenizer,
    settings: _Settings,
    name: str,
    progress: Callable[[int], None] | None,
) -> TokenizedSource:
    max_length = settings.max_length
    ids, loss_weights, example_ids = [], [], []
    truncated = dropped_long = dropped_untrained = 0
    for index, example in enumerate(examples, start=1):
        if progress and (index % _PROGRESS_EVERY == 0 or index == len(examples)):
            progress((index - 1) % _PROGRESS_EVERY + 1)
        rendered = _render(example, template, tokenizer, settings.bos)
        is_long = len(rendered.ids) > max_length
        if is_long and settings.truncation == "error":
            raise UserError(
                f"{example.id} of {name} has {len(rendered.ids)} tokens, more than max_length "
                f'{max_length}; raise max_length, or set truncation to "drop" or "truncate"'
            )
        if is_long and settings.truncation == "drop":
            dropped_long += 1
            continue
        # The first token has no predecessor, so its weight can train nothing.
        if not np.any(rendered.loss_weights[1:max_length] > 0):
            dropped_untrained += 1
            continue
        truncated += is_long
        ids.append(rendered.ids[:max_length])
        loss_weights.append(rendered.loss_weights[:max_length])
        example_ids.append(example.id)
    if not ids:
        raise UserError(
            f"{name}: none of its {len(examples)} examples has a token to train on "
            f"({dropped_long} are longer than max_length {max_length}, {dropped_untrained} have "
            f"no trained token within it); raise max_length or check the template {template.name}"
        )
    return TokenizedSource(
        name=name,
        ids=np.concatenate(ids).astype(np.int32),
        loss_weights=np.concatenate(loss_weights).astype(np.float32),
        offsets=np.cumsum([0, *map(len, ids)], dtype=np.int64),
        example_ids=tuple(example_ids),
        counts=TokenizeCounts(
            read=len(examples),
            kept=len(ids),
            truncated=truncated,
            dropped_long=dropped_long,
            dropped_untrained=dropped_untrained,
        ),
    )


def _cache_key(
    examples: Sequence[Example], template: Template, tokenizer: Tokenizer, settings: _Settings
) -> str:
    header = {
        "cache_version": _CACHE_VERSION,
        "template": template.name,
        "tokenizer": tokenizer.digest,
        **dataclasses.asdict(settings),
    }
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for part in _example_bytes(examples):
        digest.update(part)
    # A few fresh renderings stand for the code of template and tokenizer: an edit there must not
    # meet the tokens of yesterday.
    for example in examples[:: max(1, len(examples) // _NUM_PROBES)]:
        rendered = _render(example, template, tokenizer, settings.bos)
        digest.update(np.asarray(rendered.ids, np.int32).tobytes())
        digest.update(np.asarray(rendered.loss_weights, np.float32).tobytes())
    return digest.hexdigest()


def _example_bytes(examples: Sequence[Example]) -> Iterator[bytes]:
    for example in examples:
        messages = [(m.role, m.content, m.context) for m in example.messages]
        yield json.dumps([example.id, messages, example.num_given]).encode() + b"\n"


def _write_cache(path: epath.Path, source: TokenizedSource) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "example_ids": source.example_ids,
        "counts": dataclasses.asdict(source.counts),
    }
    # Several hosts may write the same key at once; each writes a file of its own and the last
    # rename wins, with the same content.
    unfinished = path.parent / f"{path.stem}-{os.getpid()}-{uuid.uuid4().hex}.unfinished"
    try:
        with unfinished.open("wb") as file:
            np.savez(
                file,
                ids=source.ids,
                loss_weights=source.loss_weights,
                offsets=source.offsets,
                about=np.frombuffer(json.dumps(about).encode(), np.uint8),
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read_cache(path: epath.Path, name: str, num_read: int) -> TokenizedSource | None:
    """Returns None for a file that is missing or damaged, so that it is written anew."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            source = TokenizedSource(
                name=name,
                ids=arrays["ids"],
                loss_weights=arrays["loss_weights"],
                offsets=arrays["offsets"],
                example_ids=tuple(about["example_ids"]),
                counts=TokenizeCounts(**about["counts"]),
            )
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        zipfile.BadZipFile,
        zlib.error,
    ):
        return None
    whole = (
        len(source.ids) == len(source.loss_weights) == source.offsets[-1]
        and len(source.offsets) == len(source.example_ids) + 1 == source.counts.kept + 1
        and source.counts.read == num_read
    )
    return source if whole else None
