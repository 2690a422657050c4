"""mini: nine small Japanese tasks, one per llm-jp-eval category, plain text, and preferences.

Made here from templates and a lexicon, the same on every machine. Together they are what a model
of a million parameters can be pre-trained and tuned on within minutes on two CPU cores.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

from jaxllm.corpora import base
from jaxllm.corpora.mini import lexicon, tasks, text
from jaxllm.corpora.mini.draw import Draw, draw_splits

_SOURCE = "made by jaxllm.corpora.mini from templates and a lexicon"
_LICENCE = "Apache-2.0"


def _read_task(draw: Draw, open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    return draw_splits(draw)


def _read_text(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Pair]]:
    return {
        split: [base.Pair("", line) for line in text.rows(split, size)]
        for split, size in text.SIZES.items()
    }


def _read_preference(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Preference]]:
    def wrong(pairs: Sequence[base.Pair], start: int) -> str:
        following = itertools.chain(pairs[start:], pairs)
        return next(pair.output for pair in following if pair.output != pairs[start].output)

    return {
        split: [
            base.Preference(pair.input, pair.output, wrong(pairs, number))
            for number, pair in enumerate(pairs)
        ]
        for split, pairs in draw_splits(tasks.knowledge).items()
    }


def _task(
    name: str, draw: Draw, instruction: str, output_length: int, *metrics: str
) -> base.Corpus:
    return base.Corpus(
        name=f"mini/{name}",
        source=_SOURCE,
        licence=_LICENCE,
        instruction=instruction,
        output_length=output_length,
        metrics=metrics,
        readers=(functools.partial(_read_task, draw),),
    )


_CHAR_F1 = ("char_f1", "exact_match")
TASKS = (
    _task("el", tasks.entity_labelling, "会社名と評価を答えてください。", 16, "set_f1"),
    _task("fa", tasks.reading, "ひらがなに変換してください。", 24, *_CHAR_F1),
    _task("he", tasks.exam, "正しい選択肢を答えてください。", 8, "exact_match"),
    _task("mc", tasks.common_sense, "当てはまるものを選んでください。", 8, "exact_match"),
    _task("mr", tasks.arithmetic, "計算問題の答えを数字で答えてください。", 8, "exact_match"),
    _task("mt", tasks.translation, "日英、英日の翻訳をしてください。", 24, "exact_match", "chrf"),
    _task("nli", tasks.inference, "前提と仮説の関係を答えてください。", 8, "exact_match"),
    _task("qa", tasks.knowledge, "質問に答えてください。", 12, *_CHAR_F1),
    _task("rc", tasks.comprehension, "文章を読んで質問に答えてください。", 8, *_CHAR_F1),
)
TEXT = base.Corpus(
    name="mini/text",
    source=_SOURCE,
    licence=_LICENCE,
    splits=tuple(text.SIZES),
    readers=(_read_text,),
)


# The answers to QA's questions, each beside that of another question.
PREFERENCE = base.Corpus(
    name="mini/preference",
    source=_SOURCE,
    licence=_LICENCE,
    form="preference",
    readers=(_read_preference,),
)


class Mini(base.CorpusBuilder):
    """The mini corpora."""

    BUILDER_CONFIGS = base.configs(*TASKS, TEXT, PREFERENCE)


_LABELS = ("文章：", "質問：", "選択肢：", "前提：", "仮説：", "問題：", "\n")


def symbols() -> list[str]:
    """What a mini tokenizer keeps whole, for its `user_defined_symbols`.

    Words, the labels of the inputs and the instructions. With the fixed lines of the prompt
    template besides (SentencePiece wants U+2581 for each space in them), a question takes 10 to 20
    tokens.
    """
    words = [
        *_LABELS,
        *lexicon.PEOPLE,
        *lexicon.COMPANIES,
        *(event for events in lexicon.POLARITIES.values() for event in events),
        *(
            form
            for word in (*lexicon.ANIMALS, *lexicon.PLACES, *lexicon.VERBS)
            for form in word[:2]
        ),
        *(word for kind, members in lexicon.CATEGORIES.items() for word in (kind, *members)),
        *(
            word
            for table in (
                lexicon.CAPITALS,
                lexicon.AUTHORS,
                lexicon.PREFECTURES,
                lexicon.ELEMENTS,
                lexicon.OPPOSITES,
            )
            for entry in table.items()
            for word in entry
        ),
        *(name for name, _ in tasks.EXAMS),
        *map(tasks.denied, tasks.OPPOSITE),
        *(form for forms in tasks.ACTIONS for form in forms),
        *(tasks.WHO, tasks.WHERE, tasks.WHAT),
        *(corpus.instruction for corpus in TASKS),
        *map(str, range(10, 25)),
    ]
    return list(dict.fromkeys(words))
