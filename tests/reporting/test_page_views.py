"""Every view as a page: what it carries, and that what others wrote stays text in it."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxllm.cli import main
from jaxllm.reporting.cards import Card
from jaxllm.reporting.page.document import read_part, script_json
from jaxllm.reporting.page.views import comparison_page, view_page
from jaxllm.reporting.readers import Material, read_material
from jaxllm.reporting.results import Result
from jaxllm.reporting.views import VIEWS, ViewOptions, tuning_effect

_HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(1)><!-- & " \u2028 \ud83d'


class _Page(HTMLParser):
    """The elements of a page and what its data scripts hold, as a browser's parser reads them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.texts: list[str] = []
        self.data: dict[str, str] = {}
        self.policy = ""
        self._id: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.elements.append(tag)
        self._id = given.get("id") if given.get("type") == "application/json" else None
        if "http-equiv" in given:
            self.policy = given["content"]
        assert not {"src", "href"} & given.keys()

    def handle_data(self, data):
        if self._id:
            self.data[self._id] = self.data.get(self._id, "") + data
        elif self.cdata_elem is None:
            self.texts.append(data)

    @property
    def items(self):
        return json.loads(self.data["items"])


def _page(view: str, material: Material, **options: object) -> _Page:
    chosen = ViewOptions(**options)
    return _Page(view_page(view, material, chosen, max_samples=2))


def _two(make_result, before, after, text="答え", **more):
    base = make_result("base", before, folder="base", text=text, **more)
    tuned = make_result("tuned", after, folder="tuned", text=text, **more)
    return base, tuned


@pytest.fixture
def material(make_result):
    named = {"changes": {"model": {"name": _HOSTILE, "num_params": 1e9}}}
    scores = {"A": [1, 0, 1, 0], "B": [0.5, 0, 1, 1], "C": None}
    results = [make_result("base", scores, folder="run/000000", step=0, text=_HOSTILE, **named)]
    results += [
        make_result("sft", scores, folder=f"run/{step:06d}", step=step, text=_HOSTILE, **named)
        for step in (10, 20)
    ]
    return Material(results=tuple(results), left_out=(_HOSTILE,))


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_of_every_view_the_page_holds_its_values_and_no_markup_of_others(material, view):
    page = _page(view, material)
    assert {"img", "iframe", "object", "link"} & set(page.elements) == set()
    assert page.policy.startswith("default-src 'none'; ")
    assert page.policy.count("sha256-") == page.elements.count("script") - 2
    assert _HOSTILE in page.texts  # the sentence on what was left out
    if view != "tradeoff":  # nobody judged
        assert len(page.items) == 1
    assert "Leaderboard" in page.texts or view != "leaderboard"


def test_both_languages_have_the_same_words_and_every_word_that_is_asked_for():
    texts = json.loads(read_part("texts.json"))
    assert texts["ja"].keys() == texts["en"].keys()
    for language in texts.values():
        for view in (*VIEWS, "comparison"):
            assert {f"{part}_{view}" for part in ("title", "lead", "foot")} <= language.keys()
    asked = set()
    for name in (*(f"{view}.js" for view in (*VIEWS, "comparison")), "answers.js", "elements.js"):
        script = read_part(name)
        asked |= {part.split('"')[1] for part in script.split("say(")[1:] if part[0] == '"'}
    assert len(asked) > 60
    assert asked <= texts["en"].keys()


def test_the_leaderboard_has_each_score_twice_and_the_samples_behind_it(make_result):
    scores = {"A": [1, 0, 1, 0], "B": [1, 1, 0, 1]}
    results = _two(make_result, scores, {"A": [1, 1, 1, 1], "B": None})
    results[0].tasks["mini/v1:a"]["labels"] = ["yes", "no"]  # guessing gives a half
    (item,) = _page("leaderboard", Material(results=results), sort="A").items
    assert (item["columns"], item["sort"]) == (["AVR", "A", "B"], "A")
    tuned, base = item["entries"]
    assert tuned["scores"][2]["mean"] is None
    assert "not scored: b: no library" in tuned["scores"][2]["note"]
    assert base["scores"][1]["num_samples"] == 4
    assert base["tasks"]["mini/v1:a"]["mean"] == 0.5
    above = {entry["label"]: entry for entry in item["entries_above_chance"]}
    assert above[base["label"]]["scores"][1]["mean"] == 0.0
    assert [task["samples"] for task in item["samples"]["index"]["tasks"]] == [2, 2]


def test_a_comparison_has_differences_and_the_answers_that_turned(make_result, tmp_path):
    _two(make_result, {"A": [1, 0, 0, 0, 1]}, {"A": [0, 1, 1, 1, 1]}, text=_HOSTILE)
    effects, _ = tuning_effect(tmp_path / "base", tmp_path / "tuned")
    page = _Page(comparison_page(effects, left_out=[_HOSTILE], max_samples=2))
    (item,) = page.items
    assert [(row["kind"], row["name"]) for row in item["rows"]] == [
        ("average", "AVR"),
        ("category", "A"),
        ("task", "mini/v1:a"),
    ]
    assert item["rows"][0]["interval"]["mean"] == pytest.approx(0.4)
    assert item["counts"] == {"mini/v1:a": {"gained": 3, "lost": 1}}
    # Two of the three that went right, as many as the page may carry, and the one that went wrong.
    assert [(flip["id"], flip["gained"]) for flip in item["flips"]] == [
        ("A-0", False),
        ("A-1", True),
        ("A-2", True),
    ]
    flip = item["flips"][1]
    told = [item["texts"][flip[name]] for name in ("prompt", "gold", "before", "after")]
    assert told == ["問い1", "正解", _HOSTILE, _HOSTILE]
    assert {"img", "iframe"} & set(page.elements) == set()


