from __future__ import annotations

import json

import pytest

from jaxllm.errors import UserError
from jaxllm.text.gguf_tokenizer import tokenizer_from_gguf_fields
from jaxllm.text.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def fields(byte_level_folder):
    """The GGUF fields that a converter would write for the byte-level tokenizer."""
    model = json.loads((byte_level_folder / "tokenizer.json").read_text())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    return {
        "tokens": tokens,
        "merges": [" ".join(pair) for pair in model["merges"]],
        "token_types": [3 if token.startswith("<|") else 1 for token in tokens],
        "bos_id": 1,
        "eos_id": 2,
        "pre": "gpt-2",
        "chat_template": "x",
        "add_bos": False,
    }


def test_it_is_the_tokenizer_the_fields_were_taken_from(fields, byte_level_folder):
    original = load_tokenizer(byte_level_folder)
    tokenizer = tokenizer_from_gguf_fields(**fields)
    for text in ["吾輩は猫である 2024", "a<|im_end|>\n  b", "for (;;) {}\t😀"]:
        assert tokenizer.encode(text) == original.encode(text)
        marked = original.encode(text, encode_special=True)
        assert tokenizer.encode(text, encode_special=True) == marked
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.adds_bos) == (1, 2, False)
    assert tokenizer.chat_template == "x"


@pytest.mark.parametrize("pre", ["smollm", "gpt-2", "llama-bpe", "qwen2"])
def test_text_comes_back_and_a_saved_copy_is_equal(fields, tmp_path, pre):
    tokenizer = tokenizer_from_gguf_fields(**{**fields, "pre": pre})
    text = "I'LL don't  x = 12345;\n\n 猫\u3000である\r\n <|im_end|>"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.digest == tokenizer.digest
    assert again.encode(text) == tokenizer.encode(text)


def test_smollm_takes_digits_one_by_one(fields):
    merged = {**fields, "tokens": [*fields["tokens"], "12"], "merges": [*fields["merges"], "1 2"]}
    merged["token_types"] = [*fields["token_types"], 1]
    assert len(tokenizer_from_gguf_fields(**{**merged, "pre": "gpt-2"}).encode("12")) == 1
    assert len(tokenizer_from_gguf_fields(**{**merged, "pre": "smollm"}).encode("12")) == 2


def test_an_unknown_split_is_refused(fields):
    with pytest.raises(UserError, match="'tekken' is not known"):
        tokenizer_from_gguf_fields(**{**fields, "pre": "tekken"})
