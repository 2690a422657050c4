"""Whether the corpora made here are the pinned ones, split by split."""

from __future__ import annotations

import dataclasses
import os
from typing import Literal

from jaxllm.corpora import base, store
from jaxllm.errors import MissingData, UserError

Judgement = Literal[
    "equal", "differs", "no published digest", "no raw data", "refused", "no reader"
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """One split: what it came out as (None where it did not), what it must be, and why not.

    `digest` says whose `expected` is: "published" by others or "derived", "" where there is none.
    "refused" is a raw file that is not the pinned one or cannot be read, "no reader" a corpus that
    is not known here (`split` is empty then). `unverified` is the corpus's own word on what is not
    known about its form.
    """

    corpus: str
    split: str
    rows: int | None = None
    sha256: str | None = None
    expected: str | None = None
    digest: Literal["published", "derived", ""] = ""
    judgement: Judgement
    why: str = ""
    unverified: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether this must not be: a corpus whose form is not known for sure may differ."""
        return self.judgement == "refused" or (self.judgement == "differs" and not self.unverified)


def verify(
    name: str,
    *,
    data_dir: str | os.PathLike,
    raw_dir: str | os.PathLike | None = None,
    accept_noncommercial: bool = False,
    progress: base.ProgressCallback = lambda what, done, total: None,
) -> list[Verdict]:
    """A verdict on every split of the corpus, which is prepared below `data_dir` where it is not.

    The digests are those of the rows on disk, not what was written down when they were prepared.
    """
    if name not in store.names():
        return [Verdict(corpus=name, split="", judgement="no reader")]
    corpus = store.get(name)
    found: dict[str, tuple[int, str]] = {}
    absent: Judgement = "no raw data"
    why: dict[str, str] = {}
    try:
        store.prepare(
            [name],
            data_dir=data_dir,
            raw_dir=raw_dir,
            accept_noncommercial=accept_noncommercial,
            progress=progress,
        )
    except base.OtherRows as error:
        found = dict(error.found)
    except MissingData as error:
        why = dict.fromkeys(corpus.splits, str(error))
    except UserError as error:
        absent, why = "refused", dict.fromkeys(corpus.splits, str(error))
    else:
        found, why = _stored(name, data_dir)
    return [_verdict(corpus, split, found.get(split), absent, why) for split in corpus.splits]


def _stored(
    name: str, data_dir: str | os.PathLike
) -> tuple[dict[str, tuple[int, str]], dict[str, str]]:
    """Rows and digest of each split on disk, and what there is to say about some splits."""
    about = store.info(name, data_dir)
    why = dict(about["missing"])
    found = {}
    for split, prepared in about["sha256"].items():
        digest = base.digest(store.canonical_json(name, split, data_dir=data_dir))
        found[split] = (about["splits"][split], digest)
        if digest != prepared:
            why[split] = (
                f"the rows on disk are not those that were prepared: remove {name} from"
                f" {os.fspath(data_dir)} and prepare it again"
            )
    return found, why


def _verdict(
    corpus: base.Corpus,
    split: str,
    found: tuple[int, str] | None,
    absent: Judgement,
    why: dict[str, str],
) -> Verdict:
    expected = corpus.sha256.get(split)
    judgement: Judgement
    if found is None:
        judgement = absent
    elif found[1] == expected:
        judgement = "equal"
    elif expected or split in why:
        judgement = "differs"
    else:
        judgement = "no published digest"
    rows, sha256 = found or (None, None)
    return Verdict(
        corpus=corpus.name,
        split=split,
        rows=rows,
        sha256=sha256,
        expected=expected,
        digest="" if not expected else "published" if split in corpus.published else "derived",
        judgement=judgement,
        why=why.get(split, ""),
        unverified=corpus.unverified,
    )
