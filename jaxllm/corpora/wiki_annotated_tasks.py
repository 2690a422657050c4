"""What the five tasks on the Wikipedia Annotated Corpus ask of a document, and the answers.

A document is a text of a few sentences. What stood in brackets is cut out of its sentence and
follows as a sentence of its own; most tasks leave it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from rhoknp import BasePhrase, Document, Morpheme, Sentence
from rhoknp.cohesion import EndophoraArgument

from jaxllm.corpora import base

# How one spells the letters of abbreviations.
_LETTERS = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            "えー びー しー でぃー いー えふ じー えいち あい じぇー けー える えむ えぬ おー ぴー"
            " きゅー あーる えす てぃー ゆー ぶい だぶりゅー えっくす わい ぜっと"
        ).split(),
        strict=True,
    )
)
_ENTITY_TYPES: Mapping[str, str] = {
    "ORGANIZATION": "組織名",
    "PERSON": "人名",
    "LOCATION": "地名",
    "ARTIFACT": "固有物名",
    "DATE": "日付表現",
    "TIME": "時刻表現",
    "MONEY": "金額表現",
    "PERCENT": "割合表現",
}
_BRACKETS = re.compile(r"括弧始:(?P<open>\S+) 括弧終:(?P<close>\S+) 括弧位置:(?P<place>\d+)")
_CASES = ("ガ", "デ", "ト", "ニ", "ヘ", "ヲ", "カラ", "ガ２", "マデ", "ヨリ")
_FUNCTION_WORDS = ("助詞", "特殊", "判定詞")


def reading(document: Document) -> base.Pair:
    """The text in hiragana, with its punctuation."""
    sentences = _sentences(document)
    return base.Pair(_text(sentences), "".join(map(_hiragana, _morphemes(sentences))))


def named_entities(document: Document) -> base.Pair:
    """Names, dates and quantities with their types, all in one line; the text has its brackets."""
    entities = [
        f"{entity.text}（{_ENTITY_TYPES[entity.category.name]}）"
        for entity in document.named_entities
        if entity.category.name in _ENTITY_TYPES
    ]
    return base.Pair(_text_with_brackets(document), " ".join(entities))


def dependencies(document: Document) -> base.Pair:
    """Each bunsetsu and the one it depends on, a line each."""
    sentences = _sentences(document)
    lines = [
        f"{phrase.text} -> {phrase.parent.text}"
        for sentence in sentences
        for phrase in sentence.phrases
        if phrase.parent is not None
    ]
    return base.Pair(_text(sentences), "\n".join(lines))


def predicates(document: Document) -> base.Pair:
    """Each predicate with its arguments in the text by case, a line each."""
    sentences = _sentences(document)
    lines = [
        " ".join([_core(phrase), *arguments])
        for sentence in sentences
        for phrase in sentence.base_phrases
        if (arguments := list(_arguments(phrase)))
    ]
    return base.Pair(_text(sentences), "\n".join(lines))


def coreferences(document: Document) -> base.Pair:
    """The phrases that name the same thing, a line for every thing that is named twice or more."""
    sentences = _sentences(document)
    mentions: dict[int, list[str]] = {}
    for sentence in sentences:
        for phrase in sentence.base_phrases:
            for entity in sorted(phrase.entities, key=lambda entity: entity.eid):
                mentions.setdefault(entity.eid, []).append(_core(phrase))
    lines = [" ".join(phrases) for phrases in mentions.values() if len(phrases) > 1]
    return base.Pair(_text(sentences), "\n".join(lines))


def _sentences(document: Document) -> list[Sentence]:
    return [sentence for sentence in document.sentences if not _bracketed(sentence)]


def _bracketed(sentence: Sentence) -> re.Match[str] | None:
    return _BRACKETS.search(sentence.misc_comment)


def _text(sentences: Iterable[Sentence]) -> str:
    return "".join(sentence.text for sentence in sentences)


def _text_with_brackets(document: Document) -> str:
    """The text as it was: each place counts the brackets before it."""
    texts: list[str] = []
    for sentence in document.sentences:
        if cut := _bracketed(sentence):
            place = int(cut["place"])
            before, after = texts[-1][:place], texts[-1][place:]
            texts[-1] = f"{before}{cut['open']}{sentence.text}{cut['close']}{after}"
        else:
            texts.append(sentence.text)
    return "".join(texts)


def _morphemes(sentences: Iterable[Sentence]) -> Iterable[Morpheme]:
    return (morpheme for sentence in sentences for morpheme in sentence.morphemes)


def _hiragana(morpheme: Morpheme) -> str:
    """The first of the readings; a blank one of a morpheme that is none was not known."""
    first = morpheme.reading.split("/")[0]
    if first.isspace() and not morpheme.text.isspace():
        return ""
    if all(letter in _LETTERS for letter in first):
        return "".join(_LETTERS[letter] for letter in first)
    return first


def _arguments(predicate: BasePhrase) -> Iterable[str]:
    if predicate.pas is None:
        return
    for case in _CASES:
        for argument in predicate.pas.get_arguments(case, relax=False):
            if not isinstance(argument, EndophoraArgument) or _bracketed(argument.sentence):
                continue
            if argument.phrase != predicate.phrase:
                yield f"{case.removesuffix('２')}：{_core(argument.base_phrase)}"


def _core(phrase: BasePhrase) -> str:
    """The phrase without particles, copula and punctuation at its ends."""
    morphemes = list(phrase.morphemes)
    while morphemes and morphemes[-1].pos in _FUNCTION_WORDS:
        morphemes.pop()
    while morphemes and morphemes[0].pos in _FUNCTION_WORDS:
        morphemes.pop(0)
    return "".join(morpheme.text for morpheme in morphemes) or phrase.text
