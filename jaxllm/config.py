"""Configs: ml-collections files with `get_config(arg)`, overrides, and their resolved JSON.

A config is named on the command line as `--config=path.py`, `--config=path.py:arg`, the
`config.json` of a run, or the run's folder; `--config.a.b=value` changes single fields (the rules
stand in `jaxllm.overrides.apply_overrides`). A loaded config is resolved: no references, sequences
are tuples, values are JSON values, and names are locked, so that a misspelt field raises.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import inspect
import json
import os
import re
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from etils import epath
from ml_collections import ConfigDict, config_dict

from jaxllm.errors import UserError
from jaxllm.overrides import apply_overrides, nearest_field

CONFIG_FILE = "config.json"
_FLAG = "--config"


def load_config(spec: str | os.PathLike[str], overrides: Sequence[str] = ()) -> ConfigDict:
    """Returns the resolved config that `spec` names, with `overrides` (`a.b=value`) applied.

    `spec` is `path.py`, `path.py:arg` (calls `get_config(arg)`), a JSON file written by
    `save_config`, or a folder that holds one as `config.json`. Raises `UserError` for a missing
    file, an error inside `get_config` (with its line), an unknown field, a value of the wrong type,
    and a value that JSON cannot hold.
    """
    spec = os.fspath(spec)
    file, arg = _config_file(spec)
    config = _read_config_json(epath.Path(spec)) if file is None else _run_config_file(file, arg)
    apply_overrides(config, overrides)
    return _resolved(config)


def load_sweep(spec: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Returns what the `sweep(add)` beside a config file's `get_config` adds, one dict a point.

    A point is `add({"optimizer.peak_lr": 1e-4, "seed": 1})`: fields of the config by their dotted
    names, with the values they take there. Raises `UserError` for a spec that is no .py file, a
    file without `sweep`, an error inside it (with its line), and what is no such dict.
    """
    file, _ = _config_file(os.fspath(spec))
    if file is None:
        raise UserError(f"{spec} has no sweep: name the .py file that defines sweep(add)")
    points: list[dict[str, Any]] = []

    def add(changes: Mapping[str, Any]) -> None:
        if not isinstance(changes, Mapping) or not all(isinstance(name, str) for name in changes):
            raise UserError(
                f"add({changes!r}): a point is a dict of fields, such as "
                "add({'optimizer.peak_lr': 1e-4})"
            )
        points.append(dict(changes))

    def run(module: types.ModuleType) -> None:
        sweep = getattr(module, "sweep", None)
        if not callable(sweep):
            raise UserError(f"{file} defines no sweep(add); beside get_config it names the points")
        sweep(add)

    _in_config_file(file, run)
    return points


def save_config(config: ConfigDict, path: str | os.PathLike[str]) -> None:
    """Writes `config` as JSON that `load_config` reads back equal to the resolved config.

    The file appears whole or not at all: it is written beside its place and then renamed.
    """
    place = epath.Path(path)
    partial = place.parent / f"{place.name}.partial"
    text = json.dumps(plain_dict(config), indent=2, ensure_ascii=False) + "\n"
    partial.write_text(text, encoding="utf-8")
    partial.replace(place)


def plain_dict(config: ConfigDict) -> dict[str, Any]:
    """A copy of `config` in dicts, tuples, strings, numbers, bools and None; references resolved.

    Raises `UserError` naming a field whose value is none of these, or was never set.
    """
    return _plain(config, "config")


