"""How llm-jp-eval 2 asks for the form of an answer: what the model is told, and what shots show.

Scores depend on every character of the strings in this file. The names are those of the answer
patterns in `jaxllm.text.extraction`; what is told about `latex_boxed`, and that shots stand in the
same form as answers should, is not published in full.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerFormat:
    """`told` stands in the prompt (empty: nothing); `shown` is a shot's answer, `{}` its place."""

    told: str = ""
    shown: str = "{}"


_TAGS = "<answer>{}</answer>"
_JSON = "```json\n{}\n```"
_CODE = "```\n{}\n```"
_BOXED = "\\boxed{{{}}}"

_FORMATS = {
    "answer_tags_jp": AnswerFormat(
        told="<answer></answer>タグで囲んで回答してください", shown=_TAGS
    ),
    "answer_tags_en": AnswerFormat(told="Please answer within <answer></answer> tags", shown=_TAGS),
    "choice_only_jp": AnswerFormat(told="選択肢の番号または文字のみで回答してください"),
    "choice_only_en": AnswerFormat(told="Please answer with only the choice number or letter"),
    "json_output_jp": AnswerFormat(told="```json\n```のJSON形式で回答してください", shown=_JSON),
    "json_output_en": AnswerFormat(told="Please answer in JSON format: ```json\n```", shown=_JSON),
    "code_output_jp": AnswerFormat(
        told="```\n```のコードブロック形式で回答してください", shown=_CODE
    ),
    "code_output_en": AnswerFormat(
        told="Please answer in code block format: ```\n```", shown=_CODE
    ),
    "latex_boxed_jp": AnswerFormat(told="\\boxed{}で囲んで回答してください", shown=_BOXED),
    "latex_boxed_en": AnswerFormat(told="Please answer within \\boxed{}", shown=_BOXED),
}
_FREE = AnswerFormat()


def get_answer_format(extraction: str) -> AnswerFormat:
    """What goes with an extraction: nothing is told of those that do not end in _jp or _en."""
    return _FORMATS.get(extraction, _FREE)
