"""Corpora by name: prepare them once, load their rows, say what they are."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from jaxllm.corpora import (
    aio,
    alt,
    answer_carefully,
    base,
    chabsa,
    commonsense_moral,
    dolly,
    ichikara,
    jamp,
    janli,
    jblimp,
    jcola,
    jemhopqa,
    jglue,
    jmmlu,
    jsem,
    jsick,
    kuci,
    mawps,
    mbpp,
    mgsm,
    mini,
    mmlu,
    niilc,
    oasst,
    raw,
    wiki_annotated,
    wikicorpus,
    xlsum,
)
from jaxllm.errors import MissingData, UserError

_ORIGINS = (
    mini.Mini,
    jglue.Jglue,
    mawps.Mawps,
    jemhopqa.Jemhopqa,
    jamp.Jamp,
    janli.Janli,
    jsem.Jsem,
    jsick.Jsick,
    niilc.Niilc,
    commonsense_moral.CommonsenseMoral,
    kuci.Kuci,
    aio.Aio,
    jcola.Jcola,
    jblimp.Jblimp,
    wiki_annotated.WikiAnnotated,
    jmmlu.Jmmlu,
    mmlu.Mmlu,
    chabsa.Chabsa,
    alt.Alt,
    wikicorpus.Wikicorpus,
    mgsm.Mgsm,
    mbpp.Mbpp,
    xlsum.Xlsum,
    dolly.Dolly,
    oasst.Oasst,
    ichikara.Ichikara,
    answer_carefully.AnswerCarefully,
)
_BUILDERS = {
    config.corpus.name: (origin, config) for origin in _ORIGINS for config in origin.BUILDER_CONFIGS
}


def names() -> list[str]:
    """The names of all corpora."""
    return list(_BUILDERS)


def get(name: str) -> base.Corpus:
    """The description of a corpus; UserError with the nearest names for an unknown one."""
    if name not in _BUILDERS:
        near = difflib.get_close_matches(name, _BUILDERS, n=3, cutoff=0.4) or names()
        raise UserError(f"there is no corpus {name!r}; did you mean {', '.join(near)}?")
    return _BUILDERS[name][1].corpus


def prepare(
    names: Sequence[str],
    *,
    data_dir: str | os.PathLike,
    raw_dir: str | os.PathLike | None = None,
    accept_noncommercial: bool = False,
    progress: base.ProgressCallback = lambda what, done, total: None,
) -> None:
    """Writes each corpus below `data_dir`; one that stands there whole is left as it is.

    A corpus goes on without the splits whose raw files are not here (`info` says why), and is made
    anew when it is prepared again and one of them has come.

    A corpus appears with one rename when it is whole, so a killed run leaves nothing that loads.
    `progress(what, done, total)` is called every few hundred rows or megabyte. Raw files are looked
    for below `raw_dir`, then the environment variable JAXLLM_RAW_DIR, and downloaded otherwise.
    Raises MissingData when no split can be made, or the licence is not accepted, OtherRows when
    the rows are not the pinned ones, UserError on a raw file that is wrong or damaged.
    """
    for name in names:
        builder = _builder(name, data_dir)
        builder.raw_dir, builder.progress = raw_dir, progress
        if _is_prepared(builder) and _is_outdated(builder):
            epath.Path(builder.data_dir).rmtree()
            builder = _builder(name, data_dir)
            builder.raw_dir, builder.progress = raw_dir, progress
        if _is_prepared(builder):
            total = sum(split.num_examples for split in builder.info.splits.values())
            progress(f"prepare {name}", total, total)
            continue
        if builder.corpus.noncommercial and not accept_noncommercial:
            raise MissingData(
                f"{name} is for non-commercial use only ({builder.corpus.licence}): give"
                " --accept_noncommercial if your use is"
            )
        tfds.display_progress_bar(False)
        with _quiet():
            builder.download_and_prepare(file_format="array_record")


def load(name: str, split: str, *, data_dir: str | os.PathLike) -> list[dict[str, Any]]:
    """The rows of a split in the corpus's own order.

    A row is `{"index": int, "id": str, "instruction": str, "input": str, "output": str}`. In place
    of the texts one of a corpus of conversations has `"messages": [{"role": str, "content": str},
    ...]`, one of preferences `"prompt"`, `"chosen"` and `"rejected"`. Raises MissingData when the
    corpus is not prepared below `data_dir` or the raw file of the split was not there, UserError
    when it has no such split.
    """
    builder = _prepared(name, data_dir)
    if reason := _missing(builder).get(split):
        raise MissingData(f"{name} was prepared without its split {split!r}: {reason}")
    if split not in builder.info.splits:
        raise UserError(f"{name} has no split {split!r}; it has {', '.join(builder.info.splits)}")
    source = builder.as_data_source(split=split)
    rows = [_decoded(row) for row in source.__getitems__(range(len(source)))]
    return sorted(rows, key=lambda row: row["index"])


def _decoded(stored: dict[str, Any]) -> dict[str, Any]:
    row = {"index": int(stored["index"]), "id": stored["id"].decode("utf-8")}
    if "messages" in stored:  # TFDS hands out a sequence of dicts as a dict of sequences.
        roles, contents = stored["messages"]["role"], stored["messages"]["content"]
        turns = zip(roles, contents, strict=True)
        messages = [{"role": role.decode(), "content": content.decode()} for role, content in turns]
        return {**row, "messages": messages}
    fields = base.TEXT_FIELDS["preference" if "chosen" in stored else "pair"]
    return {**row, **{field: stored[field].decode("utf-8") for field in fields}}


def canonical_json(
    name: str, split: str, *, data_dir: str | os.PathLike, output_length: int | None = None
) -> str:
    """The stored rows of a split as `base.canonical_json` writes them.

    `output_length` stands in place of the corpus's own.
    """
    corpus = get(name)
    if output_length is not None:
        corpus = dataclasses.replace(corpus, output_length=output_length)
    rows = load(name, split, data_dir=data_dir)
    return base.canonical_json(corpus, [_as_row(corpus, row) for row in rows])


def _as_row(corpus: base.Corpus, row: dict[str, Any]) -> base.Row:
    if "messages" in row:
        return base.Conversation(tuple(base.Turn(**message) for message in row["messages"]))
    if "chosen" in row:
        return base.Preference(row["prompt"], row["chosen"], row["rejected"])
    own = "" if corpus.instruction else row["instruction"]
    return base.Pair(row["input"], row["output"], own)


def info(name: str, data_dir: str | os.PathLike) -> dict[str, Any]:
    """What stands prepared below `data_dir`.

    `splits` (rows of each), `sha256` (of each split's canonical JSON), `missing` (why a split is
    not there), `licence`, `source`.
    """
    builder = _prepared(name, data_dir)
    return {
        "splits": {split: value.num_examples for split, value in builder.info.splits.items()},
        "sha256": dict(builder.info.metadata["sha256"]),
        "missing": _missing(builder),
        "licence": builder.corpus.licence,
        "source": builder.corpus.source,
    }


def is_prepared(name: str, data_dir: str | os.PathLike) -> bool:
    """Whether the corpus stands below `data_dir`; nothing is made."""
    return _is_prepared(_builder(name, data_dir))


def absent_files(
    name: str, *, data_dir: str | os.PathLike, raw_dir: str | os.PathLike | None = None
) -> list[raw.RawFile | raw.RawFolder]:
    """The raw files of the corpus that would have to be downloaded, or fetched by hand."""
    builder = _builder(name, data_dir)
    return [
        file
        for file in builder.corpus.files
        if not raw.is_here(file, raw_dir=raw_dir, download_dir=builder.download_dir)
    ]


def _builder(name: str, data_dir: str | os.PathLike) -> base.CorpusBuilder:
    get(name)
    origin, config = _BUILDERS[name]
    return origin(data_dir=epath.Path(data_dir), config=config, file_format="array_record")


def _is_prepared(builder: base.CorpusBuilder) -> bool:
    # TFDS writes this file last, into a folder that it then renames.
    return (epath.Path(builder.data_dir) / "dataset_info.json").exists()


def _is_outdated(builder: base.CorpusBuilder) -> bool:
    """Whether it can be made with a split more, or with the rows that are pinned by now."""
    pinned = builder.corpus.sha256
    wanted = {
        split
        for split, digest in builder.info.metadata["sha256"].items()
        if pinned.get(split, digest) != digest and not builder.corpus.unverified
    }
    wanted |= set(_missing(builder))
    if not wanted:
        return False
    try:
        readable, _ = builder.read_splits()
    except MissingData:
        return False
    return bool(wanted & set(readable))


def _missing(builder: base.CorpusBuilder) -> dict[str, str]:
    """Why each split that is not there is not; older data does not say, and holds them all."""
    return dict(builder.info.metadata.get("missing", {}))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TFDS from warning that what it is about to prepare is not prepared yet."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _prepared(name: str, data_dir: str | os.PathLike) -> base.CorpusBuilder:
    builder = _builder(name, data_dir)
    if not _is_prepared(builder) and not builder.corpus.files:
        prepare([name], data_dir=data_dir)  # made here, not fetched: no reason to ask for it
        builder = _builder(name, data_dir)
    elif not _is_prepared(builder):
        raise MissingData(
            f"{name} is not prepared in {os.fspath(data_dir)}: run"
            f" `jaxllm data prepare {name} --data_dir={os.fspath(data_dir)}` first"
        )
    return builder
