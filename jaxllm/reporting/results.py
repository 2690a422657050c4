"""Result folders: what one evaluation leaves on disk, and how it is found and read again.

    FOLDER/result.json               scores with their provenance; written last, so it marks the end
    FOLDER/samples/<task>.jsonl      one line a sample: prompt, output, prediction, gold, scores
    FOLDER/timings.json              how long it took; apart, so that equal runs leave equal results
    FOLDER/journal/                  the answers as they came, where a model was asked

A folder that is incomplete or contradicts itself raises DamagedResult; it is never read in part.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from etils import epath

from jaxllm.errors import UserError

SCHEMA = "jaxllm.result/1"

_SAMPLE_TEXTS = ("id", "prompt", "output", "prediction", "gold")
NOT_SEARCHED = frozenset({"samples", "checkpoints", "metrics", "journal"})
SEARCH_DEPTH = 5


class DamagedResult(Exception):
    """A result folder that cannot be trusted; the message names the file and what is wrong."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One result: `record` is its result.json, checked; the samples stay on disk.

    `headline_scores` has each sample's score by its task's headline metric, as a share of the best
    there is: by task, then by sample id, without samples and tasks that have none. `samples` holds
    the lines of a result that other programs' files tell, by task; None for a folder of ours.
    """

    folder: epath.Path
    record: dict[str, Any]
    headline_scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)
    samples: Mapping[str, Sequence[dict[str, Any]]] | None = field(default=None, repr=False)

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """What was measured for each task, by name."""
        return self.record["tasks"]

    @property
    def categories(self) -> dict[str, dict[str, Any]]:
        """The scored categories; for tasks asked without a suite, each scored task by its name.

        All as shares of the best there is, so that they can stand side by side.
        """
        if self.record["suite"] is not None:
            return self.record["categories"]
        return {
            name: _as_shares(task["metrics"][task["headline"]], self.maximum(name))
            for name, task in self.tasks.items()
            if "missing" not in task["metrics"][task["headline"]]
        }

    def maximum(self, task: str) -> float:
        """The best score there is by a task's headline metric: 100 for BLEU, 1 for most."""
        measured = self.tasks[task]
        return measured["metrics"][measured["headline"]].get("maximum", 1.0)

    def category_of(self, task: str) -> str | None:
        """The category that a task's score enters, in the sense of `categories`."""
        return task if self.record["suite"] is None else self.tasks[task]["category"]

    @property
    def average(self) -> dict[str, Any]:
        """The mean over the categories: name, mean, interval, missing; empty without a suite."""
        return self.record["average"] or {}

    @property
    def step(self) -> int | None:
        """The training step of the weights; None for a model that was not trained here."""
        return self.record["run"].get("step")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search came upon: the sound results, and why each other folder is left out."""

    results: tuple[Result, ...]
    damaged: tuple[str, ...]


def write_result(
    folder: str | epath.Path,
    record: Mapping[str, Any],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    timings: Mapping[str, Any] | None = None,
) -> Result:
    """Writes a result folder so that a reader sees the whole of it or none, and returns it checked.

    `samples` holds the lines of each task in `record["tasks"]`. An older result there is replaced.
    """
    folder = epath.Path(folder)
    files = {_samples_file(folder, task): lines for task, lines in samples.items()}
    if len(files) != len(samples):
        raise ValueError(f"two tasks of {folder} would share one samples file: {sorted(samples)}")
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    (folder / "result.json").unlink(missing_ok=True)
    for path in (folder / "samples").glob("*.jsonl"):
        if path not in files:
            path.unlink()
    for path, lines in files.items():
        write_whole_file(path, "".join(f"{to_json(line)}\n" for line in lines))
    if timings is not None:
        write_whole_file(folder / "timings.json", f"{to_json(timings, indent=1)}\n")
    record = {"schema": SCHEMA, **record}
    write_whole_file(folder / "result.json", f"{to_json(record, indent=1)}\n")
    return read_result(folder)


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON of a result file: text as it is, and no number that is none."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def write_whole_file(path: epath.Path, text: str) -> None:
    """Writes a file so that a reader sees the whole of it or none; its folder is there.

    Half a surrogate pair, which UTF-8 cannot hold, is written as JSON's escape for it.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(text.encode("utf-8", errors="backslashreplace"))
    unfinished.replace(path)


def read_result(folder: str | epath.Path) -> Result:
    """Reads a result folder and checks it against its samples; raises DamagedResult."""
    folder = epath.Path(folder)
    path = folder / "result.json"
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise DamagedResult(f"{folder}: no result.json: the evaluation did not finish") from error
    except ValueError as error:
        raise DamagedResult(f"{path}: not JSON ({error})") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise DamagedResult(f"{path}: not of the schema {SCHEMA}")
    try:
        _check_record(record)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
        raise DamagedResult(f"{path}: {reason}") from error
    result = Result(folder=folder, record=record)
    return with_headline_scores(result)


def with_headline_scores(result: Result) -> Result:
    """The result with its samples' scores, which its means are held against; DamagedResult."""
    scores = {task: _checked_scores(result, task) for task in result.tasks}
    return replace(result, headline_scores={task: by for task, by in scores.items() if by})


