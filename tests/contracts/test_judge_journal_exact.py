"""Contract judge_journal_exact: every answer is judged exactly once, whatever happens.

The endpoint is slow, busy, broken and out of order, drops connections and answers garbage; the
judging process is killed with -9 and started again. What was received before a kill is never asked
for again, and the result is that of a run in which nothing happened.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

_KEY = "sk-fake-5e1f0c9d2b7a4863"
_TROUBLE = {
    "busy": 0.05,
    "broken": 0.02,
    "dropped": 0.02,
    "cut": 0.02,
    "no_json": 0.02,
    "no_choices": 0.02,
    "slow": 0.01,
}
# The verb without what only a model of ours needs: it starts in a fraction of the time.
_LIGHT = """
import sys
from jaxllm.chat import CallJournal
from jaxllm.chat.endpoint import Endpoint, EndpointSettings
from jaxllm.judging.definition import get_benchmark
from jaxllm.judging.fastchat_files import read_answers
from jaxllm.judging.judgments import judge_answers
from jaxllm.judging.questions import read_questions
from jaxllm.judging.record import Judged, write_judged
from etils import epath

benchmark_file, answers_file, url, workdir = sys.argv[1:]
benchmark = get_benchmark(benchmark_file)
questions, digest = read_questions(benchmark, raw_dir=None, data_dir=workdir)
_, answers = read_answers(answers_file)
judge = Endpoint(EndpointSettings(model="j", base_url=url, concurrency=16))
folder = epath.Path(workdir) / "evals" / "many" / "final"
with CallJournal(folder.parent / "journal") as journal:
    judgments = judge_answers(benchmark, questions, answers, judge, journal)
