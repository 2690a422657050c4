"""A cloud in a folder, behind programs of the names that the scripts call."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "tpu_scripts"
_FAKE = Path(__file__).parent / "fake"


@dataclasses.dataclass(frozen=True)
class Cloud:
    """Runs the scripts against the fake programs, and tells what these were asked."""

    folder: Path

    def run(
        self, script: str, *flags: str, cwd: Path | None = None, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(SCRIPTS / script), *flags],
            env=self.environment(**settings),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=550,
            check=False,
        )

    def environment(self, **settings: str) -> dict[str, str]:
        given = {"POLL_SECONDS": "0.2", "MAX_RESTARTS": "5", "NAME": "t", "REPOSITORY": "r"}
        return {
            **os.environ,
            "PATH": f"{_FAKE}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "FAKE_CLOUD": str(self.folder),
            "REVISION": "abc123",
            **given,
            **settings,
        }

    def cue(self, **cues: Any) -> None:
        (self.folder / "cues.json").write_text(json.dumps(cues))

    @property
    def calls(self) -> list[dict[str, Any]]:
        file = self.folder / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def count(self, call: str) -> int:
        return sum(one["call"] == call for one in self.calls)


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    folder = tmp_path / "cloud"
    folder.mkdir()
    cloud = Cloud(folder)
    cloud.cue()
    return cloud


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A git repository and its revision, as settings."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not here")
    folder = tmp_path / "origin"
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / "code.txt").write_text("code")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    revision = subprocess.run(
        [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    yield {"REPOSITORY": f"file://{folder}", "REVISION": revision.stdout.strip()}
    for home in (tmp_path / "cloud" / "nodes").glob("*/*"):
        subprocess.run(["tmux", "kill-server"], env={"TMUX_TMPDIR": str(home)}, check=False)
