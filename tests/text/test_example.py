from __future__ import annotations

import pytest

from jaxllm.errors import UserError
from jaxllm.text.example import Message, example_from_record

USER = Message(role="user", content="問い")
ANSWER = Message(role="assistant", content="答え")


@pytest.mark.parametrize(
    "record, messages",
    [
        ({"text": "答え"}, (ANSWER,)),
        ({"prompt": "問い", "completion": "答え"}, (USER, ANSWER)),
        ({"instruction": "問い", "output": "答え", "index": 3}, (USER, ANSWER)),
        ({"instruction": "問い", "input": None, "output": "答え"}, (USER, ANSWER)),
        (
            {"instruction": "問い", "input": "文", "output": "答え", "text": "all of it"},
            (Message(role="user", content="問い", context="文"), ANSWER),
        ),
        (
            {
                "conversations": [
                    {"role": "system", "content": "規則"},
                    {"role": "user", "content": "問い"},
                    {"role": "assistant", "content": "答え"},
                ]
            },
            (Message(role="system", content="規則"), USER, ANSWER),
        ),
    ],
)
def test_each_shape_of_record(record, messages):
    example = example_from_record(record, id="7")
    assert example.id == "7"
    assert example.messages == messages


def _turns(*roles):
    return {"messages": [{"role": role, "content": "x"} for role in roles]}


@pytest.mark.parametrize(
    "record, reason",
    [
        ({}, "none of the fields"),
        ({"text": " \n"}, "`text` is empty"),
        ({"text": 3}, "`text` must be a string, not int"),
        ({"text": "a\ud83d"}, "surrogate"),
        ({"instruction": "a"}, "`output` is missing"),
        ({"instruction": "a", "input": ["b"], "output": "c"}, "`input` must be a string"),
        ({"prompt": "a", "completion": ""}, "`completion` is empty"),
        ({"messages": []}, "non-empty list"),
        ({"messages": "hello"}, "non-empty list"),
        ({"messages": ["hello"]}, r"messages\[0\]` must be an object"),
        ({"messages": [{"role": "bot", "content": "x"}]}, "'bot'"),
        ({"messages": [{"role": "user"}]}, r"messages\[0\]\.content` is missing"),
        (_turns("assistant"), "system or user must stand"),
        (_turns("user", "user"), r"messages\[1\]"),
        (_turns("user", "assistant", "system"), r"messages\[2\]"),
        (_turns("user"), "not with an answer"),
    ],
)
def test_what_is_wrong_is_said(record, reason):
    with pytest.raises(UserError, match=reason):
        example_from_record(record, id="7")
