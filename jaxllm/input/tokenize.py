"""Render a source's records into token ids and loss weights: once, in parallel, kept on disk."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from etils import epath

import jaxllm
from jaxllm.errors import UserError
from jaxllm.input.held_out import is_held_out
from jaxllm.input.records import Record, parse
from jaxllm.input.sources import Source
from jaxllm.input.token_store import read_tokens, write_tokens
from jaxllm.input.tokens import TokenizeCounts, TokenizedSource, TokenPart, join_parts
from jaxllm.input.workers import Workers, num_cpus
from jaxllm.text.example import Example, Message
from jaxllm.text.spans import BosPolicy, Rendered
from jaxllm.text.templates import Template
from jaxllm.text.tokenizer import Tokenizer

_CHUNK = 256  # records rendered at a time
# So much is rendered before other processes are started, which takes them half a second.
_ALONE_SECONDS = 1.0
_MAX_PROCESSES = 32  # beyond them, reading the records is what takes the time
# Rooms and libraries whose code decides what tokens come out.
_ROOMS = ("text", "input")
_LIBRARIES = ("jinja2", "sentencepiece", "tokenizers")

_NO_IDS, _NO_WEIGHTS = np.zeros(0, np.int32), np.zeros(0, np.float32)

Truncation = Literal["drop", "truncate", "error"]
Part = Literal["train", "held_out"]


def whole(example: Example) -> tuple[Example, ...]:
    """The example as its only sequence of tokens."""
    return (example,)


def tokenize(
    source: Source,
    template: Template,
    tokenizer: Tokenizer,
    *,
    name: str,
    max_length: int | None,
    truncation: Truncation = "drop",
    bos: BosPolicy = "auto",
    held_out: float = 0.0,
    part: Part = "train",
    sequences: Callable[[Example], tuple[Example, ...]] = whole,
    data_dir: epath.PathLike | None = None,
    progress: Callable[[int], None] | None = None,
) -> TokenizedSource:
    """Renders every example with the template and lays the results end to end.

    Args:
      source: where the records come from.
      template: has `name` and `render(tokenizer, messages, bos=)`.
      tokenizer: has `digest`.
      name: the source's name.
      max_length: most tokens an example may have, or None; a row of T positions holds T + 1.
      truncation: what happens to a longer one. "drop" leaves it out; "truncate" keeps its first
        `max_length` tokens, so the end of the last answer and its end-of-text token are lost
        while the prompt stays whole, and drops it when no trained token is left; "error" stops.
      bos: "auto", "always" or "never", as the template takes it.
      held_out: the share of the examples that is kept out of training (see `is_held_out`).
      part: whether those, or the others, are wanted.
      sequences: what an example is made of, each to be rendered for itself, kept or dropped
        together; a function of a module, so that other processes can be told.
      data_dir: the result is kept in `data_dir/cache` under a key of everything it depends on,
        and read from there the next time; None turns the cache off.
      progress: called with the number of records done since its last call.

    Raises:
      UserError: a record that is no example, or cannot be rendered; a too long one under "error";
        no trained token in the whole source; a full disk.
    """
    if truncation not in ("drop", "truncate", "error"):
        raise UserError(f'truncation is {truncation!r}; write "drop", "truncate" or "error"')
    if max_length is not None and max_length < 2:
        raise UserError(f"max_length is {max_length}; an example needs at least 2 tokens")
    if not 0 <= held_out < 1:
        raise UserError(f"{name}: held_out is {held_out}; it is a share, such as 0.05")
    render = _Render(
        template=template,
        tokenizer=tokenizer,
        max_length=max_length,
        truncation=truncation,
        bos=bos,
        held_out=held_out,
        part=part,
        sequences=sequences,
    )
    origin = render.origin(source)
    if data_dir is None:
        return join_parts(_parts(source, render, name, progress), name=name, origin=origin)
    folder = epath.Path(data_dir) / "cache" / f"tokens-{render.key(origin)[:32]}"
    kept = read_tokens(folder, name=name, origin=origin)
    if kept is None:
        write_tokens(folder, _parts(source, render, name, progress))
        kept = read_tokens(folder, name=name, origin=origin)
        if kept is None:
            raise UserError(f"{folder} does not hold what was just written; is the disk damaged?")
    elif progress:
        progress(kept.counts.read)
    return kept


def _parts(
    source: Source, render: _Render, name: str, progress: Callable[[int], None] | None
) -> Iterator[TokenPart]:
    """Yields the source part by part, rendered here at first and then by several processes."""
    counts = TokenizeCounts(read=0, kept=0, truncated=0, dropped_long=0, dropped_untrained=0)
    for part in _rendered(source, render):
        counts += part.counts
        if progress:
            progress(part.counts.read)
        yield part
    if not counts.kept:
        raise UserError(render.why_nothing_is_left(name, counts))


def _rendered(source: Source, render: _Render) -> Iterator[TokenPart]:
    records = source.records()
    chunks = iter(lambda: tuple(itertools.islice(records, _CHUNK)), ())
    began = time.monotonic()
    for chunk in chunks:
        yield render(chunk)
        if time.monotonic() - began > _ALONE_SECONDS:
            break
    num_processes = min(num_cpus(), _MAX_PROCESSES)
    if num_processes == 1:
        yield from map(render, chunks)
        return
    first = next(chunks, None)
    if first is not None:
        with Workers(render, num_processes) as workers:
            yield from workers.map(itertools.chain([first], chunks))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Render:
    """From records to tokens: all that tokens depend on beside the records."""

    template: Template
    tokenizer: Tokenizer
    max_length: int | None
    truncation: Truncation
    bos: BosPolicy
    held_out: float
    part: Part
    sequences: Callable[[Example], tuple[Example, ...]]

    def __call__(self, records: Sequence[Record]) -> TokenPart:
        """Renders a stretch of records."""
        found: list[Rendered] = []
        example_ids: list[str] = []
        counts = dict.fromkeys(("truncated", "dropped_long", "dropped_untrained", "held_out"), 0)
        for record in records:
            example = parse(record)
            if is_held_out(example, self.held_out) != (self.part == "held_out"):
                counts["held_out"] += 1
                continue
            sequences, rendered = self._sequences(record.place, example)
            is_long = self.max_length and max(len(r.ids) for r in rendered) > self.max_length
            if is_long and self.truncation == "error":
                raise UserError(
                    f"{record.place}: the example has {max(len(r.ids) for r in rendered)} tokens, "
                    f"more than max_length {self.max_length}; raise max_length, or set truncation "
                    'to "drop" or "truncate"'
                )
            if is_long and self.truncation == "drop":
                counts["dropped_long"] += 1
                continue
            cut = [_first(r, self.max_length) for r in rendered]
            # The first token has no predecessor, so its weight can train nothing.
            if not all(np.any(r.loss_weights[1:] > 0) for r in cut):
                counts["dropped_untrained"] += 1
                continue
            counts["truncated"] += bool(is_long)
            found += cut
            example_ids += [sequence.id for sequence in sequences]
        dropped = sum(counts.values()) - counts["truncated"]
        return TokenPart(
            ids=np.concatenate([_NO_IDS, *(r.ids for r in found)]),
            loss_weights=np.concatenate([_NO_WEIGHTS, *(r.loss_weights for r in found)]),
            lengths=np.array([len(r.ids) for r in found], np.int64),
            example_ids=tuple(example_ids),
            counts=TokenizeCounts(read=len(records), kept=len(records) - dropped, **counts),
        )

    def _sequences(
        self, place: str, example: Example
    ) -> tuple[tuple[Example, ...], list[Rendered]]:
        try:
            sequences = self.sequences(example)
            return sequences, [self._rendered(sequence) for sequence in sequences]
        except UserError as error:
            raise UserError(f"{place}: {error}") from None

    def _rendered(self, example: Example) -> Rendered:
        rendered = self.template.render(self.tokenizer, example.messages, bos=self.bos)
        given = example.messages[: example.num_given]
        if any(message.role == "assistant" for message in given):
            prompt = self.template.prompt_ids(self.tokenizer, given, bos=self.bos)
            rendered.loss_weights[: len(prompt)] = 0
        return rendered

    def origin(self, source: Source) -> dict[str, Any]:
        """What the tokens are made from, by the names of `provenance.CAUSES`."""
        probe = (
            Message(role="user", content="1", context="2"),
            Message(role="assistant", content="3"),
        )
        written = self.template.render(self.tokenizer, probe, bos="never").ids
        return {
            "data": source.contents.digest,
            "template": f"{self.template.name} {hashlib.sha256(written.tobytes()).hexdigest()[:8]}",
            "tokenizer": self.tokenizer.digest,
            "max_length": self.max_length,
            "truncation": self.truncation,
            "bos": self.bos,
            "held_out": self.held_out,
        }

    def key(self, origin: Mapping[str, Any]) -> str:
        """The sha256 of all that the tokens depend on, the code that makes them included."""
        sequences = f"{self.sequences.__module__}.{self.sequences.__qualname__}"
        depends_on = {**origin, "part": self.part, "sequences": sequences, "code": _code_digest()}
        return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()

    def why_nothing_is_left(self, name: str, counts: TokenizeCounts) -> str:
        """Says what became of all the examples of a source."""
        if counts.held_out == counts.read:
            left = "held out" if self.part == "held_out" else "left to train on"
            return (
                f"{name}: with held_out={self.held_out} none of its {counts.read} examples is "
                f"{left}; choose another share"
            )
        return (
            f"{name}: none of its {counts.read - counts.held_out} examples has a token to train on "
            f"({counts.dropped_long} are longer than max_length {self.max_length}, "
            f"{counts.dropped_untrained} have no trained token within it); raise max_length or "
            f"check the template {self.template.name}"
        )


def _first(rendered: Rendered, length: int | None) -> Rendered:
    return Rendered(ids=rendered.ids[:length], loss_weights=rendered.loss_weights[:length])


@functools.cache
def _code_digest() -> str:
    """The sha256 of the code that makes tokens of records, and of its libraries' versions."""
    root = Path(jaxllm.__file__).parent
    digest = hashlib.sha256()
    for room in _ROOMS:
        for file in sorted((root / room).glob("*.py")):
            digest.update(file.read_bytes())
    for library in _LIBRARIES:
        digest.update(importlib.metadata.version(library).encode())
    return digest.hexdigest()
