"""FastChat's model_judgment/JUDGE_pair.jsonl: a game a line, its verdicts in both orders.

Ours has `sample`, `vote` and `reasons` beside FastChat's fields.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from etils import epath

from jaxllm.corpora.json_records import read_records
from jaxllm.errors import UserError
from jaxllm.judging.comparisons import Verdict, games
from jaxllm.judging.fastchat_files import question_number
from jaxllm.judging.judgments import Judgment
from jaxllm.reporting.win_rates import LOSS, TIE, WIN

_FIRST, _SECOND, _TIE, _UNREADABLE = "model_1", "model_2", "tie", "error"


def pair_lines(verdicts: Iterable[Verdict], judge: str) -> Iterator[dict[str, Any]]:
    """The lines of a file of pairwise judgments."""
    for one, other in games(verdicts):
        first, second = one.judgment, other.judgment
        yield {
            "question_id": question_number(first.question),
            "model_1": one.first,
            "model_2": one.second,
            "g1_winner": _winner(one, _FIRST, _SECOND),
            "g2_winner": _winner(other, _SECOND, _FIRST),
            "judge": [judge, first.rubric],
            "g1_user_prompt": first.prompt,
            "g1_judgment": first.text,
            "g2_user_prompt": second.prompt,
            "g2_judgment": second.text,
            "turn": first.turn,
            "tstamp": second.made_at,
            "sample": first.sample,
            "vote": first.vote,
            "reasons": [first.reason or None, second.reason or None],
        }


def read_pairs(path: str | os.PathLike[str]) -> dict[str, list[Verdict]]:
    """The verdicts of each judge.

    Raises:
        UserError: the file is not there or is another one.
    """
    path = epath.Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    found: dict[str, list[Verdict]] = {}
    for number, record in enumerate(read_records(path), start=1):
        try:
            found.setdefault(str(record["judge"][0]), []).extend(_verdicts(record))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(
                f"{path}, line {number}: no comparison as FastChat writes them ({error!r})"
            ) from error
    return found


def _winner(verdict: Verdict, first: str, second: str) -> str:
    names: dict[float | None, str] = {WIN: first, LOSS: second, TIE: _TIE, None: _UNREADABLE}
    return names[verdict.worth]


def _verdicts(record: Mapping[str, Any]) -> Iterator[Verdict]:
    models = str(record["model_1"]), str(record["model_2"])
    reasons = record.get("reasons") or [None, None]
    for game, (first, second) in enumerate((models, models[::-1])):
        worths = {_FIRST: WIN, _SECOND: LOSS, _TIE: TIE, _UNREADABLE: None}
        worth = worths[record[f"g{game + 1}_winner"]]
        if game and worth is not None:
            worth = 1 - worth
        yield Verdict(
            first=first,
            second=second,
            judgment=Judgment(
                question=str(record["question_id"]),
                sample=int(record.get("sample", 0)),
                rubric=str(record["judge"][1]),
                turn=int(record.get("turn", 1)),
                vote=int(record.get("vote", 0)),
                prompt=str(record.get(f"g{game + 1}_user_prompt", "")),
                text=str(record.get(f"g{game + 1}_judgment", "")),
                scores=None if worth is None else {"preference": worth},
                reason=reasons[game] or ("" if worth is not None else "no verdict in the file"),
                made_at=float(record.get("tstamp") or 0.0),
            ),
        )
