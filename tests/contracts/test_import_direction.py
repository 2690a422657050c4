"""Contract import_direction: imports run downwards only, and the light rooms stay light.

A room is a folder or a file directly under jaxllm/. The table says which rooms each may import; a
room that is missing from the table fails, so that a new one is given its place.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jaxllm

pytestmark = pytest.mark.smoke

_PACKAGE = Path(jaxllm.__file__).parent

# From the ground up; a room may import every room of the tiers below its own.
_TIERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("config", "overrides", "parallel", "observe", "compilation_cache", "verb"),
    ("text", "corpora", "metrics"),
    ("input", "models"),
    ("weights",),
    ("decode", "objectives", "tasks"),
    ("evaluators", "reporting"),
    ("train", "evaluate", "generate", "convert", "data", "score", "report", "bench", "demo"),
    ("cli",),
    ("__init__", "__main__"),
)
# Rooms of one tier that may import each other all the same.
_BESIDE = {
    "config": {"overrides"},
    "demo": set(_TIERS[7]),
    "bench": set(_TIERS[7]),
}
# What a room may not import although it lies below: these rooms run where JAX is not wanted.
_NEVER_JAX = ("metrics", "text", "corpora", "tasks", "reporting")
_FORBIDDEN = {"torch", "transformers", "tensorflow"}


def _files() -> list[Path]:
    return sorted(_PACKAGE.rglob("*.py"))


def _room(file: Path) -> str:
    return file.relative_to(_PACKAGE).parts[0].removesuffix(".py")


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def _imported_room(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "jaxllm":
        return None
    known = len(parts) > 1 and any(parts[1] in tier for tier in _TIERS)
    return parts[1] if known else "__init__"


def _allowed(room: str) -> set[str]:
    tier = next(i for i, rooms in enumerate(_TIERS) if room in rooms)
    below = {lower for rooms in _TIERS[:tier] for lower in rooms}
    # `import jaxllm` itself is light (its exports are lazy) and carries the version.
    return below | {room, "__init__"} | _BESIDE.get(room, set())


def test_every_room_has_its_place() -> None:
    known = {room for tier in _TIERS for room in tier}
    assert {_room(file) for file in _files()} <= known


def test_imports_run_downwards() -> None:
    wrong = [
        f"{file.relative_to(_PACKAGE)}:{line} imports {name}"
        for file in _files()
        for line, name in _imports(file)
        if (room := _imported_room(name)) is not None and room not in _allowed(_room(file))
    ]
    assert wrong == []


def test_models_never_imports_input() -> None:
    assert "input" not in _allowed("models")


def test_torch_transformers_and_tensorflow_are_never_imported() -> None:
    wrong = [
        f"{file.relative_to(_PACKAGE)}:{line} imports {name}"
        for file in _files()
        for line, name in _imports(file)
        if name.split(".")[0] in _FORBIDDEN
    ]
    assert wrong == []


def _modules(room: str) -> list[str]:
    files = [file for file in _files() if _room(file) == room]
    names = [
        ".".join(("jaxllm", *file.relative_to(_PACKAGE).with_suffix("").parts)) for file in files
    ]
    return [name.removesuffix(".__init__") for name in names]


def _imported_after(modules: list[str], watched: set[str]) -> str:
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(sorted({watched!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("room", _NEVER_JAX)
def test_light_rooms_import_no_jax_even_indirectly(room: str) -> None:
    assert _imported_after(_modules(room), {"jax", "jaxlib", "flax"} | _FORBIDDEN) == "[]"


def test_importing_everything_brings_no_tensorflow_and_no_torch() -> None:
    rooms = [room for tier in _TIERS for room in tier if room not in ("__init__", "__main__")]
    assert _imported_after([name for room in rooms for name in _modules(room)], _FORBIDDEN) == "[]"


def test_a_wrong_import_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks above, on a package that breaks each rule once."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "decoder.py").write_text(
        "def f():\n    from jaxllm.input import packing\n    import torch.nn\n"
    )
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "bleu.py").write_text("from jaxllm import tasks\n")
    monkeypatch.setitem(globals(), "_PACKAGE", tmp_path)
    with pytest.raises(AssertionError, match=r"metrics/bleu\.py:1 imports jaxllm\.tasks"):
        test_imports_run_downwards()
    with pytest.raises(
        AssertionError, match=r"models/decoder\.py:2 imports jaxllm\.input\.packing"
    ):
        test_imports_run_downwards()
    with pytest.raises(AssertionError, match=r"models/decoder\.py:3 imports torch\.nn"):
        test_torch_transformers_and_tensorflow_are_never_imported()
