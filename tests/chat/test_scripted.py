"""Replies by rule."""

from __future__ import annotations

import json

import pytest

from jaxllm.chat import ChatRequest, Usage
from jaxllm.chat.scripted import ScriptedChat
from jaxllm.errors import UserError
from jaxllm.text.example import Message


def _script(tmp_path, *rules):
    path = tmp_path / "script.jsonl"
    path.write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    return path


def _reply(model, text):
    request = ChatRequest(id="1", messages=(Message(role="user", content=text),), max_tokens=8)
    replies = {}
    model.reply([request], replies.update, before=Usage())
    return replies[0]


def test_the_first_rule_that_fits_answers(tmp_path):
    model = ScriptedChat(
        _script(
            tmp_path,
            {"contains": "cat", "reply": "meow meow"},
            {"contains": "dog", "error": "asleep"},
            {"reply": "what?"},
        )
    )
    assert _reply(model, "a cat").text == "meow meow"
    assert (_reply(model, "a cat").prompt_tokens, _reply(model, "a cat").completion_tokens) == (
        2,
        2,
    )
    assert _reply(model, "a dog").error == "asleep"
    assert _reply(model, "a cow").text == "what?"


def test_no_rule_is_no_answer(tmp_path):
    model = ScriptedChat(_script(tmp_path, {"contains": "cat", "reply": "meow"}))
    assert _reply(model, "a cow").error == "no rule of the script answers this"


def test_another_script_is_another_model(tmp_path):
    first = ScriptedChat(_script(tmp_path, {"reply": "a"})).identity
    assert ScriptedChat(_script(tmp_path, {"reply": "b"})).identity != first


@pytest.mark.parametrize(
    "rule", [{}, {"reply": 1}, {"reply": "a", "error": "b"}, {"if": "a", "reply": "b"}, ["reply"]]
)
def test_what_is_no_rule(tmp_path, rule):
    with pytest.raises(UserError, match=r"script\.jsonl, line 1"):
        ScriptedChat(_script(tmp_path, rule))


def test_no_script(tmp_path):
    with pytest.raises(UserError, match="there is no script"):
        ScriptedChat(tmp_path / "nothing.jsonl")
