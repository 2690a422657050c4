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
_VERBS = (
    *("train", "evaluate", "generate", "convert", "data", "score", "report", "bench", "demo"),
    *("annotate", "judge", "launch", "sweep", "plan"),
)

# From the ground up; a room may import every room of the tiers below its own.
_TIERS: tuple[tuple[str, ...], ...] = (
    ("errors", "paths", "host_memory"),
    ("config", "overrides", "parallel", "observe", "compilation_cache", "verb"),
    ("text", "corpora", "metrics"),
    ("input", "models"),
    ("weights",),
    ("decode", "objectives", "tasks"),
    ("chat",),
    ("annotation", "evaluators", "judging", "reporting"),
    ("training",),
    ("contamination", "sweeping", "planning"),
    (
        *("defaults", "recipes", "bench_train", "data_overlap", "data_requests"),
        *("data_prepare", "data_verify"),
        *("judge_audit", "judge_files", "judge_pairwise"),
    ),
    (*_VERBS, "integrations"),
    ("cli",),
    ("__init__", "__main__"),
)
# Rooms of one tier that may import each other all the same.
_BESIDE = {
    "config": {"overrides"},
    "paths": {"errors"},
    "parallel": {"observe"},  # of several processes one shows its bars
    # An evaluator's results are written by reporting/results.py; one of them asks judges.
    "evaluators": {"judging", "reporting"},
    "judging": {"reporting"},
    "annotation": {"reporting"},  # its statistics
    "bench_train": {"defaults"},
    "data_verify": {"data_prepare"},
    "demo": set(_VERBS),
    "bench": set(_VERBS),
    "judge": {"evaluate"},  # the judge of a model's answers is an evaluator like any other
}
# Rooms that are used where JAX is not wanted: not even through something that they import.
_NEVER_JAX = (
    *("metrics", "text", "corpora", "tasks", "reporting", "annotation", "contamination"),
    "judging",
)
_FORBIDDEN = {"torch", "transformers", "tensorflow"}
# Other programs, into which a model of ours goes; nothing else may need them.
_HOSTS = {"lm_eval"}


def _files(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def _room(package: Path, file: Path) -> str:
    return file.relative_to(package).parts[0].removesuffix(".py")


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def _imported_room(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "jaxllm":
        return None
    known = len(parts) > 1 and any(parts[1] in tier for tier in _TIERS)
    return parts[1] if known else "__init__"


def _allowed(room: str) -> set[str]:
    below: set[str] = set()
    for rooms in _TIERS:
        if room in rooms:
            break
        below |= set(rooms)
    # `import jaxllm` itself is light (its exports are lazy) and carries the version.
    return below | {room, "__init__"} | _BESIDE.get(room, set())


def _wrong_imports(package: Path) -> list[str]:
    """`file:line imports name` for each import that goes upwards, sideways, or where none may."""
    wrong = []
    for file in _files(package):
        own_room = _room(package, file)
        allowed = _allowed(own_room)
        forbidden = _FORBIDDEN if own_room == "integrations" else _FORBIDDEN | _HOSTS
        for line, name in _imports(file):
            room = _imported_room(name)
            upwards = room is not None and room not in allowed
            if upwards or name.startswith(".") or name.split(".")[0] in forbidden:
                wrong.append(f"{file.relative_to(package).as_posix()}:{line} imports {name}")
    return wrong


def test_every_room_has_its_place() -> None:
    known = {room for tier in _TIERS for room in tier}
    assert {_room(_PACKAGE, file) for file in _files(_PACKAGE)} <= known


def test_imports_run_downwards_and_never_to_torch_or_tensorflow() -> None:
    assert _wrong_imports(_PACKAGE) == []


def test_models_never_imports_input() -> None:
    assert "input" not in _allowed("models")


def test_a_wrong_import_is_found(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "decoder.py").write_text(
        "def f():\n    from jaxllm.input import packing\n    import torch.nn\n"
    )
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "bleu.py").write_text(
        "from jaxllm import errors, tasks\nfrom . import f1\nimport lm_eval.api\nimport numpy\n"
    )
    assert _wrong_imports(tmp_path) == [
        "metrics/bleu.py:1 imports jaxllm.tasks",
        "metrics/bleu.py:2 imports ..f1",
        "metrics/bleu.py:3 imports lm_eval.api",
        "models/decoder.py:2 imports jaxllm.input.packing",
        "models/decoder.py:3 imports torch.nn",
    ]


def _modules(room: str) -> list[str]:
    """Dotted names of all modules of a room."""
    names = [
        ".".join(("jaxllm", *file.relative_to(_PACKAGE).with_suffix("").parts))
        for file in _files(_PACKAGE)
        if _room(_PACKAGE, file) == room
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


def test_importing_everything_brings_no_tensorflow() -> None:
    # What stands in `integrations` needs programs that are not installed with jaxllm.
    left_out = ("__init__", "__main__", "integrations")
    rooms = [room for tier in _TIERS for room in tier if room not in left_out]
    modules = [name for room in rooms for name in _modules(room)]
    # torch is left out here: where it is installed, some libraries look for it on their own.
    assert _imported_after(modules, {"tensorflow"}) == "[]"
