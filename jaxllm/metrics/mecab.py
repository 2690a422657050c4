"""Japanese words as sacrebleu's ja-mecab tokenizer cuts them, for BLEU and ROUGE."""

from __future__ import annotations

import functools
import re

from sacrebleu.tokenizers.tokenizer_ja_mecab import TokenizerJaMecab

# Letters, digits, katakana and signs: MeCab looks for one word in each run of them.
_ENDLESS_RUN = re.compile(r"[^\s\u3040-\u309f\u4e00-\u9fff]{1000}")
_LONGEST = 20_000  # characters at a time


class JaMecab(TokenizerJaMecab):
    """sacrebleu's tokenizer, which does not fail on or take minutes for any text.

    MeCab takes 18 s for 100,000 letters in a row, so a run without a blank, a kanji or a hiragana
    is cut after every 1,000 characters. Its costs overflow on a line of 100,000 digits, so a line
    is read in pieces of 20,000 characters. Both leave ordinary text alone.
    """

    def __call__(self, line: str) -> str:
        line = _ENDLESS_RUN.sub(r"\g<0> ", line.replace("\0", " "))
        pieces = [line[start : start + _LONGEST] for start in range(0, len(line), _LONGEST)]
        tokenize = super().__call__
        return " ".join(map(tokenize, pieces))


@functools.cache
def ja_mecab() -> JaMecab:
    """The one tokenizer of this process: each new one leaves a dictionary behind in memory."""
    return JaMecab()
