"""Plain text for pre-training: the facts the tasks ask for, and drills in matching and copying.

A model this small does not learn to look things up from a few thousand questions; it does from
text in which every sentence repays it. No combination that a dev or test split asks stands here.
"""

from __future__ import annotations

import random

from jaxllm.corpora.mini import lexicon, tasks
from jaxllm.corpora.mini.draw import split_of

SIZES = {"train": 16000, "dev": 200}


_COPIED = (
    *lexicon.PEOPLE,
    *lexicon.COMPANIES,
    *tasks.PLACES,
    *(word for words in lexicon.CATEGORIES.values() for word in words),
)


def facts(rng: random.Random) -> str:
    """Four things worth knowing."""
    sentences = []
    for _ in range(4):
        kind = rng.choice(("capital", "author", "category", "exam"))
        if kind == "capital":
            country, capital = rng.choice(tuple(lexicon.CAPITALS.items()))
            sentences.append(
                rng.choice(
                    (f"{country}の首都は{capital}です。", f"{capital}は{country}の首都です。")
                )
            )
        elif kind == "author":
            work, author = rng.choice(tuple(lexicon.AUTHORS.items()))
            sentences.append(
                rng.choice((f"{work}の作者は{author}です。", f"{work}を書いたのは{author}です。"))
            )
        elif kind == "category":
            category = rng.choice(tuple(lexicon.CATEGORIES))
            sentences.append(f"{rng.choice(lexicon.CATEGORIES[category])}は{category}です。")
        else:
            name, known = rng.choice(tasks.EXAMS)
            asked, answer = rng.choice(tuple(known.items()))
            sentences.append(f"{asked}の{name}は{answer}です。")
    return "".join(sentences)


def copying(rng: random.Random) -> str:
    """A list of words, said twice."""
    words = "".join(rng.sample(_COPIED, rng.randint(4, 8)))
    return f"{words}。{words}。"


def lookup(rng: random.Random) -> str:
    """One or two events, and every question about them with its answer."""
    while True:
        passage = tasks.events(rng)
        if all(split_of(*event[:3]) == "train" for event in passage):
            break
    questions = [
        event.asked(word) for event in passage for word in (tasks.WHO, tasks.WHERE, tasks.WHAT)
    ]
    rng.shuffle(questions)
    told = "".join(event.told() for event in passage)
    return told + "".join(f"{question}{answer}。" for question, answer in questions)


def sorting(rng: random.Random) -> str:
    """Three things, and which of them is of which kind."""
    kinds = rng.sample(tuple(lexicon.CATEGORIES), 3)
    things = {kind: rng.choice(lexicon.CATEGORIES[kind]) for kind in kinds}
    listed = ",".join(things.values())
    rng.shuffle(kinds)
    return f"{listed}。" + "".join(f"{kind}はどれですか。{things[kind]}。" for kind in kinds)


def comparison(rng: random.Random) -> str:
    """A thing's quality, and whether three claims about it are right, wrong or unknown."""
    while True:
        thing, quality = rng.choice(tasks.THINGS), rng.choice(tuple(tasks.OPPOSITE))
        if split_of(thing, quality) == "train":
            break
    text = f"{thing}は{quality}。"
    verdicts = [("entailment", "本当"), ("contradiction", "嘘"), ("neutral", "不明")]
    rng.shuffle(verdicts)
    for label, verdict in verdicts:
        text += f"{thing}は{tasks.claim(rng, quality, label)}。{verdict}。"
    return text


def sums(rng: random.Random) -> str:
    """Four additions, some of them followed by the same the other way round."""
    done: list[str] = []
    while len(done) < 4:
        pair = (rng.randint(1, 12), rng.randint(1, 12))
        for first, second in (pair, pair[::-1]) if rng.random() < 0.5 else (pair,):
            if split_of(first, second) == "train":
                done.append(f"{first}たす{second}は{first + second}。")
    return "".join(done)


def counting(rng: random.Random) -> str:
    """Some numbers in a row, up or down."""
    start = rng.randint(1, 18)
    numbers = list(range(start, start + 7))
    return "、".join(map(str, numbers if rng.random() < 0.5 else numbers[::-1])) + "。"


def scenes(rng: random.Random) -> str:
    """A scene as written, read and said in English."""
    while True:
        scene = tasks.scene(rng)
        if split_of(*scene) == "train":
            break
    animal, place, verb = scene
    return (
        f"{animal.written}が{place.written}で{verb.written}。"
        f"{animal.reading}が{place.reading}で{verb.reading}。"
        f"The {animal.english} {verb.english} near the {place.english}."
    )


# Each kind of paragraph and its share.
KINDS = (
    (facts, 2.0),
    (copying, 3.0),
    (lookup, 5.0),
    (sorting, 3.0),
    (comparison, 3.0),
    (sums, 2.0),
    (counting, 0.5),
    (scenes, 1.0),
)


def rows(split: str, size: int) -> list[str]:
    """The paragraphs of a split, mixed."""
    rng = random.Random(f"text {split} 1")
    kinds, weights = zip(*KINDS, strict=True)
    return [kind(rng) for kind in rng.choices(kinds, weights, k=size)]
