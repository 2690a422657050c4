"""A benchmark from one file: ours in `definitions/`, or the user's own.

A YAML file, with its questions in it or in a file beside it; or a JSONL file whose first line is
the definition and whose other lines are the questions:

    name: polite
    questions: questions.jsonl       # or a list; a question: prompt (or turns), and optionally id,
                                     # reference, category and whatever the prompt below wants
    system: You are polite.          # before every question; may be left out
    answers: {max_tokens: 512, temperature: 0.7}
    judge: {max_tokens: 512}
    rubrics:
    - name: polite
      scales: {politeness: [1, 5]}   # lowest and highest score; the lowest is the worst
      parser: {regex: '\\[\\[(\\d)\\]\\]'}   # or {json: true}, or {expected: 'Rating: [[{}]]'}
      prompt: |-
        How polite is this answer to "{question}"? Say why, then write [[1]] to [[5]].

        {answer}
    metrics:                         # may be left out: the mean of every score
    - {name: politeness, score: politeness}
    - {name: rude_rate, score: politeness, below: 3}
    pairs:                           # may be left out: how two models' answers are compared
    - name: politer
      prompt: |-
        Which answer to "{question}" is politer? Write [[A]], [[B]], or [[C]] for a tie.

        A: {answer_a}
        B: {answer_b}

The other fields are those of `jaxllm.judging.benchmark`.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from etils import epath

from jaxllm.corpora.raw import RawFile
from jaxllm.errors import UserError
from jaxllm.judging.benchmark import Benchmark, Metric, Rubric, Sampling
from jaxllm.judging.parsers import ExpectedScore, JsonParser, Parser, RegexParser

_DEFINITIONS = "definitions"
# What stands in FastChat's verdicts, as the worth of the answer that is shown first.
_PAIR = {
    "scales": {"preference": [0, 1]},
    "parser": {"regex": r"\[\[\s*([ABC])\s*\]\]", "values": {"A": 1.0, "B": 0.0, "C": 0.5}},
}
_ANSWERS, _JUDGE = {"max_tokens": 1024}, {"max_tokens": 1024}


def benchmark_names() -> list[str]:
    """The benchmarks that come with the program."""
    folder = importlib.resources.files("jaxllm.judging") / _DEFINITIONS
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir())


def get_benchmark(name: str) -> Benchmark:
    """A benchmark of ours by name, or the user's own by the path of its file.

    Raises:
        UserError: there is none, or its file is not one (naming the file, the part and why).
    """
    if name in benchmark_names():
        folder = importlib.resources.files("jaxllm.judging") / _DEFINITIONS
        text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
        return _read(_yaml(text, name), f"{name}.yaml", None)
    path = epath.Path(name)
    if path.suffix not in (".yaml", ".yml", ".json", ".jsonl"):
        near = difflib.get_close_matches(name, benchmark_names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(benchmark_names())}"
        raise UserError(f"there is no benchmark {name!r}: {hint} One of your own is a .yaml file")
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    path = path.resolve()  # files beside it are found from wherever they are wanted
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".jsonl":
        return _read(_yaml(text, str(path)), str(path), path.parent)
    records = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                records.append(json.loads(line))
            except ValueError as error:
                raise UserError(f"{path}, line {number}: not JSON ({error})") from error
    if not records or not isinstance(records[0], dict):
        raise UserError(f"{path}: its first line must be the definition of the benchmark")
    return _read({**records[0], "questions": records[1:]}, str(path), path.parent)


def _yaml(text: str, where: str) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{where} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise UserError(f"{where} holds no definition of a benchmark, which is a mapping")
    return document


def _read(document: Mapping[str, Any], where: str, folder: epath.Path | None) -> Benchmark:
    try:
        return _benchmark(document, folder)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{where}: {reason}") from error


def _benchmark(document: Mapping[str, Any], folder: epath.Path | None) -> Benchmark:
    fields = dict(document)
    questions = fields.pop("questions")
    inline: Sequence[Any] = questions if isinstance(questions, list) else ()
    if not all(isinstance(question, dict) for question in inline):
        raise UserError("each of `questions` is a mapping: {prompt: ...}")
    rubrics = tuple(map(_rubric, fields.pop("rubrics")))
    if not rubrics:
        raise UserError("`rubrics` is empty: say what to judge")
    pairs = tuple(_rubric({**_PAIR, **pair}) for pair in fields.pop("pairs", ()))
    if any(list(pair.scales.values()) != [(0.0, 1.0)] for pair in pairs):
        raise UserError("`pairs` give one score from 0 to 1: how much better the first answer is")
    metrics = tuple(map(_metric, fields.pop("metrics", ())))
    scales = {score: scale for rubric in rubrics for score, scale in rubric.scales.items()}
    metrics = metrics or tuple(Metric(name=score, score=score) for score in scales)
    for metric in metrics:
        if metric.score not in scales:
            raise UserError(
                f"metric {metric.name}: no rubric gives the score {metric.score!r}; there is "
                f"{', '.join(scales)}"
            )
    made: dict[str, Any] = {
        "questions": None if inline else _file(questions, folder),
        "inline": tuple(inline),
        "rubrics": rubrics,
        "pairs": pairs,
        "metrics": metrics,
        "answers": _made(Sampling, _ANSWERS | fields.pop("answers", {}), "answers"),
        "judge": _made(Sampling, _JUDGE | fields.pop("judge", {}), "judge"),
    }
    for name in ("references", "prompt_file"):
        if name in fields:
            made[name] = _file(fields.pop(name), folder)
    if "reference_categories" in fields:
        made["reference_categories"] = tuple(fields.pop("reference_categories"))
    benchmark = _made(Benchmark, fields | made, "the definition")
    if not all(pair.prompt for pair in pairs):
        raise UserError("each of `pairs` needs a `prompt`")
    if not all(rubric.prompt or benchmark.prompt_file for rubric in benchmark.rubrics):
        raise UserError("a rubric without `prompt` needs the definition to name a `prompt_file`")
    return benchmark


def _rubric(document: Mapping[str, Any]) -> Rubric:
    fields = dict(document)
    name = fields.get("name", "?")
    scales = fields.pop("scales")
    for score, scale in scales.items():
        if not (isinstance(scale, list) and len(scale) == 2 and scale[0] < scale[1]):
            raise UserError(f"rubric {name}: scales.{score} is {scale!r}, not [lowest, highest]")
    made = {
        "scales": {score: (float(low), float(high)) for score, (low, high) in scales.items()},
        "parser": _parser(fields.pop("parser"), f"rubric {name}"),
        "prompt": fields.pop("prompt", ""),
    }
    rubric = _made(Rubric, fields | made, f"rubric {name}")
    if isinstance(rubric.parser, ExpectedScore):
        rubric.parser.values(rubric.scales)
    if isinstance(rubric.parser, RegexParser):
        labelled = set(rubric.parser.labels.values())
        if labelled != set(rubric.scales) and (labelled or len(rubric.scales) != 1):
            raise UserError(
                f"rubric {name}: several scores need `labels` that name each of them: "
                f"{', '.join(rubric.scales)}"
            )
    return rubric


def _parser(document: Mapping[str, Any], where: str) -> Parser:
    fields = dict(document)
    if "regex" in fields:
        fields["pattern"] = fields.pop("regex")
        return _made(RegexParser, fields, f"{where}, parser")
    if "expected" in fields:
        return _made(ExpectedScore, {"form": fields.pop("expected"), **fields}, f"{where}, parser")
    if fields.pop("json", False):
        return _made(JsonParser, fields, f"{where}, parser")
    raise UserError(
        f"{where}: `parser` is one of {{regex: PATTERN}}, {{json: true}} and {{expected: FORM}}"
    )


def _metric(document: Mapping[str, Any]) -> Metric:
    fields = dict(document)
    for kind in ("below", "above"):
        if kind in fields:
            fields |= {"kind": kind, "bound": float(fields.pop(kind))}
    return _made(Metric, fields, f"metric {fields.get('name', '?')}")


def _file(place: Any, folder: epath.Path | None) -> RawFile:
    if isinstance(place, str):
        path = epath.Path(place)
        if folder is not None and not path.is_absolute():
            path = folder / path
        return RawFile(path=str(path), by_hand=f"there is no file {path}")
    return _made(RawFile, dict(place), "a file")


def _made(kind: type, fields: Mapping[str, Any], where: str) -> Any:
    """A dataclass from a mapping; UserError for names it has not, and for those that it lacks."""
    known = [field.name for field in dataclasses.fields(kind)]
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; it has {', '.join(known)}"
            raise UserError(f"{where} has no field `{name}`{hint}")
    absent = [
        field.name
        for field in dataclasses.fields(kind)
        if field.name not in fields
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if absent:
        raise UserError(f"{where} needs `{absent[0]}`")
    return kind(**fields)
