from __future__ import annotations

import pytest

from jaxllm.errors import UserError
from jaxllm.text.train_sentencepiece import train_sentencepiece

LINES = ["吾輩は猫である。", "名前はまだ無い。\n\nどこで生れたか", "the cat sat on the mat"] * 3


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_the_same_lines_give_the_same_file(tmp_path, model_type):
    files = []
    for name in ["a", "b"]:
        path = tmp_path / name / "tokenizer.model"
        tokenizer = train_sentencepiece(
            iter(LINES), path, vocab_size=292, model_type=model_type, user_defined_symbols=["<x>"]
        )
        files.append(path.read_bytes())
    assert files[0] == files[1]
    ids = (tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id)
    assert ids == (0, 1, 2, 3)
    assert tokenizer.special.ids["<x>"] == 4
    assert tokenizer.vocab_size == 292
    text = "  猫\n\n<x> 鬱😀 "
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_too_few_lines_for_the_vocabulary(tmp_path):
    with pytest.raises(UserError, match="vocab_size=5000"):
        train_sentencepiece(LINES, tmp_path / "t.model", vocab_size=5000)
    with pytest.raises(UserError, match=r"end in \.model"):
        train_sentencepiece(LINES, tmp_path / "t.json", vocab_size=292)