def test_the_average_stands_with_and_without_what_was_tuned_on(make_result, tmp_path):
    make_result("base", {"A": [0, 0], "B": [0, 0]}, folder="base")
    lineage = [{"mixture": {"entry": {"source": "jaster/a"}}}]
    tuned = make_result(
        "tuned",
        {"A": [1, 1], "B": [1, 0]},
        folder="tuned",
        changes={"model": {"name": "small", "lineage": lineage}},
    )
    record = json.loads((tuned.folder / "result.json").read_text())
    record["tasks"]["mini/v1:a"]["corpus"] = "a"
    (tuned.folder / "result.json").write_text(json.dumps(record))
    effects, _ = tuning_effect(tmp_path / "base", tmp_path / "tuned")
    (item,) = _Page(comparison_page(effects, max_samples=2)).items
    of = {row["name"]: row for row in item["rows"]}
    assert of["AVR"]["interval"]["mean"] == pytest.approx(0.75)
    assert of["AVR, other tasks"]["interval"]["mean"] == pytest.approx(0.5)
    assert (of["A"]["in_distribution"], of["B"]["in_distribution"]) == (1, 0)


def test_progress_has_points_and_the_loss_of_its_run(make_result, tmp_path):
    (tmp_path / "run" / "metrics").mkdir(parents=True)
    rows = [{"step": step, "loss": 1.0 / step, "tokens_seen": 100 * step} for step in range(1, 21)]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    (tmp_path / "run" / "metrics" / "000000.jsonl").write_text(lines)
    results = [
        make_result("sft", {"A": [1, 0]}, folder=f"run/evals/mini/{step:06d}", step=step)
        for step in (0, 10, 20)
    ]
    (item,) = _page("progress", Material(results=tuple(results))).items
    assert [(point["step"], point["tokens"]) for point in item["points"]] == [
        (0, 0),
        (10, 1000),
        (20, 2000),
    ]
    assert item["losses"]["steps"] == list(range(1, 21))


def test_sizes_come_from_cards_and_reliability_and_strengths_from_scores(make_result):
    results = [
        make_result(None, {"A": [right, 1, 0], "B": [0, right, 1]}, folder=name, changes=change)
        for name, right in (("a", 0), ("b", 1), ("c", 1))
        for change in [{"model": {"name": name}}]
    ]
    cards = tuple(Card(name=name, parameters=10.0**9 * n) for n, name in enumerate("abc", 1))
    material = Material(results=tuple(results), cards=cards)
    (sizes,) = _page("sizes", material).items
    assert [model["parameters"] for model in sizes["models"]] == [1e9, 2e9, 3e9]
    assert {trend["against"] for trend in sizes["trends"]} == {"parameters"}
    (reliability,) = _page("reliability", material).items
    assert [task["num_models"] for task in reliability["tasks"]] == [3, 3]
    assert [one["rank"] for one in reliability["ranks"]] == [1, 1, 3]
    (strengths,) = _page("strengths", material).items
    assert set(strengths["profiles"][0]["against_peers"]) == {"A", "B"}
    assert strengths["profiles"][0]["against_own_mean"]["A"]["is_clear"] is False


def test_the_tradeoff_has_what_was_measured():
    overall = {"violation_rate": {"mean": 0.1, "interval": [0.0, 0.2], "maximum": 1.0}}
    record = {
        "suite": None,
        "model": {"name": "<b>wild</b>"},
        "run": {"step": None},
        "judge": {"model": "gpt"},
        "tasks": {"safety_ja": {}},
        "overall": overall,
    }
    page = _page("tradeoff", Material(results=(Result(folder=None, record=record),)))
    (item,) = page.items
    assert item["models"][0]["model"] == "<b>wild</b>"
    assert set(item["models"][0]["measured"]) == {"violations"}
    assert "b" not in page.elements


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(st.characters(), max_size=40)
    | st.lists(
        st.sampled_from(["</script>", "<!--", "<script", "]]>", "\u2028", "\\", "\ud800"])
    ).map("".join)
)
def test_json_in_a_script_is_the_value_and_nothing_else(text):
    written = f'<script type="application/json" id="items">{script_json([text])}</script><p>'
    # As it is read back from a file, in which half a surrogate pair stands as JSON's escape.
    read = written.encode(errors="backslashreplace").decode()
    page = _Page(read)
    assert page.elements == ["script", "p"]
    assert page.items == [text]


def test_pages_are_written_by_the_command_with_what_is_damaged_named(make_result, tmp_path, capsys):
    base, _ = _two(make_result, {"A": [1, 0]}, {"A": [1, 1]}, text=_HOSTILE)
    broken = make_result("tuned", {"A": [1, 0]}, folder="broken")
    (broken.folder / "result.json").write_text("{")
    out = tmp_path / "pages" / "page.html"
    assert main(["report", str(tmp_path), "--view=leaderboard", f"--html={out}"]) == 0
    page = _Page(out.read_text(encoding="utf-8"))
    assert "broken/result.json: not JSON" in " ".join(page.texts)
    assert page.items[0]["samples"]["answers-0-0-0"]["answers"][0][0] == _HOSTILE
    tuned = tmp_path / "tuned"
    assert main(["report", "--compare", str(base.folder), str(tuned), f"--html={out}"]) == 0
    assert "answers that turned" in capsys.readouterr().out
    assert len(_Page(out.read_text(encoding="utf-8")).items[0]["flips"]) == 1
    assert main(["report", str(tmp_path), "--view=sizes", f"--html={tmp_path}"]) == 2
    assert "is a directory" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--view=sizes", "--json"]) == 2
    assert "--out=FILE.json" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--sql=select 1", f"--html={out}"]) == 2
    assert read_material([tmp_path]).results  # the pages are no results
