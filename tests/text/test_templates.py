from __future__ import annotations

import dataclasses
import itertools
import json

import jinja2
import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.text.example import Message
from jaxllm.text.spans import describe
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import load_tokenizer
from jaxllm.text.train_sentencepiece import train_sentencepiece


def user(content, context="", answer_format=""):
    return Message(role="user", content=content, context=context, answer_format=answer_format)


def assistant(content):
    return Message(role="assistant", content=content)


def system(content):
    return Message(role="system", content=content)


@pytest.fixture(scope="module")
def tokenizer(sentencepiece_folder):
    return load_tokenizer(sentencepiece_folder)


OPENING = "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。"
WITH_INPUT = (
    "以下は、タスクを説明する指示と、文脈のある入力の組み合わせです。"
    "要求を適切に満たす応答を書きなさい。"
)
V1_0 = (
    "以下はタスクを説明する指示と、追加の背景情報を提供する入力の組み合わせです。"
    "要求を適切に満たす回答を書いてください。\n### 指示\n指示文"
)
PROMPTS = [
    ("plain", [user("問い", "文")], "問い\n\n文"),
    ("llm_jp_v1.3", [user("猫？")], f"{OPENING}\n\n### 指示:\n猫？\n\n### 応答:\n"),
    (
        "llm_jp_v1.3",
        [user("指示文", "甲"), assistant("a"), user("", "乙")],
        (
            f"{WITH_INPUT}\n\n### 指示:\n指示文\n\n### 入力:\n甲\n\n### 応答:\na"
            "\n\n### 入力:\n乙\n\n### 応答:\n"
        ),
    ),
    (
        "llm_jp_v1.0",
        [user("指示文", "甲"), assistant("a"), user("", "乙")],
        f"{V1_0}\n\n### 入力：\n甲\n### 回答：\na\n\n### 入力：\n乙\n### 回答：\n",
    ),
    ("llm_jp_v1.0", [user("指示文", "甲")], f"{V1_0}\n\n\n### 入力：\n甲\n### 回答：\n"),
    (
        "llm_jp_v1.3",
        [user("指示文", "甲", "形式")],
        f"{WITH_INPUT}\n\n### 指示:\n指示文\n\n形式\n\n### 入力:\n甲\n\n### 応答:\n",
    ),
    ("plain", [user("指示文", "甲", "形式")], "指示文\n\n形式\n\n甲"),
    ("llm_jp_3", [user("猫？")], f"{OPENING}\n\n### 指示:\n猫？\n\n### 応答:\n"),
    (
        "llm_jp_3",
        [system("英語で答える"), user("猫？", "文"), assistant("はい"), user("犬？")],
        (
            f"{OPENING}\n\n### 指示:\n猫？\n\n### 入力:\n文\n\n### 応答:\nはい</s>"
            "\n\n### 指示:\n犬？\n\n### 応答:\n"
        ),
    ),
    (
        "llm_jp_3_system",
        [system("英語で答える"), user("猫？")],
        "英語で答える\n\n### 指示:\n猫？\n\n### 応答:\n",
    ),
    ("llm_jp_3_system", [user("猫？")], f"{OPENING}\n\n### 指示:\n猫？\n\n### 応答:\n"),
    ("verbatim", [user("問い\n", "文")], "問い\n\n\n文"),
    (
        "chatml",
        [system("規則"), user("猫？</s>", "文<|im_end|>")],
        (
            "<|im_start|>system\n規則<|im_end|>\n"
            "<|im_start|>user\n猫？</s>\n\n文<|im_end|><|im_end|>\n<|im_start|>assistant\n"
        ),
    ),
]


@pytest.mark.parametrize("name, messages, text", PROMPTS)
def test_the_prompt_reads_as_written_down(byte_level_folder, name, messages, text):
    # Byte-level BPE has no dummy prefix, so that the ids of a prompt spell it exactly.
    tokenizer = load_tokenizer(byte_level_folder)
    ids = get_template(name).prompt_ids(tokenizer, messages, bos="never")
    assert ids.dtype == np.int32
    written = tokenizer.decode(ids, skip_special=False)
    assert written == text.replace("はい</s>", "はい<|im_end|>")


