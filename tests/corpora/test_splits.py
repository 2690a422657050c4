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
