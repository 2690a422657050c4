"""Text as code points, for models that run elsewhere."""

from __future__ import annotations

import pytest

from jaxllm.text.characters import Characters, messages_of
from jaxllm.text.example import Message
from jaxllm.text.templates import get_template

_TALK = (
    Message(role="system", content="短く。"),
    Message(role="user", content='"猫"は\n何？ <|im_end|>'),
    Message(role="assistant", content="動物\u2028です"),
    Message(role="user", content="犬は？"),
)


@pytest.fixture
def tokenizer():
    return Characters("elsewhere")


def test_texts_come_back(tokenizer):
    text = "猫 is a\n\tcat. 😺"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode_continuation(tokenizer.encode_continuation(text)) == text
    assert tokenizer.decode([*tokenizer.encode("a"), tokenizer.eos_id]) == "a"


def test_a_conversation_comes_back_as_its_messages(tokenizer):
    ids = get_template("chat", tokenizer).prompt_ids(tokenizer, _TALK)
    assert messages_of(tokenizer, ids.tolist()) == _TALK


def test_other_templates_are_one_message_of_the_user(tokenizer):
    ids = get_template("llm_jp_v1.3", tokenizer).prompt_ids(tokenizer, _TALK[1:2])
    (message,) = messages_of(tokenizer, ids.tolist())
    assert message.role == "user"
    assert message.content == (
        "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。"
        f"\n\n### 指示:\n{_TALK[1].content}\n\n### 応答:\n"
    )


def test_answers_end_somewhere(tokenizer):
    for name in ("chat", "llm_jp_v1.3", "plain"):
        assert get_template(name, tokenizer).stop_ids(tokenizer) == (tokenizer.eos_id,)
