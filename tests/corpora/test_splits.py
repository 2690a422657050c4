"""The Mersenne Twister order of llm-jp-eval."""

from __future__ import annotations

import random

from jaxllm.corpora import splits


def test_shuffle_is_that_of_the_global_generator_with_seed_42():
    expected = list(range(100))
    random.seed(42)
    random.shuffle(expected)
    assert splits.shuffled(range(100)) == expected


def test_train_and_dev_are_cut_at_nine_tenths():
    train, dev = splits.train_and_dev(range(25))
    assert (len(train), len(dev)) == (22, 3)
    assert train + dev == splits.shuffled(range(25))


def test_an_origin_without_splits_is_cut_at_eight_and_nine_tenths():
    parts = splits.train_dev_and_test(range(1005))
    assert [len(part) for part in parts] == [804, 100, 101]
    assert [row for part in parts for row in part] == splits.shuffled(range(1005))


def test_a_small_origin_without_splits_gives_32_rows_to_train():
    parts = splits.shots_dev_and_test(range(331))
    assert [len(part) for part in parts] == [32, 149, 150]
    assert [row for part in parts for row in part] == splits.shuffled(range(331))
