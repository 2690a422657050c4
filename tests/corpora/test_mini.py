"""The mini corpora keep what they promise: no leak, no shortcut by frequency, always the same."""

from __future__ import annotations

import collections
import json
import random
import re

import pytest

from jaxllm import corpora
from jaxllm.corpora import base, mini
from jaxllm.corpora.mini import lexicon, tasks, text
from jaxllm.corpora.mini.draw import split_of
from jaxllm.input.sources import read_source

_NAMES = [corpus.name for corpus in mini.TASKS]


@pytest.fixture(scope="module")
def splits():
    return {corpus.name: corpus.readers[0](None) for corpus in mini.TASKS}


@pytest.fixture(scope="module")
def paragraphs():
    return text.rows("train", 3000) + text.rows("dev", 200)


@pytest.mark.parametrize("name", _NAMES)
def test_no_input_stands_in_two_splits(name, splits):
    inputs = {split: {pair.input for pair in pairs} for split, pairs in splits[name].items()}
    assert not inputs["train"] & inputs["test"]
    assert not inputs["train"] & inputs["dev"]
    assert not inputs["dev"] & inputs["test"]
    assert all(len(inputs[split]) == len(splits[name][split]) for split in inputs)


@pytest.mark.parametrize("name", _NAMES)
def test_sizes_are_enough_to_score(name, splits):
    assert len(splits[name]["test"]) >= 60
    assert len(splits[name]["dev"]) >= 60
    assert len(splits[name]["train"]) >= 350


@pytest.mark.parametrize("name", _NAMES)
def test_no_answer_is_common(name, splits):
    counts = collections.Counter(pair.output for pair in splits[name]["train"])
    share = counts.most_common(1)[0][1] / len(splits[name]["train"])
    assert share < (0.4 if name == "mini/nli" else 0.15)


@pytest.mark.parametrize("name", _NAMES)
def test_text_holds_no_input_that_is_asked(name, splits, paragraphs):
    joined = "\n".join(paragraphs)
    for split in ("dev", "test"):
        for pair in splits[name][split]:
            assert pair.input not in joined
            assert pair.input.replace("\n", "") not in joined


def test_text_holds_no_sum_and_no_scene_that_is_asked(paragraphs):
    joined = "\n".join(paragraphs)
    numbers = set(re.findall(r"\d+たす\d+は", joined))
    for first in range(1, 13):
        for second in range(1, 13):
            if split_of(first, second) != "train":
                assert f"{first}たす{second}は" not in numbers
    for animal in lexicon.ANIMALS:
        for place in lexicon.PLACES:
            for verb in lexicon.VERBS:
                if split_of(animal, place, verb) != "train":
                    assert f"{animal.written}が{place.written}で{verb.written}" not in joined


def test_neither_sentence_alone_tells_the_inference():
    rng = random.Random(0)
    by_part = collections.defaultdict(collections.Counter)
    for _ in range(30000):
        _, pair = tasks.inference(rng)
        for sentence in pair.input.split("\n"):
            # The label, the thing and the predicate of either sentence.
            subject, _, predicate = sentence.rstrip("。").partition("は")
            by_part[sentence[:2], predicate][pair.output] += 1
            by_part[sentence[:2], subject.partition("の")[2]][pair.output] += 1
            by_part[sentence[:2], "くない" in predicate][pair.output] += 1
    assert len(by_part) == 2 * 16 + 12 + 24 + 3
    for counts in by_part.values():
        assert max(counts.values()) / sum(counts.values()) < 0.41


def test_arithmetic_is_right(splits):
    for pair in splits["mini/mr"]["train"][:500]:
        first, second = map(int, re.findall(r"\d+", pair.input))
        assert pair.output == str(first + second)


def test_comprehension_and_choices_hold_their_answer(splits):
    for name in ("mini/rc", "mini/mc", "mini/he"):
        assert all(pair.output in pair.input for pair in splits[name]["test"])


def test_symbols_are_distinct_words():
    symbols = mini.symbols()
    assert len(symbols) == len(set(symbols))
    assert {"太郎", "駅", "えき", "りんご"} - set(symbols) == {"りんご"}


def test_preferences_answer_their_question_with_another_ones_answer(splits, tmp_path):
    answers = {pair.input: pair.output for pair in splits["mini/qa"]["train"]}
    rows = corpora.load("mini/preference", "train", data_dir=tmp_path)
    assert len(rows) == len(answers)
    for row in rows:
        assert row["chosen"] == answers[row["prompt"]]
        assert row["rejected"] != row["chosen"]
        assert row["rejected"] in answers.values()
    written = json.loads(
        corpora.store.canonical_json("mini/preference", "train", data_dir=tmp_path)
    )
    assert set(written["samples"][0]) == {"prompt", "chosen", "rejected"}
    first = next(iter(read_source("mini/preference", data_dir=tmp_path)))
    assert (first.messages[-1].content, first.num_given) == (rows[0]["chosen"], 1)


def test_generation_is_the_same_everywhere():
    """A change here changes the data: raise the corpus's version with it."""
    found = {
        corpus.name: base.digest(base.canonical_json(corpus, corpus.readers[0](None)["test"]))[:16]
        for corpus in mini.TASKS
    }
    assert found == DIGESTS


DIGESTS = {
    "mini/el": "91f6fd7ac99b0e2a",
    "mini/fa": "2e77348a85d0a83a",
    "mini/he": "1f795d2ddf018744",
    "mini/mc": "441caaed7515f377",
    "mini/mr": "b250a6d24631f3d7",
    "mini/mt": "dd38ef7618116724",
    "mini/nli": "7ff7d78404c91734",
    "mini/qa": "30cba264d588fcfa",
    "mini/rc": "6c774385329424c7",
}
