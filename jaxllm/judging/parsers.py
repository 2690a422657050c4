"""From what a judge wrote to scores: by pattern, by JSON, or by the likelihood of each score."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jaxllm.errors import UserError

Scales = Mapping[str, tuple[float, float]]


class NoScore(Exception):
    """What a judge wrote holds no score that can be believed; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegexParser:
    """Scores between markers.

    Attributes:
      pattern: its last group is the value; where there are two, the first is the score's label.
      labels: the score that each label stands for; without labels the rubric gives one score.
      values: the number that each value stands for, where they are words.
      pick: which match counts, the first or the last one; "only" wants no second one, "listed" is
        the one that stands first among `values`.
      fallback: a pattern for texts in which the other finds nothing.
      on_scale: whether a value off the scale is no score.
      normalise: reads full-width digits and brackets as half-width ones.
    """

    pattern: str
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    pick: Literal["first", "last", "only", "listed"] = "last"
    fallback: str = ""
    on_scale: bool = True
    normalise: bool = True

    def __post_init__(self) -> None:
        for pattern in filter(None, (self.pattern, self.fallback)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", FutureWarning)  # [[ without backslashes
                    groups = re.compile(pattern).groups
            except (re.error, FutureWarning) as error:
                raise UserError(
                    f"the pattern {pattern!r} is no regular expression ({error}); plain brackets "
                    "are written \\[ and \\]"
                ) from error
            if groups != 1 + bool(self.labels):
                wanted = "a group for the label and one for the value" if self.labels else "a group"
                raise UserError(f"the pattern {pattern!r} needs {wanted} in parentheses")

    def parse(self, text: str, scales: Scales) -> dict[str, float]:
        """The scores of a text; raises NoScore."""
        if self.normalise:
            text = unicodedata.normalize("NFKC", text)
        found = [_groups(match) for match in re.finditer(self.pattern, text)]
        if not found and self.fallback:
            found = [_groups(match) for match in re.finditer(self.fallback, text)]
        for _, value in found:
            if self.values and value not in self.values:
                raise NoScore(f"{value} is none of {', '.join(self.values)}")
        if self.pick == "last":
            found.reverse()
        elif self.pick == "listed":
            found.sort(key=lambda pair: list(self.values).index(pair[1]))
        scores: dict[str, float] = {}
        for label, value in found:
            score = self.labels[label] if self.labels else next(iter(scales))
            if score not in scores:
                scores[score] = self.values[value] if self.values else float(value)
            elif self.pick == "only":
                raise NoScore(f"two scores for {label or score}")
        return _checked(scores, scales, on_scale=self.on_scale)


@dataclasses.dataclass(frozen=True, kw_only=True)
class JsonParser:
    """Scores as fields of a JSON object; endpoints are held to the schema."""

    def parse(self, text: str, scales: Scales) -> dict[str, float]:
        """The scores of a text, fenced or with prose around it or not; raises NoScore."""
        start, end = text.find("{"), text.rfind("}")
        try:
            record = json.loads(text[start : end + 1])
        except ValueError as error:
            raise NoScore(f"not JSON: {error}") from error
        values = {name: record.get(name) for name in scales}
        numbers = {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        return _checked(numbers, scales, on_scale=True)

    @staticmethod
    def schema(scales: Scales) -> dict[str, Any]:
        """The JSON schema of an explanation followed by the scores."""
        fields: dict[str, Any] = {"explanation": {"type": "string"}}
        for name, (low, high) in scales.items():
            values = list(range(math.ceil(low), math.floor(high) + 1))
            fields[name] = {"type": "integer", "enum": values}
        return {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExpectedScore:
    """The mean of the scale, each value weighted with how likely the judge is to give it.

    No text is written: the likelihoods are those of the text `form` with each value in place of
    `{}`, as the judge's whole answer. For local judges alone. After G-Eval (Liu et al. 2023,
    https://arxiv.org/abs/2303.16634), with exact likelihoods in place of samples.
    """

    form: str = "Rating: [[{}]]"

    def __post_init__(self) -> None:
        if self.form.count("{}") != 1:
            raise UserError(f"the form {self.form!r} needs one {{}} where the score stands")

    def values(self, scales: Scales) -> list[int]:
        """The whole numbers of the scale; raises UserError where there are two scales."""
        if len(scales) != 1:
            raise UserError("an expected score is of a rubric with one score")
        ((low, high),) = scales.values()
        return list(range(math.ceil(low), math.floor(high) + 1))

    def choices(self, scales: Scales) -> tuple[str, ...]:
        """The texts whose likelihoods are wanted."""
        return tuple(self.form.format(value) for value in self.values(scales))

    def expected(self, logprobs: Sequence[float], scales: Scales) -> dict[str, float]:
        """The score from the log-likelihoods of `choices`."""
        highest = max(logprobs)
        weights = [math.exp(logprob - highest) for logprob in logprobs]
        pairs = zip(weights, self.values(scales), strict=True)
        mean = sum(weight * value for weight, value in pairs) / sum(weights)
        return {next(iter(scales)): mean}


Parser = RegexParser | JsonParser | ExpectedScore


def _groups(match: re.Match[str]) -> tuple[str, str]:
    groups = match.groups()
    return (groups[0] if len(groups) > 1 else ""), groups[-1]


def _checked(scores: Mapping[str, float], scales: Scales, *, on_scale: bool) -> dict[str, float]:
    """The scores in the rubric's order, if all are there and on their scale."""
    absent = [name for name in scales if name not in scores]
    if absent:
        raise NoScore(f"no score for {', '.join(absent)}")
    for name, (low, high) in scales.items():
        if on_scale and not low <= scores[name] <= high:
            raise NoScore(f"{name} is {scores[name]:g}, off the scale {low:g} to {high:g}")
    return {name: scores[name] for name in scales}
