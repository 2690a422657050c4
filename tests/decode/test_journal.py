"""What a journal gives back, and to whom."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from etils import epath

from jaxllm.decode import Completion, Request, Score, ScoreRequest
from jaxllm.decode.journal import Journal

_REQUESTS = [
    Request(id=f"q{index}", prompt_ids=(1, index), max_new_tokens=4, stop=("\n",))
    for index in range(3)
]
_ANSWERS = {
    # Text that UTF-8 cannot hold, and a number that no short decimal is.
    0: Completion(
        id="q0", text="猫\ud83d\n", token_ids=(5, 2), finish_reason="eos", logprob=-1 / 3
    ),
    1: Completion(id="q1", text="", token_ids=(), finish_reason="length", logprob=0.0),
    2: Completion(id="q2", text="犬", token_ids=(7,), finish_reason="stop", logprob=-1e-9),
}


def _journal(folder, requests=_REQUESTS, *, fingerprint="model"):
    return Journal(epath.Path(folder) / "journal", requests, Completion, fingerprint=fingerprint)


def _segments(folder):
    return sorted(path.name for path in (folder / "journal").iterdir())


def _interrupted(folder, *groups):
    with contextlib.suppress(KeyboardInterrupt), _journal(folder) as journal:
        for group in groups:
            journal.add({index: _ANSWERS[index] for index in group})
        raise KeyboardInterrupt


def test_what_was_answered_is_known_to_the_next_start(tmp_path):
    _interrupted(tmp_path, (1,), (0,))
    assert _segments(tmp_path) == ["000000.jsonl", "000001.jsonl"]
    assert _journal(tmp_path).known == {0: _ANSWERS[0], 1: _ANSWERS[1]}
    # A second start writes behind the first.
    _interrupted(tmp_path, (2,))
    assert _segments(tmp_path) == ["000000.jsonl", "000001.jsonl", "000002.jsonl"]
    assert _journal(tmp_path).known == _ANSWERS


def test_when_all_is_answered_one_segment_is_left_and_then_never_written_again(tmp_path):
    _interrupted(tmp_path, (2,), (0,))
    with _journal(tmp_path) as journal:
        journal.add({1: _ANSWERS[1]})
    assert _segments(tmp_path) == ["000003.jsonl"]
    before = (tmp_path / "journal/000003.jsonl").stat()
    with _journal(tmp_path) as journal:
        assert journal.known == _ANSWERS
    assert (tmp_path / "journal/000003.jsonl").stat() == before


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"prompt_ids": (1, 9)},
        {"max_new_tokens": 5},
        {"stop": ()},
        {"stop_ids": (3,)},
        {"temperature": 0.5},
        {"top_p": 0.9},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_other_request_takes_an_answer(tmp_path, change):
    with _journal(tmp_path) as journal:
        journal.add(_ANSWERS)
    changed = [dataclasses.replace(_REQUESTS[0], **change), *_REQUESTS[1:]]
    assert _journal(tmp_path, changed).known == {1: _ANSWERS[1], 2: _ANSWERS[2]}


def test_no_other_model_takes_an_answer(tmp_path):
    with _journal(tmp_path) as journal:
        journal.add(_ANSWERS)
    with _journal(tmp_path, fingerprint="another") as journal:
        assert journal.known == {}
        journal.add(_ANSWERS)
    # What nobody asks any more does not stay.
    assert len(_segments(tmp_path)) == 1
    assert _journal(tmp_path).known == {}


def test_the_order_of_requests_does_not_matter(tmp_path):
    with _journal(tmp_path) as journal:
        journal.add(_ANSWERS)
    turned = _journal(tmp_path, _REQUESTS[::-1]).known
    assert turned == {2 - index: answer for index, answer in _ANSWERS.items()}


@pytest.mark.parametrize(
    "damaged",
    [b'{"key": "a", "te', b"\0" * 64, b"\xff\xfe", b"5", b"null", b'["key"]', b'{"id": "q1"}'],
)
def test_a_damaged_line_is_told_and_asked_again(tmp_path, capsys, damaged):
    with _journal(tmp_path) as journal:
        journal.add(_ANSWERS)
    path = tmp_path / "journal/000001.jsonl"
    first, _, last = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, damaged, last]))
    with _journal(tmp_path) as journal:
        assert journal.known == {0: _ANSWERS[0], 2: _ANSWERS[2]}
        journal.add({1: _ANSWERS[1]})
    assert capsys.readouterr().err == f"{path}, line 2 is damaged: asked again\n"
    # It is whole again.
    assert _journal(tmp_path).known == _ANSWERS
    assert capsys.readouterr().err == ""


def test_what_a_kill_left_of_a_segment_is_no_segment(tmp_path):
    _interrupted(tmp_path, (0,))
    (tmp_path / "journal/000001.jsonl.partial").write_text('{"key": "a"')
    with _journal(tmp_path) as journal:
        assert journal.known == {0: _ANSWERS[0]}
        journal.add({1: _ANSWERS[1], 2: _ANSWERS[2]})
    assert _segments(tmp_path) == ["000002.jsonl"]


def test_a_remote_folder_gets_few_segments_and_all_answers(tmp_path):
    with contextlib.suppress(KeyboardInterrupt), _journal(tmp_path) as journal:
        journal._interval = 1e9  # that of a gs:// folder, as long as one likes
        journal.add({0: _ANSWERS[0]})
        journal.add({1: _ANSWERS[1]})
        assert not (tmp_path / "journal").exists()
        raise KeyboardInterrupt
    assert _segments(tmp_path) == ["000000.jsonl"]
    assert _journal(tmp_path).known == {0: _ANSWERS[0], 1: _ANSWERS[1]}


def test_likelihoods_come_back_to_the_last_bit(tmp_path):
    requests = [ScoreRequest(id="a", prompt_ids=(1,), continuation_ids=(2, 3))]
    score = Score(id="a", logprob=-0.1 - 0.2, num_tokens=2, is_greedy=True)
    for known in ({}, {0: score}):
        with Journal(epath.Path(tmp_path), requests, Score, fingerprint="model") as journal:
            assert journal.known == known
            journal.add({0: score})
