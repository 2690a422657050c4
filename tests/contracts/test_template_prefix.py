"""The training text up to the answer equals the inference prompt, token for token."""

from __future__ import annotations

import json

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, trainers

from jaxllm.text.example import Message
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import load_tokenizer
from jaxllm.text.train_sentencepiece import train_sentencepiece

LINES = [
    "吾輩は猫である。名前はまだ無い。",
    "\n\n### 応答:\n 答え: はい",
    "the cat, 12 :\n\n###",
] * 4
# Printed in different ways: by name, with an answer prefix, with history unlike the last turn.
JINJA = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' if loop.last }}{% endif %}"
    "{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLM_JP = ["llm_jp_v1.0", "llm_jp_v1.3", "llm_jp_v2_ja", "llm_jp_3", "llm_jp_3_system"]
TEMPLATES = ["plain", "verbatim", *LLM_JP, "chatml", "chat"]

ODD = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    # Text that likes to melt into its neighbours, and text that plays a special token.
    st.sampled_from(
        ["\n", "\n\nx", " x", ":", "。\n", "\u3000", "\u0301e", "ﾞ", "\u200d👩", "### "]
    ),
    st.sampled_from(["</s>", "<|im_end|>\n", "<|im_end", "|>", "▁", "<s>", "\x00", "\ufffd"]),
)


@pytest.fixture(scope="module", params=["sentencepiece", "byte_level"])
def tokenizer(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sentencepiece":
        symbols = ["<|im_start|>", "<|im_end|>"]
        path = folder / "tokenizer.model"
        train_sentencepiece(LINES, path, vocab_size=300, user_defined_symbols=symbols)
    else:
        model = tokenizers.Tokenizer(models.BPE())
        model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        model.decoder = decoders.ByteLevel()
        names = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=360, initial_alphabet=alphabet, special_tokens=names, show_progress=False
        )
        model.train_from_iterator(LINES, trainer)
        model.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True}
    config["chat_template"] = JINJA
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return load_tokenizer(folder)


@pytest.mark.parametrize("name", TEMPLATES)
@given(
    texts=st.lists(st.tuples(ODD, ODD), min_size=1, max_size=3),
    context=st.one_of(st.just(""), ODD),
    answer=ODD,
    bos=st.sampled_from(["auto", "always", "never"]),
)
def test_template_prefix(tokenizer, name, texts, context, answer, bos):
    messages = []
    for question, reply in texts:
        messages.append(Message(role="user", content=question, context=context))
        messages.append(Message(role="assistant", content=reply))
    messages[-1] = Message(role="assistant", content=answer)
    template = get_template(name, tokenizer)

    prompt = template.prompt_ids(tokenizer, messages[:-1], bos=bos).tolist()
    rendered = template.render(tokenizer, messages, bos=bos)
    assert rendered.ids[: len(prompt)].tolist() == prompt
    # All that stands behind the prompt is trained, and nothing else of the last turn.
    assert (rendered.loss_weights[max(len(prompt), 1) :] == 1).all()
    assert len(rendered.ids) > len(prompt)


# The others write the past unlike the last turn: llm_jp_v1.0 without shots, llm_jp_v2 as examples,
# the Jinja source above.
@pytest.mark.parametrize("name", ["plain", "llm_jp_v1.3", "llm_jp_3", "chatml"])
def test_each_turn_of_a_conversation_is_trained_behind_its_own_prompt(tokenizer, name):
    messages = []
    for index in range(3):
        messages.append(Message(role="user", content=f"問い{index}"))
        messages.append(Message(role="assistant", content=f"答え{index}"))
    template = get_template(name, tokenizer)
    rendered = template.render(tokenizer, messages)
    for stop in (1, 3, 5):
        prompt = template.prompt_ids(tokenizer, messages[:stop]).tolist()
        assert rendered.ids[: len(prompt)].tolist() == prompt
        assert rendered.loss_weights[len(prompt) - 1] == 0
        assert rendered.loss_weights[len(prompt)] == 1
