"""Pairs of token ids from files: what carries loss, what is cut, what is refused."""

from __future__ import annotations

import json

import pytest

from jaxllm.errors import UserError
from jaxllm.input.id_pairs import holds_ids, read_id_pairs


def _file(folder, *records):
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_completions_carry_loss(tmp_path):
    path = _file(
        tmp_path,
        {"prompt_ids": [1, 2, 3], "completion_ids": [4, 5]},
        {"prompt_ids": [6], "completion_ids": [7, 8, 9, 1, 2]},
        {"prompt_ids": [1] * 4, "completion_ids": [3]},
    )
    assert holds_ids(path)
    source = read_id_pairs(path, vocab_size=10, max_length=4)
    assert source.ids.tolist() == [1, 2, 3, 4, 6, 7, 8, 9]
    assert source.loss_weights.tolist() == [0, 0, 0, 1, 0, 1, 1, 1]
    assert source.lengths.tolist() == [4, 4]
    counts = source.counts
    assert (counts.read, counts.kept, counts.truncated, counts.dropped_untrained) == (3, 2, 2, 1)


def test_text_holds_no_ids(tmp_path):
    assert not holds_ids(_file(tmp_path, {"prompt": "a", "completion": "b"}))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"prompt_ids": [1]}, "line 1: `completion_ids` must be a list of whole numbers"),
        ({"prompt_ids": [], "completion_ids": [1]}, "`prompt_ids` must be a list of whole numbers"),
        ({"prompt_ids": [1.5], "completion_ids": [1]}, "`prompt_ids` must be a list"),
        ({"prompt_ids": [1, 10], "completion_ids": [1]}, "ids from 1 to 10; the model's go .* 9"),
        ([1], "line 1: a list where a JSON object is wanted"),
        ({"prompt_ids": [1] * 9, "completion_ids": [1]}, "none of its 1 pairs .* within 4 tokens"),
    ],
)
def test_what_is_no_pair_is_refused_by_its_line(tmp_path, record, reason):
    with pytest.raises(UserError, match=reason):
        read_id_pairs(_file(tmp_path, record), vocab_size=10, max_length=4)


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"prompt_ids": [1], "completion_ids": [2]}\n{"prompt_ids"')
    with pytest.raises(UserError, match="line 2: "):
        read_id_pairs(path, vocab_size=10, max_length=4)
