"""The points of a sweep: their names, and what they change."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaxllm.config import load_config
from jaxllm.errors import UserError
from jaxllm.sweeping.points import sweep_points

_CONFIG = """
from ml_collections import ConfigDict

def get_config(arg=None):
    config = ConfigDict({"model": {"lr": 1.0, "name": ""}, "seed": 0})
    config.optimizer = dict(lr=1e-3, betas=(0.9, 0.95))
    return config
"""


def _spec(tmp_path: Path, sweep: str) -> str:
    path = tmp_path / "lr.py"
    path.write_text(_CONFIG + sweep, encoding="utf-8")
    return str(path)


def test_points_are_named_by_what_they_change_and_reach_the_config(tmp_path: Path) -> None:
    spec = _spec(
        tmp_path,
        """
def sweep(add):
    for lr in (1e-4, 0.1 + 0.2):
        add({"optimizer.lr": lr, "seed": 1})
    add({})
    add({"optimizer.betas": (0.8, 0.99)})
""",
    )
    first, second, same, betas = sweep_points(f"{spec}:arg")
    assert (first.name, same.name) == ("lr=0.0001,seed=1", "unchanged")
    assert second.name == "lr=0.30000000000000004,seed=1"
    assert betas.name.startswith("betas=_0.8,_0.99_-")
    assert load_config(spec, second.overrides).optimizer.lr == 0.1 + 0.2
    assert load_config(spec, betas.overrides).optimizer.betas == (0.8, 0.99)


def test_fields_of_one_last_name_are_told_apart(tmp_path: Path) -> None:
    spec = _spec(
        tmp_path,
        "def sweep(add):\n    add({'optimizer.lr': 1.0})\n    add({'model.lr': 1.0})\n",
    )
    assert [point.name for point in sweep_points(spec)] == ["optimizer.lr=1", "model.lr=1"]


def test_names_that_a_folder_cannot_have_stay_apart(tmp_path: Path) -> None:
    spec = _spec(
        tmp_path,
        "def sweep(add):\n    add({'model.name': '../a'})\n    add({'model.name': '..:a'})\n",
    )
    names = [point.name for point in sweep_points(spec)]
    assert len(set(names)) == 2
    assert not any("/" in name or ":" in name for name in names)


@pytest.mark.parametrize(
    ("sweep", "told"),
    [
        ("", r"defines no sweep\(add\)"),
        ("def sweep(add): pass", "adds no point"),
        ("def sweep(add):\n    add(1e-3)", r"line \d+ \(add\(1e-3\)\): .* a point is a dict"),
        ("def sweep(add):\n    add({'seed': 1})\n    add({'seed': 1})", "adds seed=1 twice"),
        ("def sweep(add):\n    missing", r"line \d+ \(missing\): NameError"),
    ],
)
def test_a_sweep_that_cannot_work_is_told(tmp_path: Path, sweep: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        sweep_points(_spec(tmp_path, sweep))


def test_a_run_folder_has_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"name the \.py file"):
        sweep_points(str(tmp_path))
