from __future__ import annotations

import json

from jaxllm.input.provenance import differences, order_digest

_PARTS = {
    "order_version": 2,
    "seed": 0,
    "epochs": None,
    "input.max_length": 512,
    "input.packing": "best_fit",
    "mixture.a.data": "a" * 64,
    "mixture.a.template": "chat",
    "mixture.a.tokens": "b" * 64,
    "mixture.b.data": "c" * 64,
    "mixture.b.tokens": "d" * 64,
}


def test_each_change_is_told_in_its_own_clause() -> None:
    changed = _PARTS | {"seed": 1, "epochs": 2.0, "input.packing": "concat"}
    assert differences(_PARTS, changed) == [
        "seed was 0 and is 1",
        "epochs was nothing and is 2.0",
        "input.packing was best_fit and is concat",
    ]
    assert differences(_PARTS, json.loads(json.dumps(_PARTS))) == []


def test_other_tokens_are_explained_by_what_they_are_made_from() -> None:
    other = {"mixture.a.tokens": "e" * 64}
    assert differences(_PARTS, _PARTS | other | {"mixture.a.data": "f" * 64}) == [
        "mixture.a.data was sha256 aaaaaaaa and is sha256 ffffffff"
    ]
    (unexplained,) = differences(_PARTS, _PARTS | other)
    assert unexplained.startswith("the tokens of mixture.a are others, of the same data")


def test_what_the_config_sets_for_all_sources_is_told_once() -> None:
    before = _PARTS | {"mixture.a.max_length": 513, "mixture.b.max_length": 513}
    after = before | {
        "input.max_length": 256,
        "mixture.a.max_length": 257,
        "mixture.a.tokens": "e" * 64,
        "mixture.b.max_length": 257,
    }
    assert differences(before, after) == ["input.max_length was 512 and is 256"]


def test_a_source_that_came_or_went_is_told_once() -> None:
    without = {name: value for name, value in _PARTS.items() if not name.startswith("mixture.b.")}
    assert differences(without, _PARTS) == ["mixture.b is new"]
    assert differences(_PARTS, without) == ["mixture.b is gone"]


def test_the_digest_leaves_out_causes_and_nothing_else() -> None:
    for name in _PARTS:
        is_cause = name.startswith("mixture.") and not name.endswith(".tokens")
        changed = order_digest(_PARTS | {name: "other"}) != order_digest(_PARTS)
        assert changed != is_cause, name
    assert order_digest(dict(reversed(_PARTS.items()))) != order_digest(_PARTS)
