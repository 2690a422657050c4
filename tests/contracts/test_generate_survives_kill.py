"""Contract: `jaxllm generate` that is killed and started again ends with what it would have.

Ids, texts and reasons are the same byte for byte; the last digits of a log-probability depend on
what a row was decoded beside. Nothing that was kept is asked again.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxllm.generate import generate


def _requests(path: Path, num_requests: int) -> Path:
    """Greedy and sampled ones, several samples of some, and stop strings."""
    draw = random.Random(0)
    lines = [
        {
            "id": f"q{index}",
            "prompt_ids": draw.choices(range(3, 380), k=16),
            "max_new_tokens": draw.randrange(4, 16),
            "ignore_eos": True,
            "temperature": draw.choice([0.0, 0.8]),
            "stop": draw.choice([[], ["猫猫", "\n\n"]]),
            "n": draw.choice([1, 1, 1, 3]),
        }
        for index in range(num_requests)
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def _start(model: Path, requests: Path, out: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "jaxllm", "generate"),
            *(f"--model={model}", f"--requests={requests}", f"--out={out}"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _kept(out: Path) -> dict[str, bytes]:
    """The journal's lines by key."""
    kept: dict[str, bytes] = {}
    for path in out.with_name(f"{out.name}.journal").glob("*.jsonl"):
        # A segment may go away while this looks: what it held is in another one then.
        with contextlib.suppress(FileNotFoundError):
            kept |= {json.loads(line)["key"]: line for line in path.read_bytes().splitlines()}
    return kept


def _check(killed: Path, whole: Path) -> None:
    found, expected = (
        [json.loads(line) for line in out.read_bytes().splitlines()] for out in (killed, whole)
    )
    logprobs = [[record.pop("logprob") for record in records] for records in (found, expected)]
    assert list(map(json.dumps, found)) == list(map(json.dumps, expected))
    assert logprobs[0] == pytest.approx(logprobs[1], abs=1e-5, rel=1e-5)


def test_generate_survives_kill(tiny_run, tmp_path, capsys):
    requests = _requests(tmp_path / "in.jsonl", 300)
    killed, whole = tmp_path / "killed.jsonl", tmp_path / "whole.jsonl"
    with _start(tiny_run, requests, killed) as process:
        while process.poll() is None and not _kept(killed):
            time.sleep(0.005)
        process.kill()
    assert not killed.exists()
    kept = _kept(killed)
    answers = generate(str(tiny_run), str(requests), str(killed))
    assert 0 < len(kept) < len(answers)
    assert f"{len(kept)} of {len(answers)} answers are in" in capsys.readouterr().err
    generate(str(tiny_run), str(requests), str(whole))
    _check(killed, whole)
    # What was kept is in the end what it was then, to the last bit.
    assert _kept(killed).items() >= kept.items()
    before = killed.read_bytes()
    generate(str(tiny_run), str(requests), str(killed))
    assert killed.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_generate_survives_many_kills(tiny_run, tmp_path, seed):
    requests = _requests(tmp_path / "in.jsonl", 1500)
    killed, whole = tmp_path / "killed.jsonl", tmp_path / "whole.jsonl"
    moments = random.Random(seed)
    for _ in range(6):
        before = _kept(killed)
        with _start(tiny_run, requests, killed) as process:
            # Most kills come while it answers, some while it starts.
            waits_for_answers = moments.random() < 0.8
            while (
                waits_for_answers and process.poll() is None and len(_kept(killed)) == len(before)
            ):
                time.sleep(0.01)
            time.sleep(moments.random() * (0.3 if waits_for_answers else 4.0))
            assert process.poll() is None, "it ended before it was killed: ask more"
            process.kill()
        assert _kept(killed).items() >= before.items(), "a kill lost what was written"
    assert _kept(killed)
    for out in (killed, whole):
        with _start(tiny_run, requests, out) as process:
            assert process.wait(300) == 0
    _check(killed, whole)
