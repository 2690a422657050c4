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


BETTER, WORSE = Message(role="assistant", content="良い"), Message(role="assistant", content="悪い")
_USER, _ANSWER, _BETTER, _WORSE = (
    {"role": message.role, "content": message.content} for message in (USER, ANSWER, BETTER, WORSE)
)
_TEXTS = {"chosen": "良い", "rejected": "悪い"}


@pytest.mark.parametrize(
    "record, prompt",
    [
        ({"prompt": "問い", **_TEXTS}, (USER,)),
        ({"prompt": [_USER], **_TEXTS}, (USER,)),
        ({"prompt": [_USER], "chosen": [_BETTER], "rejected": [_WORSE]}, (USER,)),
        ({"messages": [_USER], "chosen_response": "良い", "rejected_response": "悪い"}, (USER,)),
        ({"conversations": [{"from": "human", "value": "問い"}], **_TEXTS}, (USER,)),
        (
            {"instruction": "問い", "input": "文", **_TEXTS},
            (Message(role="user", content="問い", context="文"),),
        ),
        ({"chosen": [_USER, _BETTER], "rejected": [_USER, _WORSE]}, (USER,)),
        # As UltraFeedback has it: the prompt once more, and `messages` with the better answer.
        (
            {
                "prompt": "問い",
                "messages": [_USER, _BETTER],
                "chosen": [_USER, _BETTER],
                "rejected": [_USER, _WORSE],
            },
            (USER,),
        ),
        (
            {
                "chosen": [_USER, _ANSWER, _USER, _BETTER],
                "rejected": [_USER, _ANSWER, _USER, _WORSE],
            },
            (USER, ANSWER, USER),
        ),
    ],
)
def test_each_shape_of_preference(record, prompt):
    example = example_from_record(record, id="7")
    assert example.messages == (*prompt, BETTER)
    assert example.rejected == (*prompt, WORSE)
    assert example.num_given == len(prompt)


def test_a_preference_between_whole_conversations_begins_where_they_part():
    other = {"role": "user", "content": "別の問い"}
    record = {
        "chosen": [_USER, _ANSWER, _USER, _BETTER],
        "rejected": [_USER, _ANSWER, other, _WORSE],
    }
    assert example_from_record(record, id="7").num_given == 1


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
        ({"prompt": "問い", "chosen": "良い"}, "`rejected` is missing beside `chosen`"),
        ({"prompt": "問い", "rejected": "悪い"}, "`chosen` is missing beside `rejected`"),
        (_TEXTS, "nothing says what `chosen` answers"),
        ({**_turns("user", "assistant"), **_TEXTS}, "to be answered"),
        ({"prompt": "問い", "chosen": "", "rejected": "悪い"}, "`chosen` is empty"),
        (
            {"prompt": "問い", "chosen": "良い", "rejected": 3},
            "`rejected` must be a non-empty list",
        ),
        (
            {"chosen": [_USER, _BETTER], "rejected": [{**_USER, "content": "x"}, _WORSE]},
            "do not answer the same prompt",
        ),
    ],
)
def test_what_is_wrong_is_said(record, reason):
    with pytest.raises(UserError, match=reason):
        example_from_record(record, id="7")
