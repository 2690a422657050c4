"""Contract eval_journal_exact: kill -9 loses what was in flight, and nothing comes out twice.

A killed evaluation that is started again ends with the files of one that was not killed, byte for
byte; only timings.json, and the journal itself, may differ.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxllm.config import save_config
from jaxllm.defaults import evaluate_config

_ENVIRONMENT = {**os.environ, "XLA_FLAGS": ""}  # one device: eight on a few cores only wait


def _config(folder: Path, *, num_questions: int, every_kind: bool) -> Path:
    """Questions in many batches, answered greedily; with `every_kind` sampled and scored too."""
    questions = folder / "questions.jsonl"
    lines = (
        {"instruction": "数えなさい。", "input": f"質問：{index}", "output": "はい"}
        for index in range(num_questions)
    )
    questions.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    asked = {"template": "llm_jp_v1.3", "bos": "never", "max_samples": -1}
    task = f"jsonl:{questions}"
    config = evaluate_config()
    config.evals.greedy = {"type": "generate", "task": task, "max_new_tokens": 48, **asked}
    if every_kind:
        config.evals.sampled = {
            "type": "generate",
            "task": task,
            "max_new_tokens": 24,
            "temperature": 0.8,
            "num_runs": 2,
            **asked,
        }
        config.evals.scored = {"type": "score", "tasks": (task,), **asked}
    path = folder / "config.json"
    save_config(config, path)
    return path


def _start(config: Path, model: Path, workdir: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "jaxllm", "evaluate"),
            *(f"--config={config}", f"--model={model}", f"--workdir={workdir}"),
        ],
        env=_ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(config: Path, model: Path, workdir: Path) -> None:
    with _start(config, model, workdir) as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def _segments(workdir: Path) -> list[Path]:
    return list(workdir.glob("evals/*/final/journal/*.jsonl"))


def _num_answers(workdir: Path) -> int:
    keys = set()
    for path in _segments(workdir):
        # A segment may go away while this looks: what it held is in another one then.
        with contextlib.suppress(FileNotFoundError):
            keys |= {json.loads(line)["key"] for line in path.read_bytes().splitlines()}
    return len(keys)


def _results(workdir: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(workdir)): path.read_bytes()
        for path in workdir.rglob("*")
        if path.is_file() and path.parent.name != "journal" and path.name != "timings.json"
    }


def _timings(workdir: Path, name: str) -> dict:
    return json.loads((workdir / "evals" / name / "final/timings.json").read_text())


def test_eval_journal_exact(tiny_run, tmp_path):
    config = _config(tmp_path, num_questions=640, every_kind=False)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    with _start(config, tiny_run, killed) as process:
        while process.poll() is None and not _segments(killed):
            time.sleep(0.005)
        process.kill()
    assert not (killed / "evals/greedy/final/result.json").exists()
    kept = _num_answers(killed)
    assert 0 < kept < 640
    _finish(config, tiny_run, killed)
    _finish(config, tiny_run, whole)
    assert _results(killed) == _results(whole)
    timings = _timings(killed, "greedy")
    assert (timings["from_journal"], len(timings["answered_after_s"])) == (kept, 640 - kept)
    assert _num_answers(killed) == _num_answers(whole) == 640


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_eval_journal_exact_after_many_kills(tiny_run, tmp_path, seed):
    config = _config(tmp_path, num_questions=900, every_kind=True)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    _finish(config, tiny_run, whole)

    moments = random.Random(seed)
    num_kills = 0
    while num_kills < 6:
        before = _num_answers(killed)
        with _start(config, tiny_run, killed) as process:
            # Most kills come while it answers, some while it starts.
            waits_for_answers = moments.random() < 0.8
            while waits_for_answers and process.poll() is None and _num_answers(killed) == before:
                time.sleep(0.01)
            time.sleep(moments.random() * (0.6 if waits_for_answers else 4.0))
            assert process.poll() is None, "it ended before it was killed: ask more"
            process.kill()
        num_kills += 1
        assert _num_answers(killed) >= before, "a kill lost what was written"
    assert _num_answers(killed) > 0
    _finish(config, tiny_run, killed)
    assert _results(killed) == _results(whole)
