"""`a.b=value` on the command line: find the field, read the value as its own type, set it."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ml_collections import ConfigDict, config_dict

from jaxllm.errors import UserError

_BOOL_WORDS = {"true": True, "yes": True, "on": True, "1": True}
_BOOL_WORDS |= {"false": False, "no": False, "off": False, "0": False}


def apply_overrides(config: ConfigDict, overrides: Iterable[str]) -> None:
    """Sets fields of `config` in place from `path.to.field=value` strings, the last one winning.

    A value is read as the type that the field already has: an int may set a float, a float never an
    int; `true/false`, `yes/no`, `on/off` and `1/0` set a bool; `1,2` or `(1, 2)` a tuple; `None`
    sets any field. A field that is None, or new, takes a Python literal or else the text as it is.

    New names are taken only directly under the groups that the config lists in its own field
    `open_groups` (such as `open_groups=("mixture", "evals")`): `mixture.mine.weight=2` makes the
    entry `mine`, whose fields are read like the fields of that name in the entries beside it.
    `mixture.mine=None` takes an entry out. A group listed as `evals.*` takes new fields in all its
    entries; whoever reads them says which there are. Raises `UserError` naming the nearest field,
    or the value that would work.
    """
    open_groups = tuple(config.get("open_groups", ()))
    created: set[str] = set()
    with config.unlocked():
        for override in overrides:
            path, equals, text = override.partition("=")
            if not equals:
                raise UserError(f"--config.{path} has no value; write --config.{path}=VALUE")
            _apply(config, path, text, open_groups, created)


def _apply(
    config: ConfigDict, path: str, text: str, open_groups: Sequence[str], created: set[str]
) -> None:
    *parents, name = path.split(".")
    group = config
    for depth, key in enumerate(parents):
        if key not in group:
            if ".".join(parents[:depth]) not in open_groups:
                raise _unknown(config, path, open_groups)
            group[key] = ConfigDict()
            created.add(".".join(parents[: depth + 1]))
        group = group[key]
        if not isinstance(group, ConfigDict):
            raise _unknown(config, path, open_groups)

    parent = ".".join(parents)
    if parent in open_groups and text == "None":
        if name not in group:
            raise _unknown(config, path, open_groups)
        del group[name]
        return
    if name not in group:
        if parent in open_groups:
            group[name] = _new_entry(group, text, path)
            created.add(path)
        elif parent in created or f"{'.'.join(parents[:-1])}.*" in open_groups:
            group[name] = _read_like(_field_beside(config, parents, name), text, path)
        else:
            raise _unknown(config, path, open_groups)
        return
    like = _example_value(group, name)
    if isinstance(like, ConfigDict):
        fields = ", ".join(f"config.{path}.{field}" for field in like) or "it has none yet"
        raise UserError(f"config.{path} is a group; set one of its fields: {fields}")
    group[name] = _read_like(like, text, path)


def _example_value(group: ConfigDict, name: str) -> Any:
    """The value of a field; for a typed placeholder, which has none yet, the type's empty value."""
    try:
        value = group[name]
    except config_dict.RequiredValueError:
        return group.get_ref(name).get_type()()
    if value is not None:
        return value
    kind = group.get_type(name)
    return None if kind is type(None) else kind()


def _new_entry(group: ConfigDict, text: str, path: str) -> Any:
    beside = next(iter(group.values()), None)
    if isinstance(beside, ConfigDict) or text.lstrip().startswith("{"):
        value = _literal_or_text(text)
        if not isinstance(value, dict):
            raise UserError(
                f"config.{path} would be a new entry and needs fields, not {text!r}; set them one "
                f"by one as --config.{path}.FIELD=VALUE, or together as --config.{path}='{{...}}'"
            )
        return ConfigDict(value)
    return _read_like(beside, text, path)


def _field_beside(config: ConfigDict, parents: Sequence[str], name: str) -> Any:
    """The field of this name in another entry of the same open group, None where there is none."""
    group: Any = config
    for key in parents[:-1]:
        group = group[key]
    entries = (entry for entry in group.values() if isinstance(entry, ConfigDict))
    found = (_example_value(entry, name) for entry in entries if name in entry)
    return next((value for value in found if value is not None), None)


def _read_like(like: Any, text: str, path: str) -> Any:
    """`text` as a value of the type of `like`."""
    if text == "None":
        return None
    if like is None:
        return _literal_or_text(text)
    if isinstance(like, str):
        return text
    if isinstance(like, (tuple, list)):
        return _read_sequence(like, text, path)
    value = _BOOL_WORDS.get(text.lower()) if isinstance(like, bool) else _number(like, text)
    if value is None:
        raise _mistyped(like, text, path)
    return value


def _number(like: Any, text: str) -> Any:
    kind = type(like)
    try:
        return kind(text) if kind in (int, float) else None
    except ValueError:
        return None


def _read_sequence(like: tuple[Any, ...] | list[Any], text: str, path: str) -> Any:
    values = _literal_or_text(text) if text.lstrip()[:1] in ("(", "[") else None
    if not isinstance(values, (tuple, list)):
        inner = text.strip().strip("()[]")
        values = [part.strip() for part in inner.split(",") if part.strip()]
    kinds = {type(element) for element in like}
    element = like[0] if len(kinds) == 1 else None
    return type(like)(
        _read_like(element, value, path) if isinstance(value, str) else _fit(element, value, path)
        for value in values
    )


def _fit(like: Any, value: Any, path: str) -> Any:
    """A value that came out of a literal, held against the type of the elements it joins."""
    if like is None or value is None or type(value) is type(like):
        return value
    if type(like) is float and type(value) is int:
        return float(value)
    raise _mistyped(like, repr(value), path)


def _literal_or_text(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _mistyped(like: Any, text: str, path: str) -> UserError:
    kind = {int: "an int", float: "a float", bool: "a bool", str: "a string"}[type(like)]
    wanted = "true or false" if isinstance(like, bool) else f"such as {like!r}"
    return UserError(f"config.{path} takes {kind}, {wanted}, not {text!r}")


def _unknown(config: ConfigDict, path: str, open_groups: Sequence[str]) -> UserError:
    hint = ""
    nearest = nearest_field(path, field_paths(config))
    if nearest:
        hint = f"; did you mean config.{nearest}?"
    if open_groups:
        named = ", ".join(group for group in open_groups if not group.endswith(".*"))
        hint += f" (new entries are taken under: {named})"
    return UserError(f"the config has no field config.{path}{hint}")


def field_paths(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    """Dotted paths of every field and group of `config`."""
    for name in config:
        yield prefix + name
        value = _example_value(config, name)
        if isinstance(value, ConfigDict):
            yield from field_paths(value, f"{prefix}{name}.")


def nearest_field(path: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `path`, by its whole spelling or by its last name alone."""

    def likeness(candidate: str) -> float:
        whole = difflib.SequenceMatcher(None, path, candidate).ratio()
        last = difflib.SequenceMatcher(
            None, path.rpartition(".")[2], candidate.rpartition(".")[2]
        ).ratio()
        return max(whole, last - 0.05)  # of two that match as well, the one in the same group

    best = max(candidates, key=likeness, default=None)
    return best if best is not None and likeness(best) >= 0.5 else None
