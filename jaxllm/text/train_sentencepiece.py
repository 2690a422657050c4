"""Training a SentencePiece model of one's own."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import sentencepiece
from etils import epath

from jaxllm.errors import UserError
from jaxllm.text.tokenizer import Tokenizer, load_tokenizer


def train_sentencepiece(
    lines: Iterable[str],
    path: epath.PathLike,
    *,
    vocab_size: int,
    model_type: str = "bpe",
    user_defined_symbols: Sequence[str] = (),
    character_coverage: float = 0.9995,
) -> Tokenizer:
    """Trains a model on lines of text, writes it to `path` (a `*.model`) and loads it.

    Made as the llm-jp models are: no normalization, every space kept, bytes for what is no piece,
    `<unk>` 0, `<s>` 1, `</s>` 2, `<pad>` 3. `user_defined_symbols` in angle brackets, such as
    `<|im_end|>`, become special tokens. The same lines give the same file.

    Raises UserError where the lines do not yield `vocab_size` pieces.
    """
    path = epath.Path(path)
    if path.suffix != ".model":
        raise UserError(f"{path} must end in .model")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(part for line in lines for part in line.split("\n") if part),
            model_writer=model,
            vocab_size=vocab_size,
            model_type=model_type,
            # Pieces hold U+2581 where the text has a space; a symbol with a space never matches.
            user_defined_symbols=[symbol.replace(" ", "\u2581") for symbol in user_defined_symbols],
            character_coverage=character_coverage,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            byte_fallback=True,
            split_digits=True,
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=3,
            # More than one thread changes the order of equal counts.
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(
            f"no SentencePiece model with vocab_size={vocab_size} and model_type={model_type!r} "
            f"came of the lines given: {error}"
        ) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.getvalue())
    return load_tokenizer(path)
