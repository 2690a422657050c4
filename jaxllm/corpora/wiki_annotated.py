"""Wikipedia Annotated Corpus (ku-nlp): five tasks on texts with gold linguistic annotations.

The first sentences of Wikipedia articles, one KNP file each, with lists of the documents of train,
dev and test. `wiki_annotated_tasks.py` says what each task asks of a document.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence

import rhoknp
from etils import epath

from jaxllm.corpora import base, raw
from jaxllm.corpora import wiki_annotated_tasks as tasks
from jaxllm.errors import MissingData

_TAG = "v1.1.2"
_FOLDER = raw.RawFolder(
    path="wiki_annotated",
    url=f"https://github.com/ku-nlp/WikipediaAnnotatedCorpus/archive/refs/tags/{_TAG}.tar.gz",
    inside=f"WikipediaAnnotatedCorpus-{_TAG.removeprefix('v')}",
)
_SPLITS = ("train", "dev", "test")
# A later state of the repository than the tag has the same morphemes and dependencies in dev and
# test, but by the counts in its README one named entity and four predicates more in test.
_NOT_REPRODUCED = "the published sha256 of dev could not be reproduced from the annotations: "


def _reader(task: Callable[[rhoknp.Document], base.Pair], split: str) -> base.Reader:
    def read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
        pairs = [task(document) for document in _documents(open_raw(_FOLDER.path), split)]
        return {split: [pair for pair in pairs if pair.output]}

    return read


def _documents(folder: epath.Path, split: str) -> list[rhoknp.Document]:
    """The documents of a split in the order of their ids; MissingData unless all of them are here.

    A split of fewer documents would have other shots and other scores.
    """
    ids_file = folder / "id" / f"{split}.id"
    if not ids_file.exists():
        raise MissingData(f"{ids_file} is not here; it comes with {_FOLDER.url}")
    ids = sorted(ids_file.read_text(encoding="utf-8").split())
    files = [folder / "knp" / id[:8] / f"{id}.knp" for id in ids]
    here = [file for file in files if file.exists()]
    if len(here) < len(files):
        raise MissingData(
            f"{len(here)} of the {len(files)} {split} documents are below {folder / 'knp'}; the"
            f" whole corpus is {_FOLDER.url}"
        )
    return [_document(file) for file in files]


def _document(file: epath.Path) -> rhoknp.Document:
    # rhoknp warns of entities that cover a part of a morpheme, which are all optional ones.
    logger = logging.getLogger("rhoknp")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with raw.reading(file):
            return rhoknp.Document.from_knp(file.read_text(encoding="utf-8"))
    finally:
        logger.setLevel(level)


_corpus = functools.partial(
    base.Corpus,
    source=f"github ku-nlp/WikipediaAnnotatedCorpus {_TAG}, knp/ and id/",
    licence="CC BY-SA 4.0",
    files=(_FOLDER,),
)

WIKI_READING = _corpus(
    name="wiki_reading",
    instruction=(
        "与えられたテキストを全てひらがなに変換してください。"
        "回答の他には何も含めないことを厳守してください。"
    ),
    output_length=512,
    metrics=("char_f1",),
    sha256={
        "train": "60fabed70b5f56af656607ca57eef0a9890aae97fa0825e52fbefbcd6dbdd3a3",
        "dev": "a7effd48ba08ce8be97df1736ccb39351d1b954f067593fa3975f105d089009e",
        "test": "e190094e21b3786e5d461c55bea7a9c554bfc228c55c5816897495833684125f",
    },
    readers=tuple(_reader(tasks.reading, split) for split in _SPLITS),
)
WIKI_NER = _corpus(
    name="wiki_ner",
    instruction=(
        "与えられたテキストから固有表現（組織名、人名、地名、固有物名、日付表現、時刻表現、"
        "金額表現、割合表現）を全て抽出してください。回答の他には何も含めないことを厳守して"
        "ください。回答には「固有表現1（種類1） 固有表現2（種類2）」のように固有表現の種類も"
        "含めてください。"
    ),
    output_length=256,
    metrics=("set_f1",),
    sha256={
        "train": "51e08c84fabb4811ca473d6a42603aa7bbc69a3f60128000eedbefdf96b8aa15",
        "dev": "8547820e11679dbd3782aa3201a56be496a953a11a1403fb6874aaf6f678237a",
        "test": "bf0e992f459d66be13c7aaf6650f822d70bdcd90278185a11fe9125cef86800a",
    },
    unverified=_NOT_REPRODUCED + "there are as many rows, but their exact form is not known",
    readers=tuple(_reader(tasks.named_entities, split) for split in _SPLITS),
)
WIKI_DEPENDENCY = _corpus(
    name="wiki_dependency",
    instruction=(
        "与えられたテキストについて文節間の係り受け関係を列挙してください。"
        "回答の他には何も含めないことを厳守してください。"
        "回答は以下のような形式で答えてください。\n"
        "係り元文節1 -> 係り先文節1\n"
        "係り元文節2 -> 係り先文節2"
    ),
    output_length=512,
    metrics=("set_f1",),
    sha256={
        "train": "3fdfee3eaf182d87b3615096fd07a0a472be32f24fd05fd7c1c85bea837ba550",
        "dev": "de405fe7788d0ffa1d31398caa1d4bdf56728c3f3f5a9485f43ee68d3ea403a4",
        "test": "d76775c7e050b1b860a38d83425f6fc0756d063ac1b8a0a62e966719fb93d0c6",
    },
    readers=tuple(_reader(tasks.dependencies, split) for split in _SPLITS),
)
WIKI_PAS = _corpus(
    name="wiki_pas",
    instruction=(
        "与えられたテキストから述語項構造を全て抽出してください。"
        "回答の他には何も含めないことを厳守してください。"
        "回答は以下のような形式で答えてください。\n"
        "述語1 ガ：項1 ヲ：項2 ニ：項3\n"
        "述語2 ガ：項4 ヲ：項5"
    ),
    output_length=512,
    metrics=("set_f1",),
    sha256={"dev": "accb3307d8cd48b83831527245e679fe5d52b51e1262f82aa86fefbe9429e9a3"},
    unverified=_NOT_REPRODUCED + "how a phrase is cut and which arguments stand is not published",
    readers=tuple(_reader(tasks.predicates, split) for split in _SPLITS),
)
WIKI_COREFERENCE = _corpus(
    name="wiki_coreference",
    instruction=(
        "与えられたテキストから同一の対象を指し示すフレーズを全て抽出してください。"
        "回答の他には何も含めないことを厳守してください。"
        "回答は以下のような形式で答えてください。\n"
        "フレーズ1 フレーズ2 フレーズ3\n"
        "フレーズ4 フレーズ5"
    ),
    output_length=256,
    metrics=("set_f1",),
    sha256={"dev": "0e83398d8619b1bcc86f3a3abd8fead41f142fe0b3416b9733648a9cbda2197a"},
    unverified=_NOT_REPRODUCED + "how a phrase is cut is not published",
    readers=tuple(_reader(tasks.coreferences, split) for split in _SPLITS),
)


class WikiAnnotated(base.CorpusBuilder):
    """The five tasks on the Wikipedia Annotated Corpus."""

    BUILDER_CONFIGS = base.configs(
        WIKI_READING, WIKI_NER, WIKI_DEPENDENCY, WIKI_PAS, WIKI_COREFERENCE
    )