def test_the_stored_prompts(spec_dir, byte_level_folder):
    tokenizer = load_tokenizer(byte_level_folder)
    names = {
        "prompt_v1.0": "llm_jp_v1.0",
        "prompt_v1.3_to_v1.4": "llm_jp_v1.3",
        "prompt_v2_ja": "llm_jp_v2_ja",
    }
    lines = (spec_dir / "metric_cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [case for case in map(json.loads, lines) if case["metric"] in names]
    assert {case["metric"] for case in cases} == set(names)
    for case in cases:
        given = case["inputs"]
        instruction = given["instruction"]
        messages = []
        for shot in given["few_shots"]:
            messages += [user(instruction, shot["input"]), assistant(shot["output"])]
            instruction = ""
        messages.append(user(instruction, given["input"]))
        messages[0] = dataclasses.replace(
            messages[0], answer_format=given.get("answer_pattern", "")
        )
        ids = get_template(names[case["metric"]]).prompt_ids(tokenizer, messages, bos="never")
        assert tokenizer.decode(ids) == case["expected"]


V2 = """{%- if dataset_instruction %}
### 指示
{{ dataset_instruction }}
{% endif -%}
{%- if answer_pattern %}
### 回答形式
{{ answer_pattern }}
{% endif -%}
{%- if few_shots %}
<examples>
{%- for shot in few_shots %}
<example_{{ loop.index }}>
### 入力:
{{ shot.input }}
### 応答:
{{ shot.output }}
</example_{{ loop.index }}>
{%- endfor %}
</examples>
{% endif -%}
### 入力:
{{ input }}
### 応答:"""
TO_ENGLISH = {
    "指示": "Instruction",
    "回答形式": "Answer Format",
    "入力": "Input",
    "応答": "Response",
}


@pytest.mark.parametrize(
    "instruction, pattern, num_shots, language",
    list(itertools.product(["指示\n文", ""], ["形式", ""], [0, 1, 3], ["ja", "en"])),
)
def test_the_prompt_of_v2_is_what_its_jinja_template_renders(
    byte_level_folder, instruction, pattern, num_shots, language
):
    source = V2
    if language == "en":
        for japanese, english in TO_ENGLISH.items():
            source = source.replace(f"### {japanese}", f"### {english}")
    shots = [{"input": f"問{n}\n", "output": f"<answer>{n}</answer>"} for n in range(num_shots)]
    expected = jinja2.Template(source).render(
        dataset_instruction=instruction, answer_pattern=pattern, few_shots=shots, input="問"
    )
    messages = []
    for shot in [*shots, {"input": "問", "output": ""}]:
        question = user(instruction, shot["input"], "" if messages else pattern)
        messages += [question, assistant(shot["output"])]
    tokenizer = load_tokenizer(byte_level_folder)
    template = get_template(f"llm_jp_v2_{language}")
    ids = template.prompt_ids(tokenizer, messages[:-1], bos="never")
    assert tokenizer.decode(ids) == expected
    # One text, tokenized as a whole.
    assert ids.tolist() == list(tokenizer.encode(expected))


def test_v2_without_a_context_asks_the_content(byte_level_folder):
    tokenizer = load_tokenizer(byte_level_folder)
    ids = get_template("llm_jp_v2_ja").prompt_ids(
        tokenizer, [user("猫？"), assistant("はい"), user("犬？", "文")], bos="never"
    )
    assert tokenizer.decode(ids) == (
        "\n<examples>\n<example_1>\n### 入力:\n猫？\n### 応答:\nはい\n</example_1>\n</examples>\n"
        "### 入力:\n犬？\n\n文\n### 応答:"
    )


def test_v2_takes_turns_and_nothing_else(tokenizer):
    template = get_template("llm_jp_v2_en")
    for messages in ([system("x"), user("a")], [user("a"), user("b")]):
        with pytest.raises(UserError, match="by turns"):
            template.prompt_ids(tokenizer, messages)


def test_trained_spans_are_the_answers_and_what_ends_them(tokenizer):
    messages = [user("猫？"), assistant("はい"), user("犬？"), assistant("いいえ")]

    def shown(name):
        return describe(tokenizer, get_template(name).render(tokenizer, messages))

    question = "\n\n### 指示:\n犬？\n\n### 応答:\n"
    assert shown("llm_jp_3") == (
        f"<s>{OPENING}\n\n### 指示:\n猫？\n\n### 応答:\n[[はい</s>]]{question}[[いいえ</s>]]"
    )
    assert shown("llm_jp_v1.3") == (
        f"<s>{OPENING}\n\n### 指示:\n猫？\n\n### 応答:\n[[はい]]{question}[[いいえ</s>]]"
    )
    assert shown("llm_jp_v2_ja").endswith("### 入力:\n犬？\n### 応答:[[いいえ</s>]]")
    assert shown("llm_jp_v2_ja").count("[[") == 1
    assert shown("plain") == "<s>猫？[[はい]]犬？[[いいえ</s>]]"
    assert shown("chatml").count("<|im_end|>]]") == 2


def test_a_text_alone_is_trained_from_its_first_token_after_bos(tokenizer):
    template = get_template("plain")
    with_bos = template.render(tokenizer, [assistant("猫である")])
    assert with_bos.ids.tolist() == [1, *tokenizer.encode("猫である"), 2]
    assert with_bos.loss_weights.tolist() == [0.0] + [1.0] * (len(with_bos.ids) - 1)
    without = template.render(tokenizer, [assistant("猫である")], bos="never")
    assert without.ids.tolist() == with_bos.ids.tolist()[1:]
    assert without.loss_weights[0] == 0


def test_llm_jp_3_is_the_recipe_of_instruct3(tokenizer):
    rendered = get_template("llm_jp_3").render(tokenizer, [user("猫？"), assistant("はい")])
    question = tokenizer.encode("\n\n### 指示:\n猫？\n\n### 応答:\n")[1:]
    answer = [*tokenizer.encode("\nはい")[2:], 2]
    assert rendered.ids.tolist() == [1, *tokenizer.encode(OPENING), *question, *answer]
    assert rendered.loss_weights.sum() == len(answer)


def test_stop_ids_begin_with_what_was_trained(tokenizer, byte_level_folder):
    im_end = tokenizer.special.ids["<|im_end|>"]
    assert get_template("chatml").stop_ids(tokenizer) == (im_end, 2)
    assert get_template("llm_jp_3").stop_ids(tokenizer) == (2,)
    assert get_template("verbatim").stop_ids(tokenizer) == (2,)
    assert get_template("plain").stop_ids(load_tokenizer(byte_level_folder)) == (2, 0)


def test_what_cannot_be_written_is_said(tokenizer, byte_level_folder, tokenizer_without_chatml):
    v1_3 = get_template("llm_jp_v1.3")
    with pytest.raises(UserError, match="no place for a system message"):
        v1_3.render(tokenizer, [system("x"), user("a"), assistant("b")])
    with pytest.raises(UserError, match="needs a user turn"):
        v1_3.render(tokenizer, [assistant("b")])
    with pytest.raises(UserError, match="last message is from the user, not from the assistant"):
        v1_3.render(tokenizer, [user("a")])
    with pytest.raises(UserError, match="last message is from the assistant, not from the user"):
        v1_3.prompt_ids(tokenizer, [user("a"), assistant("b")])
    with pytest.raises(UserError, match="no messages"):
        v1_3.render(tokenizer, [])
    with pytest.raises(UserError, match="must be auto, always or never"):
        v1_3.prompt_ids(tokenizer, [user("a")], bos="sometimes")
    with pytest.raises(UserError, match="has no bos token"):
        v1_3.prompt_ids(load_tokenizer(byte_level_folder), [user("a")], bos="always")
    with pytest.raises(UserError, match=r"chatml needs the special token <\|im_start\|>"):
        get_template("chatml").render(tokenizer_without_chatml, [user("a"), assistant("b")])
    with pytest.raises(UserError, match="'alpaca' is unknown"):
        get_template("alpaca")


@pytest.fixture(scope="module")
def tokenizer_without_chatml(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.model"
    return train_sentencepiece(["abc abd 猫", "abc"], path, vocab_size=270)
