from __future__ import annotations

import json
import shutil

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors

from jaxllm.errors import UserError
from jaxllm.text.tokenizer import load_tokenizer

# "▁" is SentencePiece's own sign for a space and does not come back as itself.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁"), max_size=40)
MIXED = st.lists(
    st.one_of(
        TEXT,
        st.sampled_from(
            [" ", "  ", "\n", "\n\n", "\t", "\r\n", "\u3000", "\u200d", "👍🏽", "ﾊﾟ", "が"]
        ),
        st.sampled_from(
            ["<s>", "</s>", "<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|im_", "<"]
        ),
    ),
    max_size=8,
).map("".join)
KINDS = ["sentencepiece_folder", "byte_level_folder", "bos_folder"]


@pytest.fixture(scope="session", params=KINDS)
def tokenizer(request):
    return load_tokenizer(request.getfixturevalue(request.param))


@given(text=MIXED)
def test_text_comes_back(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(0 <= i < tokenizer.vocab_size for i in ids)


@given(text=MIXED)
def test_a_text_never_encodes_to_a_special_token(tokenizer, text):
    special = set(tokenizer.special.ids.values())
    assert special.isdisjoint(tokenizer.encode(text))
    assert special.isdisjoint(tokenizer.encode_continuation(text))


@given(before=MIXED, text=MIXED)
def test_a_continuation_adds_its_text_and_nothing_else(tokenizer, before, text):
    ids = tokenizer.encode("a" + before) + tokenizer.encode_continuation(text)
    assert tokenizer.decode(ids) == "a" + before + text
    assert tokenizer.decode_continuation(tokenizer.encode_continuation(text)) == text


@given(text=MIXED)
def test_saved_and_loaded_again_it_is_the_same(tokenizer, text, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / f"saved_{tokenizer.name}"
    if not folder.exists():
        tokenizer.save(folder)
    again = load_tokenizer(folder)
    assert again.digest == tokenizer.digest
    assert again.encode(text, encode_special=True) == tokenizer.encode(text, encode_special=True)


def test_special_tokens_are_read_when_asked(byte_level_folder):
    tokenizer = load_tokenizer(byte_level_folder)
    text = "<|im_start|>user\nはい<|im_end|>\n"
    ids = tokenizer.encode(text, encode_special=True)
    inner = tokenizer.encode("user\nはい")
    assert ids == [1, *inner, 2, *tokenizer.encode("\n")]
    assert tokenizer.decode(ids, skip_special=False) == text
    assert tokenizer.decode(ids) == "user\nはい\n"


def test_sentencepiece_maps_its_control_pieces_when_asked(sentencepiece_folder):
    tokenizer = load_tokenizer(sentencepiece_folder)
    ids = tokenizer.encode("<s>猫</s>", encode_special=True)
    assert ids == [1, *tokenizer.encode("猫"), 2]
    assert tokenizer.decode(ids, skip_special=False) == "<s>猫</s>"


def test_qwen_style_folder(byte_level_folder):
    tokenizer = load_tokenizer(byte_level_folder)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (None, 2, 0)
    assert not tokenizer.adds_bos
    assert tokenizer.extra_stop_ids == (0,)
    assert tokenizer.chat_template.startswith("{% for message")


def test_llama_3_style_folder(bos_folder):
    tokenizer = load_tokenizer(bos_folder)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (0, 2, 2)
    assert tokenizer.adds_bos
    assert tokenizer.chat_template.startswith("{{ bos_token }}")


def test_eos_behind_a_text_is_told_and_never_added(byte_level_folder, tmp_path):
    shutil.copytree(byte_level_folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "tokenizer.json"
    library = tokenizers.Tokenizer.from_file(str(path))
    library.post_processor = processors.TemplateProcessing(
        single="$A <|im_end|>", special_tokens=[("<|im_end|>", 2)]
    )
    library.save(str(path))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.adds_eos
    assert tokenizer.encode("猫")[-1] != tokenizer.eos_id
    tokenizer.save(tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved").adds_eos
    # In transformers one of the two settings overrules the file's post-processor.
    config = {"eos_token": "<|im_end|>", "add_bos_token": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert not load_tokenizer(tmp_path).adds_eos


def test_tokenizer_json_comes_before_the_sentencepiece_model(
    sentencepiece_folder, byte_level_folder, tmp_path
):
    shutil.copytree(byte_level_folder, tmp_path, dirs_exist_ok=True)
    shutil.copy(sentencepiece_folder / "tokenizer.model", tmp_path)
    assert load_tokenizer(tmp_path).digest == load_tokenizer(byte_level_folder).digest


def test_sentencepiece_takes_names_and_template_from_tokenizer_config(
    sentencepiece_folder, tmp_path
):
    shutil.copy(sentencepiece_folder / "tokenizer.model", tmp_path)
    config = {"eos_token": "<|im_end|>", "chat_template": "x", "add_bos_token": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.token_string(tokenizer.eos_id) == "<|im_end|>"
    assert (tokenizer.chat_template, tokenizer.adds_bos, tokenizer.bos_id) == ("x", False, 1)


def test_a_models_config_names_eos_only_where_the_tokenizer_does_not(
    sentencepiece_folder, tmp_path
):
    shutil.copy(sentencepiece_folder / "tokenizer.model", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": 7, "eos_token_id": 5}))
    assert load_tokenizer(tmp_path).eos_id == 5
    assert load_tokenizer(tmp_path).bos_id == 1
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"eos_token": "</s>"}))
    assert load_tokenizer(tmp_path).eos_id == 2
    assert load_tokenizer(tmp_path).extra_stop_ids == (5,)


def test_ids_beyond_the_tokenizer_decode_to_a_replacement(tokenizer):
    ids = [*tokenizer.encode("a"), tokenizer.vocab_size + 3, -1]
    assert tokenizer.decode(ids) == "a\ufffd\ufffd"


def test_a_space_at_the_start_of_an_answer_is_kept(sentencepiece_folder):
    tokenizer = load_tokenizer(sentencepiece_folder)
    ids = tokenizer.encode_continuation(" 0 ")
    assert tokenizer.decode_continuation(ids) == " 0 "
    assert tokenizer.decode(ids) == "0 "


def test_an_empty_folder_names_the_files_looked_for(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer\.json, tokenizer\.model"):
        load_tokenizer(tmp_path)
    with pytest.raises(UserError, match="no tokenizer at"):
        load_tokenizer(tmp_path / "nowhere.model")


def test_a_tokenizer_without_eos_says_where_to_name_it(byte_level_folder, tmp_path):
    shutil.copy(byte_level_folder / "tokenizer.json", tmp_path)
    with pytest.raises(UserError, match=r"tokenizer_config\.json.*<\|im_end\|>"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.model"])
def test_a_broken_file_is_the_users_to_mend(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x00 not a tokenizer")
    with pytest.raises(UserError, match="is no"):
        load_tokenizer(tmp_path)


def test_a_config_that_names_an_unknown_eos(sentencepiece_folder, tmp_path):
    shutil.copy(sentencepiece_folder / "tokenizer.model", tmp_path)
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"eos_token": "<nothing>"}))
    with pytest.raises(UserError, match="eos_token '<nothing>'"):
        load_tokenizer(tmp_path)