write_judged(
    folder,
    Judged(
        benchmark=benchmark,
        questions=questions,
        data_sha256=digest,
        answers=answers,
        judgments=judgments,
        judge=judge.provenance,
        votes=1,
    ),
    model={"name": "m"},
    config={},
    max_samples=-1,
)
"""


class _Setting:
    """Questions, answers to them, and an endpoint whose words follow from what it is asked."""

    def __init__(self, folder: Path, server, *, count: int) -> None:
        self.folder, self.server, self.count = folder, server, count
        self.benchmark, self.answers = folder / "many.yaml", folder / "answers.jsonl"
        definition = {
            "name": "many",
            # The seed tells the endpoint which try it is: 1, 1001 or 2001.
            "judge": {"max_tokens": 16, "seed": 1},
            "rubrics": [
                {
                    "name": "only",
                    "scales": {"rating": [1, 10]},
                    "parser": {"regex": r"\[\[(\d+)\]\]"},
                    "prompt": "Rate answer <{id}>: {answer}",
                }
            ],
            "questions": [{"id": str(n), "prompt": f"question {n}"} for n in range(count)],
        }
        self.benchmark.write_text(yaml.safe_dump(definition))
        lines = (
            {"question_id": n, "model_id": "m", "choices": [{"index": 0, "turns": [f"answer {n}"]}]}
            for n in range(count)
        )
        self.answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
        server.answer, server.trouble, server.delay = self.say, _TROUBLE, 0.02

    def say(self, body) -> str:
        """A rating; of every seventh answer only at the second try, and of every 50th at none."""
        number, attempt = self.asked(body)
        if number % 50 == 0 or (number % 7 == 0 and attempt == 0):
            return "What a question!"
        return f"Rating: [[{1 + number % 10}]]"

    @staticmethod
    def asked(body) -> tuple[int, int]:
        """The number of the answer that is judged, and of the try."""
        number = re.search(r"<(\d+)>", body["messages"][-1]["content"])
        assert number is not None
        return int(number[1]), body["seed"] // 1000

    def start(self, workdir: Path, *, light: bool) -> subprocess.Popen:
        if light:
            arguments = ["-c", _LIGHT, self.benchmark, self.answers, self.server.url, workdir]
        else:
            config = Path(__file__).parents[2] / "configs" / "judge" / "benchmark.py"
            arguments = [
                *("-m", "jaxllm", "judge", f"--config={config}:{self.benchmark}"),
                *("--judge.model=j", f"--judge.base_url={self.server.url}"),
                *("--judge.concurrency=16", f"--answers={self.answers}", f"--workdir={workdir}"),
            ]
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env={**os.environ, "OPENAI_API_KEY": _KEY, "XLA_FLAGS": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, workdir: Path, *, light: bool) -> None:
        with self.start(workdir, light=light) as process:
            printed, _ = process.communicate(timeout=900)
        assert process.returncode == 0, printed
        assert _KEY not in printed

    def kept(self, workdir: Path) -> set[tuple[int, int]]:
        """What stands in the journal: numbers of answers and tries."""
        path = workdir / "evals" / "many" / "journal" / "calls.sqlite"
        if not path.exists():
            return set()
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as db:
            try:
                rows = db.execute("SELECT id FROM calls").fetchall()
            except sqlite3.OperationalError:
                return set()  # the table is being made
        parts = [id.split("/") for (id,) in rows]
        assert len(set(map(tuple, parts))) == len(parts), "a call stands there twice"
        return {(int(part[1]), int(part[-1])) for part in parts}

    def kill_after(self, workdir: Path, share: float, *, light: bool) -> None:
        """Starts it and kills it when so many of the answers have been judged."""
        with self.start(workdir, light=light) as process:
            while process.poll() is None and len(self.kept(workdir)) < share * self.count:
                time.sleep(0.02)
            assert process.poll() is None, "it ended before it was killed"
            process.kill()
            process.communicate()
        time.sleep(0.3)  # what was under way reaches the server

    def wanted(self) -> dict[tuple[int, int], int]:
        """Every call that has to be answered once."""
        return {
            (number, attempt): 1
            for number in range(self.count)
            for attempt in range(3 if number % 50 == 0 else 2 if number % 7 == 0 else 1)
        }


def _results(workdir: Path) -> dict[str, list]:
    """What must be the same for all runs: all but when it was."""
    folder = workdir / "evals" / "many" / "final"
    found = {}
    for path in (folder / "judgments.jsonl", folder / "samples" / "many.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.name] = [
            {name: value for name, value in line.items() if name != "tstamp"} for line in lines
        ]
    return found


def _check(setting: _Setting, tmp_path: Path, kills: list[float], *, light: bool) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    server, concurrency = setting.server, 16
    for share in kills:
        known, since = setting.kept(killed), len(server.bodies)
        setting.kill_after(killed, share, light=light)
        assert setting.kept(killed) >= known, "a kill lost what was kept"
        asked = {setting.asked(body) for body in server.bodies[since:]}
        assert not asked & known, "what was received is asked for again"
    known, since = setting.kept(killed), len(server.bodies)
    setting.finish(killed, light=light)
    assert not {setting.asked(body) for body in server.bodies[since:]} & known

    answered = collections.Counter(map(setting.asked, server.answered))
    wanted = setting.wanted()
    assert set(answered) == set(wanted) == setting.kept(killed)
    again = sum(answered.values()) - len(wanted)
    assert again <= len(kills) * concurrency, "more came twice than was under way at the kills"
    judgments = _results(killed)["judgments.jsonl"]
    assert [line["question_id"] for line in judgments] == list(range(setting.count))
    for line in judgments:
        number = line["question_id"]
        expected = None if number % 50 == 0 else {"rating": 1.0 + number % 10}
        assert line["scores"] == expected

    server.trouble, server.delay = {}, 0.0
    setting.finish(whole, light=light)
    assert _results(killed) == _results(whole)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or _KEY.encode() not in path.read_bytes(), path


def test_judge_journal_exact(fake_endpoint, tmp_path):
    _check(_Setting(tmp_path, fake_endpoint, count=120), tmp_path, [0.3], light=True)


@pytest.mark.slow
def test_judge_journal_exact_with_two_thousand_calls_and_three_kills(fake_endpoint, tmp_path):
    setting = _Setting(tmp_path, fake_endpoint, count=2000)
    _check(setting, tmp_path, [0.1, 0.4, 0.8], light=False)
