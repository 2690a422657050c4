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


THINGS = (*lexicon.CATEGORIES["家具"], *lexicon.CATEGORIES["文房具"])
_QUALITIES = "大きい 高い 長い 重い 新しい 厚い".split()
OPPOSITE = {
    **{quality: lexicon.OPPOSITES[quality] for quality in _QUALITIES},
    **{lexicon.OPPOSITES[quality]: quality for quality in _QUALITIES},
}


def denied(quality: str) -> str:
    """The adjective's negation: 大きい -> 大きくない."""
    return f"{quality[:-1]}くない"


def claim(rng: random.Random, quality: str, label: str) -> str:
    """What may be said of a thing of that quality, so that the label holds; denied half the time.

    The quality itself or its opposite denied follows, its opposite or itself denied contradicts,
    and any other quality, denied or not, is open.
    """
    if label == "neutral":
        said = others(rng, tuple(OPPOSITE), quality, OPPOSITE[quality])
        return denied(said) if rng.random() < 0.5 else said
    follows, contradicts = quality, OPPOSITE[quality]
    if label == "contradiction":
        follows, contradicts = contradicts, follows
    return denied(contradicts) if rng.random() < 0.5 else follows


def inference(rng: random.Random) -> Drawn:
    """NLI: does a claim about a thing follow from what is known of it, contradict it, or neither.

    Adjectives, their opposites and negations; negation is as frequent under every label, and
    neither sentence alone tells the answer. Tested on pairs of thing and quality that train lacks.
    """
    label = rng.choice(("entailment", "contradiction", "neutral"))
    name, thing = rng.choice(lexicon.PEOPLE), rng.choice(THINGS)
    quality = rng.choice(tuple(OPPOSITE))
    premise = f"{name}の{thing}は{quality}。"
    hypothesis = f"{name}の{thing}は{claim(rng, quality, label)}。"
    return (thing, quality), Pair(f"前提：{premise}\n仮説：{hypothesis}", label)


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


# Plain past and polite past of what people do to animals they meet.
ACTIONS = (("見た", "見ました"), ("描いた", "描きました"), ("探した", "探しました"))
WHO, WHERE, WHAT = "誰が", "どこで", "何を"


class Event(NamedTuple):
    """Somebody did something to an animal somewhere."""

    person: str
    place: str
    animal: str
    action: tuple[str, str]

    def told(self) -> str:
        """The event as a sentence."""
        return f"{self.person}が{self.place}で{self.animal}を{self.action[0]}。"

    def asked(self, word: str) -> tuple[str, str]:
        """The question with that question word, and its answer."""
        answer = {WHO: self.person, WHERE: self.place, WHAT: self.animal}[word]
        return f"{word}{self.action[1]}か。", answer


def events(rng: random.Random) -> list[Event]:
    """One or two events that share nothing."""
    count = rng.choice((1, 2))
    return [
        Event(*parts)
        for parts in zip(
            rng.sample(lexicon.PEOPLE, count),
            rng.sample(PLACES, count),
            rng.sample(_ANIMALS, count),
            rng.sample(ACTIONS, count),
            strict=True,
        )
    ]


def comprehension(rng: random.Random) -> Drawn:
    """RC: who, where or what, in a passage of one or two events told apart by what was done.

    Tested on events that train never asks about.
    """
    passage = events(rng)
    event = rng.choice(passage)
    question, answer = event.asked(rng.choice((WHO, WHERE, WHAT)))
    text = "".join(each.told() for each in passage)
    return event[:3], Pair(f"文章：{text}\n質問：{question}", answer)
