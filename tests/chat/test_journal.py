"""The journal of calls: what is kept, under which key, and on folders that know no SQLite."""

from __future__ import annotations

import dataclasses
import sqlite3

import pytest

from jaxllm.chat import CallJournal, ChatReply, ChatRequest, Usage, journal
from jaxllm.errors import UserError
from jaxllm.text.example import Message

_REQUEST = ChatRequest(
    id="q/1", messages=(Message(role="user", content="猫は？"),), max_tokens=8, temperature=0.5
)
_REPLY = ChatReply(
    text="にゃあ",
    finish_reason="stop",
    prompt_tokens=3,
    completion_tokens=2,
    seconds=0.1,
    made_at=9,
)


def test_a_reply_is_found_again_by_all_that_asked_for_it(tmp_path):
    with CallJournal(tmp_path) as calls:
        calls.add("model", [(_REQUEST, _REPLY)])
        assert calls.get("model", _REQUEST) == _REPLY
    with CallJournal(tmp_path) as calls:
        assert calls.get("model", _REQUEST) == _REPLY
        assert calls.get("other", _REQUEST) is None
        for change in (
            {"id": "q/2"},
            {"messages": (Message(role="user", content="犬は？"),)},
            {"max_tokens": 9},
            {"temperature": 0.0},
            {"top_p": 0.9},
            {"seed": 1},
            {"response_schema": {"type": "object"}},
            {"choices": ("1",)},
        ):
            assert calls.get("model", dataclasses.replace(_REQUEST, **change)) is None


def test_errors_are_no_replies(tmp_path):
    with CallJournal(tmp_path) as calls:
        calls.add("model", [(_REQUEST, ChatReply(error="busy"))])
        assert calls.get("model", _REQUEST) is None


def test_likelihoods_come_back(tmp_path):
    request = dataclasses.replace(_REQUEST, choices=("1", "2"))
    reply = ChatReply(finish_reason="choices", logprobs=(-0.5, -1.25), prompt_tokens=3)
    with CallJournal(tmp_path) as calls:
        calls.add("model", [(request, reply)])
        assert calls.get("model", request) == reply


def test_half_a_surrogate_pair_does_not_break_it(tmp_path):
    with CallJournal(tmp_path) as calls:
        calls.add("model", [(_REQUEST, dataclasses.replace(_REPLY, text="a\ud83d"))])
        assert calls.get("model", _REQUEST).text == "a?"


def test_usage_is_that_of_one_model(tmp_path):
    with CallJournal(tmp_path) as calls:
        calls.add("a", [(_REQUEST, _REPLY)])
        unknown = dataclasses.replace(_REPLY, prompt_tokens=None, completion_tokens=None)
        calls.add("a", [(dataclasses.replace(_REQUEST, id="q/2"), unknown)])
        calls.add("b", [(_REQUEST, _REPLY)])
        assert calls.usage("a") == Usage(3, 2, 2)
        assert calls.usage("c") == Usage()


def test_a_row_tells_what_was_asked_and_what_was_read(tmp_path):
    with CallJournal(tmp_path) as calls:
        calls.add("model", [(_REQUEST, _REPLY)])
        calls.set_scores("model", [(_REQUEST, {"rating": 4.0})])
    with sqlite3.connect(tmp_path / "calls.sqlite") as db:
        db.row_factory = sqlite3.Row
        (row,) = db.execute("SELECT * FROM calls")
    assert (row["id"], row["model"], row["text"]) == ("q/1", "model", "にゃあ")
    assert row["settings"] == '{"max_tokens": 8, "temperature": 0.5, "top_p": 1.0}'
    assert row["score"] == '{"rating": 4.0}'
    assert len(row["prompt_sha256"]) == 64
    assert (row["prompt_tokens"], row["completion_tokens"], row["seconds"]) == (3, 2, 0.1)
    db.close()


def test_a_log_is_written_ahead_on_a_local_disk(tmp_path):
    with CallJournal(tmp_path) as calls:
        calls.add("model", [(_REQUEST, _REPLY)])
        assert (tmp_path / "calls.sqlite-wal").stat().st_size > 0


def test_a_remote_folder_gets_whole_copies(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "_is_remote", lambda place: True)
    with CallJournal(tmp_path / "far") as calls:
        calls.add("model", [(_REQUEST, _REPLY)])
        assert not (tmp_path / "far").exists()  # not every call is worth an upload
        monkeypatch.setattr(journal, "_UPLOAD_SECONDS", 0.0)
        calls.add("model", [(dataclasses.replace(_REQUEST, id="q/2"), _REPLY)])
        assert [path.name for path in (tmp_path / "far").iterdir()] == ["calls.sqlite"]
        with CallJournal(tmp_path / "far") as seen:
            assert seen.usage("model").calls == 2
    with CallJournal(tmp_path / "far") as calls:
        assert calls.get("model", _REQUEST) == _REPLY


def test_another_file_in_its_place_is_not_written_over(tmp_path):
    (tmp_path / "calls.sqlite").write_text("something of somebody's\n" * 100)
    with pytest.raises(UserError, match=r"calls\.sqlite is no journal of calls"):
        CallJournal(tmp_path)
    assert (tmp_path / "calls.sqlite").read_text().startswith("something")