def config_digest(config: ConfigDict) -> str:
    """The sha256 (hex) of the resolved config: the same everywhere, another for any change."""
    canonical = json.dumps(plain_dict(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Adds `--config` to a parser; parse with `parse_known_args`, then call `config_from_args`."""
    parser.add_argument(
        _FLAG,
        required=True,
        metavar="FILE.py[:ARG]",
        help="a config file, the config.json of a run, or a run's folder; "
        "--config.a.b=VALUE changes a field",
    )


def config_from_args(args: argparse.Namespace, unknown: Sequence[str]) -> ConfigDict:
    """Returns the config of `args, unknown = parser.parse_known_args()`.

    Raises `UserError` as `overrides_from_args` and `load_config`.
    """
    return load_config(args.config, overrides_from_args(args, unknown))


def overrides_from_args(args: argparse.Namespace, unknown: Sequence[str]) -> list[str]:
    """Returns the `a.b=value` of `args, unknown = parser.parse_known_args()`.

    Takes `--config.a.b=value` and `--config.a.b value`; any other unknown flag is a `UserError`.
    """
    overrides = []
    rest = list(unknown)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith(f"{_FLAG}."):
            flags = ["--" + name.replace("_", "-") for name in vars(args)]
            nearest = nearest_field(flag.partition("=")[0], flags)
            hint = f"; did you mean {nearest}?" if nearest else ""
            raise UserError(f"there is no flag {flag!r}{hint}")
        override = flag.removeprefix(f"{_FLAG}.")
        if "=" not in override:
            if not rest or rest[0].startswith("--"):
                raise UserError(f"{flag} has no value; write {flag}=VALUE")
            override += "=" + rest.pop(0)
        overrides.append(override)
    return overrides


def _config_file(spec: str) -> tuple[epath.Path | None, str | None]:
    """The file and the argument of `path.py:arg`; None and None for what is no .py file."""
    with_arg = re.fullmatch(r"(.+?\.py)(?::(.*))?", spec)
    return (epath.Path(with_arg[1]), with_arg[2]) if with_arg else (None, None)


def _run_config_file(path: epath.Path, arg: str | None) -> ConfigDict:
    def run(module: types.ModuleType) -> Any:
        get_config = _get_config(module, path, arg)
        return get_config() if arg is None else get_config(arg)

    config = _in_config_file(path, run)
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"get_config in {path} returned a {type(config).__name__}; "
            "return an ml_collections.ConfigDict"
        )
    return config


def _in_config_file(path: epath.Path, run: Callable[[types.ModuleType], Any]) -> Any:
    """What `run` makes of the file as a module; an error in the file names its line."""
    if not path.exists():
        raise UserError(f"there is no config file {path}{_nearest_files(path)}")
    source = path.read_text(encoding="utf-8")
    # Read and run by hand, not imported: it works for gs:// too and leaves nothing in sys.modules.
    module = types.ModuleType("config_file")
    module.__file__ = os.fspath(path)
    try:
        exec(compile(source, os.fspath(path), "exec"), module.__dict__)
        return run(module)
    except Exception as error:
        raise UserError(_where_in_file(error, os.fspath(path), source)) from error


def _get_config(module: types.ModuleType, path: epath.Path, arg: str | None) -> Callable[..., Any]:
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UserError(f"{path} defines no get_config(); a config file needs one")
    signature = inspect.signature(get_config)
    try:
        signature.bind(*([] if arg is None else [arg]))
    except TypeError as error:
        if arg is None:
            name = next(iter(signature.parameters), "arg")
            fix = f"needs an argument: {_FLAG}={path}:{name.upper()}"
        else:
            fix = f"takes no argument: {_FLAG}={path}"
        raise UserError(f"get_config in {path} {fix}") from error
    return get_config


def _where_in_file(error: Exception, path: str, source: str) -> str:
    """One line that names the line of the config file on which `error` arose."""
    message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path
    ]
    lineno = error.lineno if isinstance(error, SyntaxError) and error.filename == path else None
    if frames:
        lineno = frames[-1].lineno
    if lineno is None:
        return message
    lines = source.splitlines()
    line = lines[lineno - 1].strip() if lineno <= len(lines) else ""
    return f"{path}, line {lineno} ({line}): {message}"


def _read_config_json(path: epath.Path) -> ConfigDict:
    file = path / CONFIG_FILE if path.is_dir() else path
    if not file.exists():
        raise UserError(f"there is no config file {file}{_nearest_files(path)}")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is neither a .py file nor readable JSON: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{file} holds a {type(values).__name__}; a config is a JSON object")
    return ConfigDict(_plain(values, "config"))


def _nearest_files(path: epath.Path) -> str:
    here = Path("configs")
    files = sorted(os.fspath(file) for file in here.rglob("*.py")) if here.is_dir() else []
    if not files:
        return ""
    by_stem = {Path(file).stem: file for file in files}
    near = difflib.get_close_matches(os.fspath(path), files, n=3, cutoff=0.6)
    near += [by_stem[stem] for stem in difflib.get_close_matches(path.stem, by_stem, n=3)]
    return f"; nearest: {', '.join(dict.fromkeys(near or files[:10]))}"


def _resolved(config: ConfigDict) -> ConfigDict:
    resolved = ConfigDict(plain_dict(config))
    resolved.lock()
    return resolved


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, (ConfigDict, Mapping)):
        plain = {}
        for name in value:
            if not isinstance(name, str) or not re.fullmatch(r"[^.=\s]+", name):
                raise UserError(
                    f"{where} has a field named {name!r}; a name has no dot, '=' or space"
                )
            try:
                plain[name] = _plain(value[name], f"{where}.{name}")
            except config_dict.RequiredValueError:
                raise UserError(f"{where}.{name} must be set: --{where}.{name}=VALUE") from None
        return plain
    if isinstance(value, (tuple, list)):
        return tuple(_plain(element, f"{where}[{i}]") for i, element in enumerate(value))
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UserError(
        f"{where} holds a {type(value).__name__}; a config holds numbers, strings, bools, None, "
        "tuples and groups of them"
    )
