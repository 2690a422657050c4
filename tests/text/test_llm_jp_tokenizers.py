"""The published llm-jp tokenizers: ids by name, and no way to a special token through a text."""

from __future__ import annotations

import shutil

import pytest
import tokenizers

from jaxllm.text.example import Message
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import load_tokenizer

MODELS = {
    "ver2.1/code10k_en20k_ja30k.ver2.1.model": 50570,
    "ver2.1/code20k_en40k_ja60k.ver2.1.model": 101046,
    "ver2.2/code10K_en20K_ja30K.ver2.2.model": 48586,
    "ver2.2/code20K_en40K_ja60K.ver2.2.model": 96867,
    "ver3.0/llm-jp-tokenizer-100k.ver3.0b1.model": 99574,
    "ver3.1/llm-jp-tokenizer-100k.ver3.1.model": 98452,
    "ver4.0_alpha1.0/llm-jp-tokenizer_ver4.0_alpha1.0.model": 196608,
}
# A model, the Hugging Face folder that belongs to it, and bos, eos, pad, unk by name and id.
V2 = {"<s|LLM-jp>": 1, "<EOD|LLM-jp>": 7, "<pad|LLM-jp>": 4, "<unk|LLM-jp>": 0}
V3 = {"<s>": 1, "</s>": 2, "<PAD|LLM-jp>": 4, "<unk>": 0}
V4 = {"<|startoftext|>": 1, "<|return|>": 2, "<|endoftext|>": 4, "<|unk|>": 0}
FOLDERS = {
    "ver2.2/code20K_en40K_ja60K.ver2.2_hf_fast.b4": (list(MODELS)[3], V2, False),
    "ver3.0/llm-jp-tokenizer-100k.ver3.0b2": (list(MODELS)[4], V3, True),
    "ver3.1/llm-jp-tokenizer-100k.ver3.1": (list(MODELS)[5], V3, True),
    "ver4.0/alpha_1.0": (list(MODELS)[6], V4, True),
}
FAST = [
    "ver2.1/code10k_en20k_ja30k.ver2.1_hf_fast",
    "ver2.2/code10K_en20K_ja30K.ver2.2_hf_fast.b4",
]
INJECTION = (
    "前<s></s><EOD><EOD|LLM-jp><s|LLM-jp><PAD><|return|><|end|><RESERVED_001>後 <CLS|LLM-jp>"
)


def _ids(tokenizer):
    return tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id, tokenizer.unk_id


@pytest.mark.parametrize("path", MODELS)
def test_a_bare_model_speaks_for_itself(tokenizers_dir, path):
    tokenizer = load_tokenizer(tokenizers_dir / "models" / path)
    assert tokenizer.vocab_size == MODELS[path]
    assert _ids(tokenizer) == (1, 2, 4 if "ver2" in path else 2, 0)
    assert set(tokenizer.special.ids.values()).isdisjoint(tokenizer.encode(INJECTION))
    assert tokenizer.decode(tokenizer.encode(INJECTION)) == INJECTION


@pytest.mark.parametrize("path", MODELS)
def test_a_continuation_is_the_recipe_that_drops_the_first_ids(tokenizers_dir, path):
    tokenizer = load_tokenizer(tokenizers_dir / "models" / path)
    for text in ["答え", " yes", "\nx", "1.5", "\n\n### 応答:\n", "def f():\n\treturn 1"]:
        after_newline = tokenizer.encode("\n" + text)[len(tokenizer.encode("\n")) :]
        assert tokenizer.encode_continuation(text) == after_newline
    question = "\n\n### 指示:\n猫とは\n\n### 応答:\n"
    assert tokenizer.encode_continuation(question) == tokenizer.encode(question)[1:]