def read_samples(result: Result, task: str) -> Iterator[dict[str, Any]]:
    """The sample lines of one task, in the order of the data; raises DamagedResult."""
    if result.samples is not None:
        yield from result.samples.get(task, ())
        return
    path = _samples_file(result.folder, task)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedResult(f"{path}: cannot be read, though result.json names the task") from error
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            sample = json.loads(line)
        except ValueError as error:
            raise DamagedResult(f"{path}, line {number}: not JSON ({error})") from error
        fields = sample if isinstance(sample, dict) else {}
        absent = [name for name in _SAMPLE_TEXTS if not isinstance(fields.get(name), str)]
        if absent or not isinstance(fields.get("scores"), dict):
            name = absent[0] if absent else "scores"
            raise DamagedResult(f"{path}, line {number}: no {name!r} as it should be")
        yield sample


def find_results(folders: Iterable[str | epath.Path]) -> Found:
    """All results in these folders and below: result folders, or runs that hold many.

    Raises UserError for a folder that does not exist. A folder found twice counts once.
    """
    results, damaged = {}, {}
    for top in map(epath.Path, folders):
        if not top.is_dir():
            raise UserError(f"{top} is no folder; give result folders, or a run's workdir")
        for folder in _result_folders(top, SEARCH_DEPTH):
            key = str(folder.resolve())
            try:
                results[key] = read_result(folder)
            except DamagedResult as error:
                damaged[key] = str(error)
    return Found(results=tuple(results.values()), damaged=tuple(damaged.values()))


def is_result_folder(folder: epath.Path) -> bool:
    """Whether a folder holds a result of ours, or the beginnings of one."""
    names = {path.name for path in folder.iterdir()}
    return "result.json" in names or "samples" in names or names == {"journal"}


def _result_folders(folder: epath.Path, depth: int) -> Iterator[epath.Path]:
    if is_result_folder(folder):
        yield folder
    elif depth:
        names = {path.name: path for path in folder.iterdir()}
        for name in sorted(names):
            if name not in NOT_SEARCHED and not name.startswith(".") and names[name].is_dir():
                yield from _result_folders(names[name], depth - 1)


def _as_shares(measured: Mapping[str, Any], maximum: float) -> dict[str, Any]:
    interval = measured.get("interval")
    return {
        "mean": measured["mean"] / maximum,
        "interval": interval and [end / maximum for end in interval],
    }


def _samples_file(folder: epath.Path, task: str) -> epath.Path:
    return folder / "samples" / f"{task.replace('/', '_').replace(':', '_')}.jsonl"


def _check_record(record: dict[str, Any]) -> None:
    _check_text("split", record["split"])
    _check_text("model.name", record["model"]["name"])
    _check_text("run.kind", record["run"]["kind"] or "")
    step = record["run"]["step"]
    if step is not None and not isinstance(step, int):
        raise ValueError(f"run.step is {step!r}, not a number of steps")
    for name, task in record["tasks"].items():
        _check_text(f"task {name!r}: category", task["category"] or "")
        if task["headline"] not in task["metrics"]:
            raise ValueError(f"task {name!r} has no score of its headline {task['headline']!r}")
        if not isinstance(task["num_samples"], int):
            raise ValueError(f"task {name!r} has num_samples {task['num_samples']!r}")
        for metric, measured in task["metrics"].items():
            if "missing" not in measured:
                _check_score(measured, f"task {name!r}, {metric}")
    if record["suite"] is None:
        return
    _check_text("suite", record["suite"])
    for category, measured in record["categories"].items():
        _check_score(measured, f"category {category!r}")
    average = record["average"]
    _check_text("average.name", average["name"])
    if average["mean"] is not None:
        _check_score(average, f"average {average['name']!r}")


def _check_text(where: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{where} is {value!r}, not a text")


def _check_score(measured: dict[str, Any], where: str) -> None:
    interval = measured.get("interval")
    for number in (measured["mean"], *(interval or ())):
        if not isinstance(number, int | float) or not math.isfinite(number):
            raise ValueError(f"{where} is {number!r}, not a score")
    maximum = measured.get("maximum", 1.0)
    if not isinstance(maximum, int | float) or not 0 < maximum < math.inf:
        raise ValueError(f"{where} has {maximum!r} for its maximum, not a number above 0")
    if interval is not None and len(interval) != 2:
        raise ValueError(f"{where} has {interval!r} for an interval, not [low, high]")


def _checked_scores(result: Result, task: str) -> dict[str, float]:
    """The samples' headline scores as shares; the recorded mean has to be theirs."""
    measured, maximum = result.tasks[task], result.maximum(task)
    headline, path = measured["headline"], _samples_file(result.folder, task)
    ids, scores = [], {}
    for sample in read_samples(result, task):
        id = sys.intern(sample["id"])  # the same ids in many results are one text in memory
        ids.append(id)
        score = sample["scores"].get(headline)
        if isinstance(score, int | float):
            scores[id] = score / maximum
    if len(ids) != measured["num_samples"]:
        raise DamagedResult(f"{path}: {len(ids)} of {measured['num_samples']} samples are there")
    if len(set(ids)) != len(ids):
        raise DamagedResult(f"{path}: a sample id stands there twice")
    recorded = measured["metrics"][headline].get("mean")
    if scores and recorded is not None:
        mean = maximum * math.fsum(scores.values()) / len(scores)
        without = measured.get("num_missing", 0)  # what a judge said nothing readable of
        if len(scores) + without != len(ids) or abs(mean - recorded) > 1e-6 * maximum:
            raise DamagedResult(
                f"{path}: mean {headline} over {len(scores)} scored samples is {mean:.6f},"
                f" but result.json says {recorded:.6f}"
            )
    return scores
