"""The token that ends an answer carries loss weight, also where the pad token is the same one."""

from __future__ import annotations

import json

import pytest

from jaxllm.text.example import Message
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import load_tokenizer
from jaxllm.text.train_sentencepiece import train_sentencepiece

LINES = ["吾輩は猫である。名前はまだ無い。", "the cat sat on the mat"] * 3
JINJA = (
    "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
# Templates by whether every answer ends with a token of its own, or only the last one.
TEMPLATES = {
    "plain": False,
    "llm_jp_v1.0": False,
    "llm_jp_v1.3": False,
    "llm_jp_3": True,
    "chatml": True,
    "chat": True,
}


@pytest.fixture(scope="module", params=["<pad>", "</s>", "<|im_end|>"])
def tokenizer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    symbols = ["<|im_start|>", "<|im_end|>"]
    path = folder / "tokenizer.model"
    train_sentencepiece(LINES, path, vocab_size=290, user_defined_symbols=symbols)
    eos = "<|im_end|>" if request.param == "<|im_end|>" else "</s>"
    config = {"pad_token": request.param, "eos_token": eos, "chat_template": JINJA}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return load_tokenizer(folder)


@pytest.mark.parametrize("name", TEMPLATES)
def test_eos_is_trained(tokenizer, name):
    messages = [
        Message(role="user", content="猫</s>"),
        Message(role="assistant", content="はい<|im_end|>"),
        Message(role="user", content="the cat"),
        Message(role="assistant", content="いいえ</s>"),
    ]
    template = get_template(name, tokenizer)
    rendered = template.render(tokenizer, messages)
    end = template.stop_ids(tokenizer)[0]
    assert name == "chatml" or end == tokenizer.eos_id
    assert rendered.ids[-1] == end
    assert rendered.loss_weights[-1] == 1
    trained_ends = int((rendered.loss_weights[rendered.ids == end] > 0).sum())
    assert trained_ends == (2 if TEMPLATES[name] else 1)


def test_loss_lies_on_answers_alone(tokenizer):
    messages = [Message(role="user", content="猫" * 9), Message(role="assistant", content="は")]
    for name in TEMPLATES:
        template = get_template(name, tokenizer)
        rendered = template.render(tokenizer, messages)
        prompt = template.prompt_ids(tokenizer, messages[:1])
        assert not rendered.loss_weights[: len(prompt)].any()
        assert rendered.loss_weights[len(prompt) :].all()
