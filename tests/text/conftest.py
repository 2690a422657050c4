"""Small real tokenizers: a SentencePiece model and a byte-level BPE, trained here."""

from __future__ import annotations

import json

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from jaxllm.text.train_sentencepiece import train_sentencepiece

CORPUS = [
    "吾輩は猫である。名前はまだ無い。",
    "### 指示:",
    "### 入力:",
    "### 応答:",
    "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。",
    "The quick brown fox jumps over the lazy dog. 0123456789",
    "user assistant system entailment contradiction neutral",
] * 4

CHATML_JINJA = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="session")
def sentencepiece_folder(tmp_path_factory):
    """A folder with a tokenizer.model alone; `<|im_start|>` and `<|im_end|>` are user-defined."""
    folder = tmp_path_factory.mktemp("sentencepiece")
    train_sentencepiece(
        CORPUS,
        folder / "tokenizer.model",
        vocab_size=440,
        user_defined_symbols=["<|im_start|>", "<|im_end|>"],
    )
    return folder


@pytest.fixture(scope="session")
def byte_level_folder(tmp_path_factory):
    """A folder as Qwen's: byte-level BPE, `<|im_end|>` as eos, a Jinja chat template, no bos."""
    folder = tmp_path_factory.mktemp("byte_level")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "eos_token": "<|im_end|>",
        "pad_token": {"content": "<|endoftext|>", "lstrip": False},
        "bos_token": None,
        "chat_template": [
            {"name": "tool_use", "template": "unused"},
            {"name": "default", "template": CHATML_JINJA},
        ],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 0]}))
    return folder


@pytest.fixture(scope="session")
def bos_folder(byte_level_folder, tmp_path_factory):
    """A folder as Llama 3's: the post-processor adds bos, and the chat template prints it too."""
    folder = tmp_path_factory.mktemp("bos")
    tokenizer = tokenizers.Tokenizer.from_file(str(byte_level_folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    special_map = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special_map))
    (folder / "chat_template.jinja").write_text("{{ bos_token }}" + CHATML_JINJA)
    return folder
