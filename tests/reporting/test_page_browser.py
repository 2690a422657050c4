"""The pages of views in a real browser: they sort, filter, speak two languages, fetch nothing."""

from __future__ import annotations

import contextlib
import json

import pytest

from jaxllm.cli import main
from jaxllm.reporting.views import VIEWS

pytestmark = pytest.mark.slow

_HOSTILE = (
    "</script><script>window.wasRun = 1</script><img src='http://evil.example/x.png' "
    "onerror='window.wasRun = 1'><b>bold</b> &lt;i&gt; \u2028 \ud83d"
)


@contextlib.contextmanager
def _opened(chromium, path, **context):
    """The page of a file; fails where it asks the network, runs a stranger's text or complains."""
    from playwright.sync_api import sync_playwright

    went_wrong: list[str] = []

    def requested(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            went_wrong.append(request.url)

    def said(message):
        if message.type in ("error", "warning"):
            went_wrong.append(message.text)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_context(**{"locale": "en-US", **context}).new_page()
        page.set_default_timeout(20_000)
        page.on("request", requested)
        page.on("console", said)
        page.on("pageerror", lambda error: went_wrong.append(str(error)))
        page.goto(f"file://{path}")
        page.locator("#view article").first.wait_for()
        yield page
        assert page.evaluate("window.wasRun") is None
        assert page.locator("img, iframe, #view b:text('bold')").count() == 0
        browser.close()
    assert went_wrong == []


@pytest.fixture
def results(make_result, tmp_path):
    named = {"changes": {"model": {"name": f"m {_HOSTILE}", "num_params": 1e9}}}
    scores = {"NLI": [1, 0, 1, 0, 0], "QA": [0.5, 0, 1, 1, 0.2], "RC": None, "MC": [0] * 5}
    base = make_result("base", scores, folder="all/base", text=_HOSTILE, **named)
    record = json.loads((base.folder / "result.json").read_text())
    record["tasks"]["mini/v1:nli"]["labels"] = ["yes", "no", "unknown"]  # can be guessed
    (base.folder / "result.json").write_text(json.dumps(record))
    scores = {"NLI": [1, 1, 1, 1, 0], "QA": [0.9, 0, 1, 0, 0.3], "RC": None, "MC": [1] * 5}
    make_result("tuned", scores, folder="all/tuned", text=_HOSTILE, **named)
    scores = {"NLI": [0] * 5, "QA": [0] * 5, "RC": None, "MC": [1] * 5}
    make_result("majority", scores, folder="all/majority", text=_HOSTILE)
    for step in (0, 10, 20):
        right = [1] * (step // 5) + [0] * (5 - step // 5)
        make_result(
            "sft", {"NLI": right, "QA": right, "MC": right}, folder=f"run/{step:03d}", step=step
        )
    for benchmark, metric in (("safety_ja", "violation_rate"), ("borderline", "refusal_rate")):
        overall = {metric: {"mean": 0.2, "interval": [0.1, 0.4], "maximum": 1.0}}
        changes = {**named["changes"], "judge": {"model": "gpt"}, "overall": overall}
        make_result(
            None, {"X": [1, 0]}, folder=f"judged/{benchmark}", suite=benchmark, changes=changes
        )
    broken = make_result("tuned", scores, folder="all/broken")
    (broken.folder / "result.json").write_text("{")
    return tmp_path


def _write(results, view):
    out = results / "page.html"
    place = results / {"progress": "run", "tradeoff": "judged"}.get(view, "all")
    assert main(["report", str(place), f"--view={view}", f"--html={out}"]) == 0
    return out


@pytest.mark.parametrize("view", sorted(VIEWS))
@pytest.mark.parametrize("width, scheme, locale", [(1200, "light", "en-US"), (400, "dark", "ja")])
def test_every_page_is_drawn_within_its_width(results, chromium, view, width, scheme, locale):
    path = _write(results, view)
    size = {"width": width, "height": 800}
    with _opened(chromium, path, viewport=size, color_scheme=scheme, locale=locale) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.documentElement.lang") == locale[:2]
        for plot in page.locator(".plot").all():
            assert plot.locator("svg.main-svg").count() > 0
            assert plot.get_attribute("aria-label")
        if view not in ("progress", "tradeoff"):
            assert "broken/result.json" in page.locator(".warning").first.text_content()
        # The other colours are drawn without a new page.
        page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
        assert page.locator("#view table").count() > 0


def test_the_leaderboard_sorts_corrects_and_opens_answers(results, chromium):
    with _opened(chromium, _write(results, "leaderboard")) as page:

        def first():
            return page.locator("tbody tr").first.locator("th").text_content()

        def head(name):
            return page.locator("thead th", has=page.get_by_role("button", name=name, exact=True))

        assert "after tuning" in first()
        assert head("AVR").get_attribute("aria-sort") == "descending"
        page.get_by_role("button", name="AVR").click()
        assert head("AVR").get_attribute("aria-sort") == "ascending"
        assert "before tuning" in first()
        # By keyboard alone, and no floor comes above a model.
        page.get_by_role("button", name="MC", exact=True).focus()
        page.keyboard.press("Enter")
        assert head("MC").get_attribute("aria-sort") == "descending"
        assert head("AVR").get_attribute("aria-sort") is None
        assert "after tuning" in first()
        assert page.locator("tbody tr th").nth(2).text_content() == "majority answer"
        # A missing score says why.
        column = page.locator("thead th").all_text_contents().index("RC")
        missing = page.locator("tbody tr").first.locator("td").nth(column - 1)
        assert missing.text_content().startswith("–")
        assert "no library" in page.locator(".footnotes").text_content()
        # Answers stand behind a score, as text.
        page.locator("tbody tr").first.locator("button.cell").first.click()
        dialog = page.locator("dialog[open]")
        assert dialog.locator(".cards > li").count() == 17  # of all four tasks
        assert dialog.locator(".text").nth(2).text_content() == _HOSTILE
        dialog.get_by_label("outcome").select_option("wrong")
        assert "of 17" in dialog.locator(".count").text_content()
        assert set(dialog.locator(".outcome").all_text_contents()) >= {"✗ wrong"}
        page.keyboard.press("Escape")
        page.locator("dialog").wait_for(state="detached")
        before = page.locator("tbody tr").nth(1).locator("td").nth(2).text_content()
        page.get_by_label("put guessing at 0").check()
        assert "0 is blind guessing" in page.locator("article").text_content()
        assert page.locator("tbody tr").nth(1).locator("td").nth(2).text_content() == before
        page.get_by_role("button", name="日本語").click()
        assert page.locator("h1").text_content() == "リーダーボード"
        page.reload()
        assert page.locator("h1").text_content() == "リーダーボード"


def test_answers_that_turned_are_found_by_task_direction_and_text(results, chromium):
    out = results / "page.html"
    places = [str(results / "all" / name) for name in ("base", "tuned")]
    assert main(["report", "--compare", *places, f"--html={out}"]) == 0
    with _opened(chromium, out) as page:
        counted = page.locator(".answers .count")
        assert counted.text_content() == "8 of 8"  # NLI 2, QA 1, MC 5
        page.get_by_label("task").select_option(label="qa")
        assert counted.text_content() == "1 of 8"
        assert page.locator(".cards .outcome").all_text_contents() == ["✓ right", "✗ wrong"]
        page.get_by_label("outcome").select_option("gained")
        assert counted.text_content() == "0 of 8"
        page.get_by_label("task").select_option("")
        page.get_by_label("outcome").select_option("gained")
        assert counted.text_content() == "7 of 8"
        page.get_by_label("search").fill("問い3")
        assert counted.text_content() == "2 of 8"
        card = page.locator(".cards > li").first
        assert card.locator(".text").all_text_contents()[2:] == [_HOSTILE, _HOSTILE]
        page.get_by_label("search").fill("no such text")
        assert page.locator(".cards > li").count() == 0
        assert page.locator(".plot svg.main-svg").count() > 0


def test_the_seeds_tables_stand_on_a_page_as_published(tmp_path, chromium):
    rows = {"llm-jp-3-13b": ("–", "0.580"), "llm-jp-3-13b+チューニング": ("6.47", "0.617")}
    cards = tmp_path / "cards.yaml"
    cards.write_text(
        """\
models:
- {name: llm-jp-3-13b, scores: [{suite: llm-jp-eval, average: 0.5802}]}
- name: llm-jp-3-13b+チューニング
  scores:
  - {suite: llm-jp-eval, average: 0.6168}
  - {benchmark: MT-Bench, score: 6.469, maximum: 10}
"""
    )
    out = tmp_path / "page.html"
    assert main(["report", str(cards), "--view=leaderboard", f"--html={out}"]) == 0
    with _opened(chromium, out) as page:
        for name, (judged, average) in rows.items():
            row = page.locator("tbody tr", has=page.get_by_text(name, exact=True))
            assert row.locator("td").all_text_contents()[1:] == [average, judged]
