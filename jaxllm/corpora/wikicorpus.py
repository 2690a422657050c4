"""Kyoto articles of Wikipedia (NICT 2011): paragraphs in Japanese with checked English.

llm-jp-eval splits the articles, not the paragraphs, and drops paragraphs of 500 characters and
more, both languages together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from etils import epath

from jaxllm.corpora import base, raw, splits
from jaxllm.errors import MissingData

_FOLDER = raw.RawFolder(
    path="wikicorpus/wiki_corpus_2.01",
    url="https://alaginrc.nict.go.jp/WikiCorpus/src/wiki_corpus_2.01.tar.gz",
)
_MAX_CHARACTERS = 500
_UNVERIFIED = (
    "that the articles are read in the order of their names is inferred; the digest of dev was not"
    " compared, for want of the raw files"
)


class _Paragraph(NamedTuple):
    ja: str
    en: str


def _reader(source: str, target: str) -> base.Reader:
    def read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
        folder = open_raw(_FOLDER.path)
        # A folder a topic; the archive may hold them in a folder of its own.
        found = [*folder.glob("*/*.xml"), *folder.glob("*/*/*.xml")]
        files = sorted(found, key=lambda file: file.name)
        if not files:
            raise MissingData(f"{folder} holds no XML files; it comes with {_FOLDER.url}")
        articles = splits.train_dev_and_test([_paragraphs(file) for file in files])
        return {
            split: [
                base.Pair(getattr(paragraph, source), getattr(paragraph, target))
                for article in part
                for paragraph in article
            ]
            for split, part in zip(("train", "dev", "test"), articles, strict=True)
        }

    return read


def _paragraphs(file: epath.Path) -> list[_Paragraph]:
    with raw.reading(file):
        # The files hold bare ampersands.
        text = file.read_text(encoding="utf-8").replace("&", "&amp;")
        paragraphs = map(_paragraph, ElementTree.fromstring(text).iter("par"))
        return [
            paragraph
            for paragraph in paragraphs
            if all(paragraph) and len(paragraph.ja) + len(paragraph.en) < _MAX_CHARACTERS
        ]


def _paragraph(par: ElementTree.Element) -> _Paragraph:
    sentences = list(par.iter("sen"))
    return _Paragraph(
        ja=" ".join(_texts(sentences, "j")), en=" ".join(_texts(sentences, 'e[@type="check"]'))
    )


def _texts(sentences: Sequence[ElementTree.Element], path: str) -> Iterator[str]:
    return (text for sentence in sentences if (text := sentence.findtext(path, "").strip()))


E_TO_J = base.Corpus(
    name="wikicorpus-e-to-j",
    source=f"{_FOLDER.url}, English to Japanese",
    licence="CC BY-SA 3.0",
    files=(_FOLDER,),
    instruction=(
        "これから提示する英語の文章を日本語に翻訳してください。必ず日本語の訳文のみを出力し、"
        "それ以外には何も含めないことを厳守してください。"
    ),
    output_length=300,
    metrics=("bleu_ja", "bert_score_ja_f1", "comet_wmt22"),
    sha256={"dev": "deab5bc3a7c1073dc6cbd16acc2d6887dc226622d35342442c64c36b64c1cc94"},
    unverified=_UNVERIFIED,
    readers=(_reader("en", "ja"),),
)
J_TO_E = base.Corpus(
    name="wikicorpus-j-to-e",
    source=f"{_FOLDER.url}, Japanese to English",
    licence="CC BY-SA 3.0",
    files=(_FOLDER,),
    instruction=(
        "これから提示する日本語の文章を英語に翻訳してください。必ず英語の訳文のみを出力し、"
        "それ以外には何も含めないことを厳守してください。"
    ),
    output_length=550,
    metrics=("bleu_en", "bert_score_en_f1", "comet_wmt22"),
    sha256={"dev": "14f78522a2e1afc5394c3bd9ed888927b904fdea598e7c2d6b168d2ed716652f"},
    unverified=_UNVERIFIED,
    readers=(_reader("ja", "en"),),
)


class Wikicorpus(base.CorpusBuilder):
    """The two directions."""

    BUILDER_CONFIGS = base.configs(E_TO_J, J_TO_E)
