"""Outputs that llm-jp-eval, or an inference module of it, left on disk, ready to be scored here.

    NAME.eval-generated.json    one dataset: target_dataset, samples[].{input, gold, generated}
    a result file of 1.x        outputs: {dataset: [{prompt, input, pred, gold}]}
    a result file of 2.x        records: by dataset, or a list that names it, {input, output, true}

Generated files that lie in one folder are one run; a result file is a run by itself. A 1.x result
holds what was extracted, not the model's output.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from etils import epath

from jaxllm.errors import UserError

_GENERATED = ".eval-generated.json"
_PROMPTS = ".eval-prompt.json"
_RUN_CONFIG = "_config.json"
_SEARCH_DEPTH = 5
# Where the name of a model may stand, the more telling first.
_NAMES = (
    ("model_name",),
    ("metainfo", "basemodel_name"),
    ("model", "pretrained_model_name_or_path"),
    ("model", "model"),
    ("offline_inference", "model_name"),
    ("wandb", "run_name"),
    ("run_name",),
)


@dataclass(frozen=True, kw_only=True)
class ForeignAnswer:
    """One answered question; `prompt` is empty where the file does not tell it."""

    input: str
    gold: str
    output: str
    prompt: str


@dataclass(frozen=True, kw_only=True)
class ForeignDataset:
    """The answers to one dataset; a number is None where the file does not tell it."""

    answers: tuple[ForeignAnswer, ...]
    num_shots: int | None = None
    max_new_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class ForeignRun:
    """What one model answered, by dataset; `sha256` is that of the files it was read from."""

    model: str
    source: epath.Path
    sha256: str
    datasets: dict[str, ForeignDataset] = field(default_factory=dict)


def read_outputs(path: str | epath.Path) -> list[ForeignRun]:
    """The runs in a file, or in a folder and those below it.

    Raises:
        UserError: no such path, nothing to score there, or a file that is damaged, by its field.
    """
    path = epath.Path(path)
    if not path.exists():
        raise UserError(f"there is no {path} to read outputs from")
    if not path.is_dir():
        runs = [_generated_run([path]) if path.name.endswith(_GENERATED) else _result_run(path)]
    else:
        runs = list(_runs_of_folder(path))
    if not all(runs) or not runs:
        raise UserError(
            f"{path} holds no outputs: give NAME{_GENERATED}, a result file of llm-jp-eval with "
            "'outputs' or 'records', or a folder of them"
        )
    return [run for run in runs if run]


def _runs_of_folder(folder: epath.Path) -> Iterable[ForeignRun]:
    generated: dict[str, list[epath.Path]] = {}
    results = []
    for path in _json_files(folder, _SEARCH_DEPTH):
        if path.name.endswith(_GENERATED):
            generated.setdefault(str(path.parent), []).append(path)
        elif path.name != _RUN_CONFIG and not path.name.endswith(_PROMPTS):
            results.append(path)
    for paths in generated.values():
        yield _generated_run(paths)
    for path in results:
        # Other JSON may lie beside result files: configs, tables.
        run = _result_run(path)
        if run is not None:
            yield run


def _json_files(folder: epath.Path, depth: int) -> Iterable[epath.Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if depth:
                yield from _json_files(path, depth - 1)
        elif path.suffix == ".json":
            yield path


def _generated_run(paths: list[epath.Path]) -> ForeignRun:
    folder = paths[0].parent
    config = _read_object(folder / _RUN_CONFIG) if (folder / _RUN_CONFIG).exists() else {}
    datasets: dict[str, ForeignDataset] = {}
    for path in paths:
        data = _read_object(path)
        name = _text(data, "target_dataset", str(path))
        if name in datasets:
            raise UserError(f"{path}: target_dataset {name!r} stands in another file too")
        datasets[name] = _generated_dataset(data, path)
        config = {**_mapping(data.get("config")), **config}
    model = _model_name([config]) or (
        folder.name if len(paths) > 1 else paths[0].name.removesuffix(_GENERATED)
    )
    source = paths[0] if len(paths) == 1 else folder
    return ForeignRun(model=model, source=source, sha256=_sha256(paths), datasets=datasets)


def _generated_dataset(data: dict[str, Any], path: epath.Path) -> ForeignDataset:
    config = _mapping(data.get("config"))
    length = data.get("output_length")
    delta = config.get("output_length_delta", 0)
    return ForeignDataset(
        answers=_answers(
            _list(data, "samples", str(path)),
            f"{path}: samples",
            output=("generated",),
            gold=("gold",),
        ),
        num_shots=_num_shots(data, config),
        max_new_tokens=length + delta if isinstance(length, int) else None,
    )


def _result_run(path: epath.Path) -> ForeignRun | None:
    """The run of a result file; None for JSON that is no result of llm-jp-eval."""
    data = _read_json(path)
    if not isinstance(data, dict):
        return None
    if "outputs" in data:
        where, by_dataset = f"{path}: outputs", data["outputs"]
        names: dict[str, tuple[str, ...]] = {"output": ("pred",), "gold": ("gold",)}
    elif "records" in data:
        where, by_dataset = f"{path}: records", data["records"]
        names = {"output": ("output", "pred"), "gold": ("true", "gold")}
        if isinstance(by_dataset, list):
            by_dataset = _grouped(by_dataset, where)
    else:
        return None
    if not isinstance(by_dataset, dict):
        raise UserError(f"{where} is not an object with a list for each dataset")
    config = _mapping(data.get("config"))
    datasets = {
        name: ForeignDataset(
            answers=_answers(_list(by_dataset, name, where), f"{where}.{name}", **names),
            num_shots=_num_shots(config),
        )
        for name in by_dataset
    }
    return ForeignRun(
        model=_model_name([_mapping(data.get("metadata")), config]) or path.stem,
        source=path,
        sha256=_sha256([path]),
        datasets=datasets,
    )


def _answers(
    samples: list[Any], where: str, *, output: tuple[str, ...], gold: tuple[str, ...]
) -> tuple[ForeignAnswer, ...]:
    answers = []
    for index, sample in enumerate(samples):
        place = f"{where}[{index}]"
        if not isinstance(sample, dict):
            raise UserError(f"{place} is {_shown(sample)}, not an object")
        asked = _text(sample, "input", place)
        answers.append(
            ForeignAnswer(
                input=asked,
                gold=_text(sample, _present(sample, gold), place),
                output=_text(sample, _present(sample, output), place),
                prompt=str(sample.get("prompt") or "").replace("{input}", asked),
            )
        )
    return tuple(answers)


def _grouped(records: list[Any], where: str) -> dict[str, list[Any]]:
    by_dataset: dict[str, list[Any]] = {}
    for index, record in enumerate(records):
        name = _text(_mapping(record), "target_dataset", f"{where}[{index}]")
        by_dataset.setdefault(name, []).append(record)
    return by_dataset


def _present(sample: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of the names that the sample has; the first of all where it has none."""
    return next((name for name in names if name in sample), names[0])


