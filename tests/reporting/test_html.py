from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from jaxllm.reporting.boards import make_boards
from jaxllm.reporting.browsing import SCRIPTS, browsable_samples, sample_pieces
from jaxllm.reporting.curves import chart_data
from jaxllm.reporting.html import render_page
from jaxllm.reporting.results import read_samples, write_result

_HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(1)><!-- & "'
_SCORES = {"NLI": [1, 0, 1], "QA": [0, 0, 1], "RC": [1, 1, 1]}


class _Page(HTMLParser):
    """The page as a browser's parser takes it apart: elements, and what scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] == "script" and self.cdata_elem == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)


@pytest.fixture
def boards(make_result):
    results = [
        make_result(kind, _SCORES, text=_HOSTILE, changes={"model": {"name": _HOSTILE}})
        for kind in ("majority", "control", "base")
    ]
    results += [
        make_result("sft", _SCORES, folder=f"run/{step}", step=step, text=_HOSTILE)
        for step in (10, 20)
    ]
    return make_boards(results)


def test_what_models_wrote_stays_text(boards):
    page = _Page(render_page(boards, left_out=[_HOSTILE]))
    assert {tag for tag, _ in page.elements} & {"img", "iframe", "object", "link"} == set()
    kinds = [kind for kind, _ in page.scripts]
    assert kinds == ["application/json"] * 3 + [None] * (3 + len(SCRIPTS))
    samples = json.loads(page.scripts[1][1])
    assert samples["answers-3-0-0"]["answers"][0][0] == _HOSTILE


def test_the_page_asks_the_network_for_nothing_and_runs_only_its_own_scripts(boards):
    page = _Page(render_page(boards))
    for tag, attributes in page.elements:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#"), tag
        assert not any(name.startswith("on") for name in attributes)
    policy = next(
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and "http-equiv" in attributes
    )
    assert policy.startswith("default-src 'none'; ")
    run = [text for kind, text in page.scripts if kind is None]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert "unsafe" not in policy.partition("script-src")[2]


def test_the_rule_the_verdicts_and_what_was_left_out_stand_in_words(boards):
    text = render_page(boards, left_out=["run/300: no result.json"])
    assert "A category counts as learned when" in text
    assert text.count('<span class="chip">') == 3
    assert "run/300: no result.json" in text


def test_a_page_of_a_single_base_model_says_that_nothing_was_tuned(make_result):
    text = render_page(make_boards([make_result("base", {"NLI": [1, 0]})]))
    assert "No tuned model is among these results" in text
    assert 'data-chart="panel"' not in text


def test_samples_of_all_runs_side_by_side_up_to_the_limit(boards):
    carried = browsable_samples(boards[0], limit=2)
    runs, tasks = carried["index"]["runs"], carried["index"]["tasks"]
    assert [run["role"] for run in runs] == ["majority", "control", "base", "tuned"]
    assert (tasks[0]["name"], tasks[0]["metric"]) == ("mini/v1:nli", "exact_match")
    assert (tasks[0]["total"], tasks[0]["samples"]) == (3, 2)
    questions = carried["questions-0-0"]
    assert [question[0] for question in questions["questions"]] == ["NLI-0", "NLI-1"]
    assert questions["beginning"] + questions["questions"][1][1] == "問い1"
    for run in range(4):
        assert carried[f"scores-{run}"][0] == [1.0, 0.0]
        assert carried[f"answers-{run}-0-0"]["answers"][1] == [_HOSTILE, None, "stop"]


def test_a_run_that_was_not_asked_has_no_answer(make_result):
    results = [make_result("base", {"A": [1]}), make_result("sft", {"A": [1], "B": [0]}, step=1)]
    carried = browsable_samples(make_boards(results)[0])
    assert carried["scores-0"] == [[1.0], []]
    assert "answers-0-1-0" not in carried
    assert carried["scores-1"] == [[1.0], [0.0]]


def test_prompts_share_their_beginning_and_runs_their_samples(make_result):
    def rewrite(result, changes):
        (task,) = result.tasks
        samples = [
            {**sample, **change}
            for sample, change in zip(read_samples(result, task), changes, strict=True)
        ]
        return write_result(result.folder, result.record, {task: samples})

    shots = "例1\n例2\n"
    base = rewrite(
        make_result("base", {"QA": [1, 0]}),
        [
            {"id": "b", "prompt": f"{shots}日本の首都は"},
            {"id": "a", "prompt": f"{shots}日本の国花は"},
        ],
    )
    tuned = rewrite(
        make_result("sft", {"QA": [0, 1]}, step=1),
        [{"id": "c", "prompt": "c"}, {"id": "b", "prompt": "短い", "prediction": "東京"}],
    )
    carried = browsable_samples(make_boards([base, tuned])[0])
    assert carried["questions-0-0"] == {
        "beginning": "",
        "questions": [
            ["b", f"{shots}日本の首都は", "正解"],
            ["a", f"{shots}日本の国花は", "正解"],
            ["c", "c", "正解"],
        ],
    }
    assert carried["scores-0"] == [[1.0, 0.0]]
    assert carried["scores-1"] == [[1.0, False, 0.0]]
    assert carried["answers-1-0-0"] == {
        "beginning": "",
        "answers": [["答え", "東京", "stop", "短い"], None, ["答え", None, "stop"]],
    }
    alone = browsable_samples(make_boards([base])[0])["questions-0-0"]
    assert alone["beginning"] == shots  # whole lines alone, across which nobody searches
    assert [rest for _, rest, _ in alone["questions"]] == ["日本の首都は", "日本の国花は"]


def test_pieces_are_made_one_task_after_the_other(make_result):
    read = []

    class Watched(dict):
        def get(self, task, default=()):
            read.append(task)
            return super().get(task, default)

    result = make_result("base", {"A": [1], "B": [0]})
    samples = {task: list(read_samples(result, task)) for task in result.tasks}
    pieces = sample_pieces(make_boards([dataclasses.replace(result, samples=Watched(samples))])[0])
    assert [next(pieces)[0], next(pieces)[0]] == ["answers-0-0-0", "questions-0-0"]
    assert read == ["mini/v1:a"]
    assert [name for name, _ in pieces][-1] == "index"
    assert read == ["mini/v1:a", "mini/v1:b"]


def test_curves_start_at_the_base_model_and_carry_intervals(boards):
    charts = chart_data(boards[0], {})
    assert [panel["name"] for panel in charts["panels"]] == ["AVR", "NLI", "QA", "RC"]
    (line,) = charts["panels"][1]["lines"]
    assert [point[0] for point in line["points"]] == [0, 10, 20]
    _, mean, low, high = line["points"][2]
    assert low < mean < high
    assert [one["role"] for one in charts["panels"][1]["references"]] == ["majority", "control"]
    assert [one["role"] for one in charts["profiles"]] == ["base", "tuned"]
    assert charts["losses"] == []


def test_long_losses_are_thinned_to_means(boards):
    rows = [{"step": step, "loss": float(step % 2)} for step in range(1, 5001)]
    (line,) = chart_data(boards[0], {"run": [*rows, {"step": 5001, "eval": 1.0}]})["losses"]
    assert line["stretch"] == 5
    assert len(line["losses"]) == 1000
    assert line["steps"][-1] == 5000
    assert set(line["losses"]) == {0.6, 0.4}
