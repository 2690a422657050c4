"""What the order of a run depends on, part by part, so that a run that changed is told why.

Parts are plain values by dotted name: `seed`, `input.rows`, `mixture.NAME.weight`. What is long
(files, tokenizers, tokens) stands as its sha256.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from jaxllm.errors import UserError

# What the tokens of a source are made from. They explain why tokens changed; a change of theirs
# that leaves the tokens as they were changes no order.
CAUSES = ("data", "template", "tokenizer", "max_length", "truncation", "bos", "held_out")
_TOKENS = "tokens"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def order_digest(parts: Mapping[str, Any]) -> str:
    """Returns the sha256 of all parts but the causes, in the order in which they are given."""
    order = {name: value for name, value in parts.items() if not _is_cause(name)}
    return hashlib.sha256(json.dumps(order).encode()).hexdigest()


def check_same_order(saved: Mapping[str, Any] | None, parts: Mapping[str, Any], step: int) -> None:
    """Raises UserError, with what changed, where a checkpoint's parts make another order."""
    if saved and order_digest(saved) == order_digest(parts):
        return
    changed = differences(saved, parts) if saved else ["an older version of jaxllm made it"]
    raise UserError(
        f"the checkpoint of step {step} was made with other data or in another order: "
        f"{'; '.join(changed)}. Undo that, start in a new workdir, or set config.init_from to "
        "this one's checkpoint"
    )


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Returns what changed from one order to another, a clause each: `seed was 0 and is 1`."""
    names = [n for n in dict.fromkeys([*before, *after]) if before.get(n) != after.get(n)]
    groups_before, groups_after = ({_group(name) for name in parts} for parts in (before, after))
    explained = {_group(name) for name in names if _is_cause(name)}
    clauses = []
    for name in names:
        group = _group(name)
        if group not in groups_before:
            clauses.append(f"{group} is new")
        elif group not in groups_after:
            clauses.append(f"{group} is gone")
        elif _is_cause(name) and f"input.{_field(name)}" in names:
            continue  # told once for all sources
        elif _field(name) != _TOKENS:
            was, now = _shown(before.get(name)), _shown(after.get(name))
            clauses.append(f"{name} was {was} and is {now}")
        elif group not in explained:
            clauses.append(
                f"the tokens of {group} are others, of the same data and settings (another version "
                "of jaxllm or of a tokenizer's library)"
            )
    return list(dict.fromkeys(clauses))


def _is_cause(name: str) -> bool:
    return name.startswith("mixture.") and _field(name) in CAUSES


def _group(name: str) -> str:
    return name.rpartition(".")[0]


def _field(name: str) -> str:
    return name.rpartition(".")[2]


def _shown(value: Any) -> str:
    if isinstance(value, str) and _SHA256.fullmatch(value):
        return f"sha256 {value[:8]}"
    return "nothing" if value in (None, "") else str(value)
