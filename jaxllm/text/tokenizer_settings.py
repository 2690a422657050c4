"""What the JSON files beside a tokenizer say: which tokens are special, and when a text ends."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from jaxllm.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerSettings:
    """The settings of one tokenizer, as its folder tells them.

    `names` maps "bos_token" and the like to the token's string. `added_tokens` maps the special
    strings with an id of their own to it. `stop_ids` are the ids at which generation_config.json
    and config.json end a text, in that order. `config` is tokenizer_config.json as it was read.
    """

    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    added_tokens: Mapping[str, int] = dataclasses.field(default_factory=dict)
    chat_template: str | None = None
    stop_ids: tuple[int, ...] = ()
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def add_bos_token(self) -> bool | None:
        return self.config.get("add_bos_token")

    @property
    def add_eos_token(self) -> bool | None:
        # transformers takes either setting as saying what of both is wanted.
        return self.config.get("add_eos_token", None if self.add_bos_token is None else False)


def read_settings(folder: epath.Path) -> TokenizerSettings:
    """Reads the files beside a tokenizer; each of them may be missing.

    They are tokenizer_config.json, special_tokens_map.json, added_tokens.json,
    chat_template.jinja, generation_config.json and config.json. Where the first two name the same
    token, tokenizer_config.json wins, as in transformers.

    Raises UserError naming the file that is no JSON object.
    """
    config = _read_json(folder / "tokenizer_config.json")
    special_map = _read_json(folder / "special_tokens_map.json")
    generation = _read_json(folder / "generation_config.json")
    model = _read_json(folder / "config.json")

    names = {}
    for key, value in {**special_map, **config}.items():
        token = _token_string(value)
        if key.endswith("_token") and token:
            names[key] = token
    for key in ("additional_special_tokens", "extra_special_tokens"):
        listed = config.get(key, special_map.get(key)) or []
        listed = listed.values() if isinstance(listed, Mapping) else listed
        for index, value in enumerate(listed):
            token = _token_string(value)
            if token:
                names[f"{key}[{index}]"] = token

    added = {
        token: int(token_id)
        for token, token_id in _read_json(folder / "added_tokens.json").items()
        if token in names.values()
    }
    for token_id, entry in config.get("added_tokens_decoder", {}).items():
        if entry.get("special"):
            added[entry["content"]] = int(token_id)

    return TokenizerSettings(
        names=names,
        added_tokens=added,
        chat_template=_chat_template(folder, config),
        stop_ids=_stop_ids(generation, model),
        config=config,
    )


def settings_from_values(
    *,
    names: Mapping[str, str],
    added_tokens: Mapping[str, int],
    chat_template: str | None,
    add_bos_token: bool | None,
) -> TokenizerSettings:
    """Builds the settings of a tokenizer that comes from no folder."""
    config = {} if add_bos_token is None else {"add_bos_token": add_bos_token}
    return TokenizerSettings(
        names=names, added_tokens=added_tokens, chat_template=chat_template, config=config
    )


def _chat_template(folder: epath.Path, config: Mapping[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.exists():
        return path.read_text()
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {entry["name"]: entry["template"] for entry in template}
        return named.get("default") or next(iter(named.values()), None)
    return template


def _stop_ids(*configs: Mapping[str, Any]) -> tuple[int, ...]:
    ids: list[int] = []
    for config in configs:
        value = config.get("eos_token_id")
        ids += value if isinstance(value, list) else [] if value is None else [value]
    return tuple(dict.fromkeys(ids))


def _token_string(value: Any) -> str | None:
    """The string of a token that stands as itself or as a saved AddedToken object."""
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _read_json(path: epath.Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} must hold a JSON object, not a {type(value).__name__}")
    return value