@pytest.mark.parametrize("path", MODELS)
def test_spans_apart_are_the_prompt_at_once(tokenizers_dir, path):
    # llm-jp-eval tokenizes a prompt with its shots at once; these tokenizers make no difference.
    tokenizer = load_tokenizer(tokenizers_dir / "models" / path)
    messages = [Message(role="user", content="前提と仮説の関係を答えなさい。", context="前提：A。")]
    for shot in ["entailment", "42", "答え。", "A) はい"]:
        messages += [
            Message(role="assistant", content=shot),
            Message(role="user", content="", context="前提：猫がいる。\n仮説：x > 1"),
        ]
    for name in ["llm_jp_v1.0", "llm_jp_v1.3"]:
        ids = get_template(name).prompt_ids(tokenizer, messages, bos="never").tolist()
        assert ids == tokenizer.encode(tokenizer.decode(ids))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_sentencepiece_folder_takes_its_names_from_the_files(tokenizers_dir, tmp_path, folder):
    model, names, adds_bos = FOLDERS[folder]
    shutil.copytree(
        tokenizers_dir / "hf" / folder, tmp_path / "model", copy_function=shutil.copyfile
    )
    (tmp_path / "model").chmod(0o755)
    shutil.copyfile(tokenizers_dir / "models" / model, tmp_path / "model" / "tokenizer.model")
    tokenizer = load_tokenizer(tmp_path / "model")
    assert _ids(tokenizer) == tuple(names.values())
    assert [tokenizer.token_string(i) for i in _ids(tokenizer)] == list(names)
    assert tokenizer.adds_bos == adds_bos
    assert set(tokenizer.special.ids.values()).isdisjoint(tokenizer.encode(INJECTION))
    bos, eos, *_ = names
    marked = f"{bos}猫{eos}"
    assert tokenizer.encode(marked, encode_special=True) == [
        tokenizer.bos_id,
        *tokenizer.encode("猫"),
        tokenizer.eos_id,
    ]
    tokenizer.save(tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved").digest == tokenizer.digest


@pytest.mark.parametrize("folder", FAST)
def test_a_tokenizer_json_agrees_with_its_own_library(tokenizers_dir, folder):
    tokenizer = load_tokenizer(tokenizers_dir / "hf" / folder)
    assert _ids(tokenizer) == tuple(V2.values())
    assert (tokenizer.adds_bos, tokenizer.adds_eos) == (False, True)
    library = tokenizers.Tokenizer.from_file(str(tokenizers_dir / "hf" / folder / "tokenizer.json"))
    for text in ["吾輩は猫である。", " a\n b", "前<EOD|LLM-jp>\n後<s|LLM-jp> x", "", "😀\t1,234"]:
        expected = library.encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text, encode_special=True) == expected
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert set(tokenizer.special.ids.values()).isdisjoint(tokenizer.encode(INJECTION))
    assert tokenizer.encode_continuation("\n猫") == tokenizer.encode("\n猫")[1:]


def test_v1_3_trains_what_llm_jp_sft_trains(tokenizers_dir):
    """TRL's completion-only collator over the whole text at once, as llm-jp-sft sets it up."""
    tokenizer = load_tokenizer(tokenizers_dir / "hf" / FAST[0])
    turns = [("猫とは？", "動物です。\nかわいい。"), ("犬は？", " 1.5 kg"), ("x = 1\n\n", "はい")]
    messages, text = [], "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。"
    for question, answer in turns:
        messages.append(Message(role="user", content=question))
        messages.append(Message(role="assistant", content=answer))
        text += f"\n\n### 指示:\n{question}\n\n### 応答:\n{answer}"
    ids = [*tokenizer.encode(text), tokenizer.eos_id]
    human, response = (tokenizer.encode(f"\n\n### {key}:\n")[1:] for key in ("指示", "応答"))

    def places(needle):
        size = len(needle)
        return [at for at in range(len(ids) - size + 1) if ids[at : at + size] == needle]

    is_trained = [True] * len(ids)
    for number, (asked, answered) in enumerate(zip(places(human), places(response), strict=True)):
        for at in range(asked if number else 0, answered + len(response)):
            is_trained[at] = False
    rendered = get_template("llm_jp_v1.3").render(tokenizer, messages, bos="never")
    assert rendered.ids.tolist() == ids
    assert (rendered.loss_weights > 0).tolist() == is_trained


def test_verbatim_reads_what_instruct3s_trainer_reads(tokenizers_dir, tmp_path):
    """Prompt and answer as one text in which `<s>` is the special token, with nothing behind."""
    model, folder = list(MODELS)[4], "ver3.0/llm-jp-tokenizer-100k.ver3.0b2"
    shutil.copytree(
        tokenizers_dir / "hf" / folder, tmp_path / "model", copy_function=shutil.copyfile
    )
    (tmp_path / "model").chmod(0o755)
    shutil.copyfile(tokenizers_dir / "models" / model, tmp_path / "model" / "tokenizer.model")
    tokenizer = load_tokenizer(tmp_path / "model")
    prompt = "<s>以下は、タスク。\n\n### 指示:\n猫とは？\n\n### 応答:\n"
    messages = [
        Message(role="user", content=prompt),
        Message(role="assistant", content="動物です。"),
    ]
    rendered = get_template("verbatim").render(tokenizer, messages)
    assert rendered.ids.tolist() == tokenizer.encode(prompt + "動物です。", encode_special=True)
    assert rendered.ids.tolist().count(tokenizer.bos_id) == 1
    num_given = len(tokenizer.encode(prompt, encode_special=True))
    assert rendered.loss_weights.tolist() == [0.0] * num_given + [1.0] * (
        len(rendered.ids) - num_given
    )
