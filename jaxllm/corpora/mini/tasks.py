"""The nine mini tasks: what each asks, and how its rows are drawn.

Every draw returns the combination that decides its split and the row. Answers are balanced, so a
model that does not read the input gains nothing.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from jaxllm.corpora.base import Pair
from jaxllm.corpora.mini import lexicon
from jaxllm.corpora.mini.draw import others

Drawn = tuple[tuple[object, ...], Pair]

_ANIMALS = tuple(animal.written for animal in lexicon.ANIMALS)
PLACES = tuple(place.written for place in lexicon.PLACES)


def entity_labelling(rng: random.Random) -> Drawn:
    """EL: name the companies of the news and how each did, a line `company polarity` each.

    Tested on pairs of company and event that train lacks.
    """
    companies = rng.sample(lexicon.COMPANIES, rng.choice((1, 2)))
    labels = [rng.choice(tuple(lexicon.POLARITIES)) for _ in companies]
    events = [rng.choice(lexicon.POLARITIES[label]) for label in labels]
    news = "".join(
        f"{company}は{event}。" for company, event in zip(companies, events, strict=True)
    )
    answer = "\n".join(
        f"{company} {label}" for company, label in zip(companies, labels, strict=True)
    )
    return (companies[0], events[0]), Pair(f"文章：{news}", answer)


def reading(rng: random.Random) -> Drawn:
    """FA: write a sentence in hiragana; tested on sentences whose words train has apart."""
    animal, place, verb = scene(rng)
    return (animal, place, verb), Pair(
        f"{animal.written}が{place.written}で{verb.written}",
        f"{animal.reading}が{place.reading}で{verb.reading}",
    )


def translation(rng: random.Random) -> Drawn:
    """MT: English to Japanese or back; tested on sentences whose words train has apart."""
    animal, place, verb = scene(rng)
    english = f"The {animal.english} {verb.english} near the {place.english}."
    japanese = f"{animal.written}が{place.written}の近くで{verb.written}。"
    pair = Pair(english, japanese) if rng.random() < 0.5 else Pair(japanese, english)
    return (animal, place, verb), pair


def scene(rng: random.Random) -> tuple[lexicon.Word, lexicon.Word, lexicon.Word]:
    """An animal, a place and what it does there."""
    return rng.choice(lexicon.ANIMALS), rng.choice(lexicon.PLACES), rng.choice(lexicon.VERBS)


# What is asked of a word, and the answers known.
EXAMS = (
    ("道府県庁所在地", lexicon.PREFECTURES),
    ("元素記号", lexicon.ELEMENTS),
    ("反対の言葉", lexicon.OPPOSITES),
)


def exam(rng: random.Random) -> Drawn:
    """HE: school knowledge with three choices, answered with the right one; tested on new sets."""
    name, facts = rng.choice(EXAMS)
    asked = rng.choice(tuple(facts))
    choices = [facts[asked], *rng.sample([v for k, v in facts.items() if k != asked], 2)]
    rng.shuffle(choices)
    question = f"質問：{asked}の{name}はどれですか。\n選択肢：{','.join(choices)}"
    return (asked, *choices), Pair(question, facts[asked])


def common_sense(rng: random.Random) -> Drawn:
    """MC: which of three things is of a kind, answered with the thing; tested on new sets."""
    kinds = rng.sample(tuple(lexicon.CATEGORIES), 3)
    choices = [rng.choice(lexicon.CATEGORIES[kind]) for kind in kinds]
    asked = rng.randrange(3)
    question = f"質問：{kinds[asked]}はどれですか。\n選択肢：{','.join(choices)}"
    return (kinds[asked], *choices), Pair(question, choices[asked])


_STORIES = (
    "{name}は{fruit}を{first}個持っています。{second}個もらいました。全部で何個ですか。",
    "{fruit}が{first}個あります。{name}が{second}個買いました。合わせて何個ですか。",
)


def arithmetic(rng: random.Random) -> Drawn:
    """MR: a word problem of one addition; tested on sums that train does not have in this order."""
    first, second = rng.randint(1, 12), rng.randint(1, 12)
    story = rng.choice(_STORIES).format(
        name=rng.choice(lexicon.PEOPLE),
        fruit=rng.choice(lexicon.CATEGORIES["果物"]),
        first=first,
        second=second,
    )
    return (first, second), Pair(f"問題：{story}", str(first + second))


WHEREABOUTS = ("{}は{}にいる。", "{}がいるのは{}だ。")
_TIMES = ("今、", "昼から、", "ずっと、", "")


def inference(rng: random.Random) -> Drawn:
    """NLI: does one sentence follow from another, contradict it, or neither.

    Where somebody is, or what something of theirs is like, said again in the same or other words:
    of the same person and the same place or quality (entailment), of the same person and another
    (contradiction), or of somebody else (neutral), with the same place or quality as often as not.
    Neither sentence alone tells the answer. Tested on facts that train lacks.
    """
    label = rng.choice(("entailment", "contradiction", "neutral"))
    name = rng.choice(lexicon.PEOPLE)
    subject = others(rng, lexicon.PEOPLE, name) if label == "neutral" else name
    same = label == "entailment" or (label == "neutral" and rng.random() < 0.5)
    place = rng.choice(PLACES)
    other = place if same else others(rng, PLACES, place)
    premise = rng.choice(_TIMES) + rng.choice(WHEREABOUTS).format(name, place)
    hypothesis = rng.choice(WHEREABOUTS).format(subject, other)
    return (name, place), Pair(f"前提：{premise}\n仮説：{hypothesis}", label)


_QUESTIONS = {
    "capital": (
        "{}の首都はどこですか。 {}の首都は？ {}の首都を答えてください。 {}の首都の名前は何ですか。"
        " どこが{}の首都ですか。 {}という国の首都はどこですか。 {}の首都はどの都市ですか。"
        " {}の首都を教えてください。"
    ).split(),
    "country": (
        "{}はどの国の首都ですか。 {}を首都とする国はどこですか。 {}が首都の国はどこですか。"
        " 首都が{}の国を答えてください。 首都が{}の国はどこですか。 {}はどこの国の首都でしょうか。"
        " {}を首都とする国の名前は何ですか。 {}が首都なのはどの国ですか。"
    ).split(),
    "author": (
        "{}の作者は誰ですか。 {}を書いたのは誰ですか。 {}の作者を答えてください。"
        " {}の作者の名前は何ですか。 誰が{}を書きましたか。 {}は誰の作品ですか。 {}の作者は？"
        " {}を書いた人を教えてください。"
    ).split(),
}
_FACTS = {
    "capital": lexicon.CAPITALS,
    "country": {capital: country for country, capital in lexicon.CAPITALS.items()},
    "author": lexicon.AUTHORS,
}


def knowledge(rng: random.Random) -> Drawn:
    """QA: capitals and authors from memory; tested on wordings train does not use for the fact."""
    kind = rng.choice(tuple(_QUESTIONS))
    asked = rng.choice(tuple(_FACTS[kind]))
    question = rng.choice(_QUESTIONS[kind])
    return (asked, question), Pair(f"質問：{question.format(asked)}", _FACTS[kind][asked])


class Relation(NamedTuple):
    """A fact about a person and a value, and how to ask for either."""

    values: tuple[str, ...]
    fact: str
    of_person: str
    of_value: str


RELATIONS = (
    Relation(PLACES, "{}は{}にいる。", "{}はどこにいますか。", "{}にいるのは誰ですか。"),
    Relation(
        _ANIMALS, "{}は{}を飼っている。", "{}は何を飼っていますか。", "{}を飼っているのは誰ですか。"
    ),
)


def comprehension(rng: random.Random) -> Drawn:
    """RC: look one fact up among two of the same form; tested on facts that train never asks.

    Asked for the place or thing of a person, or for the person, as often.
    """
    relation = rng.choice(RELATIONS)
    people, values = rng.sample(lexicon.PEOPLE, 2), rng.sample(relation.values, 2)
    text = "".join(relation.fact.format(*pair) for pair in zip(people, values, strict=True))
    asked = rng.randrange(2)
    person, value = people[asked], values[asked]
    if rng.random() < 0.5:
        question, answer = relation.of_person.format(person), value
    else:
        question, answer = relation.of_value.format(value), person
    return (person, value), Pair(f"文章：{text}\n質問：{question}", answer)
