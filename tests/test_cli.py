"""The command line's door, and verb modules that are functions too."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import jaxllm
from jaxllm import cli
from jaxllm.errors import UserError
from jaxllm.verb import Verb, run_verb

pytestmark = pytest.mark.smoke


def _python(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, check=False)


def test_help_names_every_verb_and_imports_nothing_heavy() -> None:
    code = """
import sys
from jaxllm.cli import main
status = main(["--help"])
heavy = {"jax", "numpy", "rich", "ml_collections", "etils"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else status)
"""
    done = _python("-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    for verb, line in cli.VERBS.items():
        assert verb in done.stdout
        assert line in done.stdout


def test_python_m_jaxllm_is_the_same_door() -> None:
    done = _python("-m", "jaxllm", "--version")
    assert (done.returncode, done.stdout) == (0, f"jaxllm {jaxllm.__version__}\n")


def test_no_verb_shows_the_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "usage: jaxllm" in capsys.readouterr().err


@pytest.mark.parametrize(
    "typed, hint",
    [("trian", "did you mean `jaxllm train`?"), ("xyzzy", "verbs: train, sweep, evaluate")],
)
def test_an_unknown_verb_names_the_nearest(
    capsys: pytest.CaptureFixture[str], typed: str, hint: str
) -> None:
    assert cli.main([typed]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: there is no verb '{typed}'; {hint}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_a_main_and_a_help_that_ends_with_an_example(
    capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: jaxllm {verb}")
    assert "example" in text


@pytest.fixture
def fake_verb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[list[str]]]:
    """`jaxllm double`, a verb of these tests: a module on disk, found like any other."""
    (tmp_path / "double.py").write_text(
        """
import sys
from jaxllm.errors import UserError
from jaxllm.verb import Verb, run_verb

calls = []

def double(number):
    return 2 * number

def main(argv=None):
    calls.append(argv)
    if argv == ["--bad"]:
        raise UserError("--bad is not a number; write --number=1")
    return 0

sys.modules[__name__].__class__ = Verb

if __name__ == "__main__":
    sys.exit(run_verb(main, sys.argv[1:]))
"""
    )
    monkeypatch.setattr(jaxllm, "__path__", [*jaxllm.__path__, str(tmp_path)])
    monkeypatch.setattr(jaxllm, "_VERBS", (*jaxllm._VERBS, "double"))
    monkeypatch.setitem(cli.VERBS, "double", "for these tests")
    yield importlib.import_module("jaxllm.double").calls
    del sys.modules["jaxllm.double"]
    del jaxllm.double


def test_a_verb_gets_the_rest_of_the_line(fake_verb: list[list[str]]) -> None:
    assert cli.main(["double", "--x", "1"]) == 0
    assert fake_verb == [["--x", "1"]]


def test_a_users_mistake_is_one_line_and_status_2(
    fake_verb: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["double", "--bad"]) == 2
    assert capsys.readouterr().err == "error: --bad is not a number; write --number=1\n"


@pytest.mark.parametrize("imported_first", [True, False])
def test_a_verb_is_module_and_function(fake_verb: object, imported_first: bool) -> None:
    if not imported_first:
        del sys.modules["jaxllm.double"], jaxllm.double
    assert jaxllm.double(4) == 8
    from jaxllm.double import double

    assert double(4) == 8
    assert jaxllm.double(4) == 8
    assert isinstance(jaxllm.double, Verb)


def test_run_verb_on_a_module_run_as_a_program(tmp_path: Path, fake_verb: object) -> None:
    done = _python(str(tmp_path / "double.py"), "--bad")
    assert (done.returncode, done.stderr) == (2, "error: --bad is not a number; write --number=1\n")


def test_interrupts_and_errors_of_our_own(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(argv: Sequence[str] | None) -> int:
        raise KeyboardInterrupt

    def broken(argv: Sequence[str] | None) -> int:
        raise ValueError("ours")

    assert run_verb(interrupted, []) == 130
    assert capsys.readouterr().err == "interrupted\n"
    with pytest.raises(ValueError, match="ours"):
        run_verb(broken, [])


def test_a_reader_that_leaves_ends_the_program_quietly() -> None:
    code = (
        "import sys; from jaxllm.verb import run_verb\n"
        "sys.exit(run_verb(lambda argv: print('line\\n' * 1_000_000) or 0))"
    )
    command = f'{sys.executable} -c "$CODE" | head -n 1; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command], env={"CODE": code}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (141, "line\n", "")


def test_the_package_exports_lazily(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"train", "evaluate", "load_model", "Engine"} <= set(dir(jaxllm))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        jaxllm.trian  # noqa: B018
    engine = types.ModuleType("jaxllm.fake_engine")
    engine.Engine = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jaxllm.fake_engine", engine)
    monkeypatch.setitem(jaxllm._EXPORTS, "Engine", "jaxllm.fake_engine")
    monkeypatch.delitem(vars(jaxllm), "Engine", raising=False)
    assert jaxllm.Engine is object
    monkeypatch.delitem(vars(jaxllm), "Engine")


@pytest.mark.parametrize("name", jaxllm._EXPORTS)
def test_every_exported_name_is_there(name: str) -> None:
    assert callable(getattr(jaxllm, name))


def test_user_error_is_an_exception_of_its_own() -> None:
    assert not issubclass(UserError, (ValueError, RuntimeError))
