"""A text begins with exactly one bos where the tokenizer adds one, and with none under "never"."""

from __future__ import annotations

import json

import pytest

from jaxllm.text.example import Message
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import load_tokenizer
from jaxllm.text.train_sentencepiece import train_sentencepiece

LINES = ["吾輩は猫である。名前はまだ無い。", "the cat sat on the mat"] * 3
BODY = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MESSAGES = [Message(role="user", content="<s>猫<s>"), Message(role="assistant", content="<s>はい")]
TEMPLATES = ["plain", "llm_jp_v1.0", "llm_jp_v1.3", "llm_jp_v2_ja", "llm_jp_3", "chatml", "chat"]


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    def load(**config):
        folder = tmp_path_factory.mktemp("tokenizer")
        symbols = ["<|im_start|>", "<|im_end|>"]
        path = folder / "tokenizer.model"
        train_sentencepiece(LINES, path, vocab_size=290, user_defined_symbols=symbols)
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        return load_tokenizer(folder)

    return load


@pytest.mark.parametrize("jinja", [BODY, "{{ bos_token }}" + BODY], ids=["silent", "prints_bos"])
@pytest.mark.parametrize("adds_bos", [True, False])
@pytest.mark.parametrize("name", TEMPLATES)
def test_one_bos(load, name, adds_bos, jinja):
    tokenizer = load(add_bos_token=adds_bos, chat_template=jinja)
    template = get_template(name, tokenizer)
    printed = name == "chat" and "bos_token" in jinja
    expected = {"auto": adds_bos or printed, "always": True, "never": False}
    for bos, count in expected.items():
        prompt = template.prompt_ids(tokenizer, MESSAGES[:1], bos=bos).tolist()
        rendered = template.render(tokenizer, MESSAGES, bos=bos)
        for ids in (prompt, rendered.ids.tolist()):
            assert ids.count(tokenizer.bos_id) == count
            assert (ids[0] == tokenizer.bos_id) == count
        assert rendered.loss_weights[0] == 0


def test_a_bos_that_opens_the_first_turn_is_not_taken_for_one(load):
    # SmolLM2 names `<|im_start|>` as its bos; the template that writes turns with it must keep it.
    tokenizer = load(bos_token="<|im_start|>", add_bos_token=False, chat_template=BODY)
    template = get_template("chat", tokenizer)
    prompts = [
        template.prompt_ids(tokenizer, MESSAGES[:1], bos=bos).tolist()
        for bos in ("auto", "always", "never")
    ]
    assert prompts[0] == prompts[1] == prompts[2]
    assert prompts[0].count(tokenizer.bos_id) == 2