def _num_shots(*places: Mapping[str, Any]) -> int | None:
    for place in (*places, *(_mapping(each.get("metainfo")) for each in places)):
        if isinstance(place.get("num_few_shots"), int):
            return place["num_few_shots"]
    return None


def _model_name(places: Iterable[Mapping[str, Any]]) -> str | None:
    for place in places:
        for path in _NAMES:
            value: Any = place
            for name in path:
                value = _mapping(value).get(name)
            if isinstance(value, str) and value:
                return value
    return None


def _read_object(path: epath.Path) -> dict[str, Any]:
    data = _read_json(path)
    if not isinstance(data, dict):
        raise UserError(f"{path} holds {_shown(data)}, not an object")
    return data


def _read_json(path: epath.Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UserError(f"{path} is not whole JSON: {error}") from error


def _text(record: Mapping[str, Any], name: str, where: str) -> str:
    if name not in record:
        raise UserError(f"{where} has no field {name!r}")
    if not isinstance(record[name], str):
        raise UserError(f"{where}: {name} is {_shown(record[name])}, not a text")
    return record[name]


def _list(record: Mapping[str, Any], name: str, where: str) -> list[Any]:
    if name not in record:
        raise UserError(f"{where} has no field {name!r}")
    if not isinstance(record[name], list) or not record[name]:
        raise UserError(f"{where}: {name} is {_shown(record[name])}, not a list of samples")
    return record[name]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _sha256(paths: list[epath.Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
