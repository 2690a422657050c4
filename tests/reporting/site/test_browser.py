"""A site in a real Chromium, from its files: a hundred thousand samples, two languages, by keys."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from etils import epath
from playwright.sync_api import Page, expect, sync_playwright

from jaxllm.reporting.readers import Material
from jaxllm.reporting.results import Result
from jaxllm.reporting.site.build import write_site

pytestmark = pytest.mark.slow

expect.set_options(timeout=60_000)  # milliseconds: the machine may have other work
_TASKS, _EACH = 10, 10_000
_SHOT = "### 入力:\n質問：例題{n}の答えは何ですか。\n### 応答:\n例{n}\n\n"
_SHOTS = "".join(_SHOT.format(n=n) for n in range(40))
_MARKUP = (
    "</script><script>window.wasRun = 1</script><img src='http://evil.example/x.png' "
    "onerror='window.wasRun = 1'><style>* { display: none }</style>\u2028 ${7*7} &lt;b&gt;"
)


def _sample(task: int, number: int, is_right: bool) -> dict[str, Any]:
    question = f"### 入力:\n質問：{task}番の町の{number}丁目には何がありますか。\n### 応答:\n"
    answer = f"{number}丁目には{'図書館' if is_right else '郵便局'}があります。"
    return {
        "id": f"t{task}-{number}",
        "prompt": _SHOTS + question,
        "output": answer,
        "prediction": answer,
        "gold": f"{number}丁目には図書館があります。",
        "scores": {"exact_match": float(is_right)},
    }


def _big_result(name: str, step: int | None, right_every: int) -> Result:
    """A result whose samples were never on disk; every so-manieth answer is right."""
    tasks, samples, scores = {}, {}, {}
    for task in range(_TASKS):
        key = f"big/v1:t{task}"
        samples[key] = [_sample(task, n, n % right_every == 0) for n in range(_EACH)]
        scores[key] = {one["id"]: one["scores"]["exact_match"] for one in samples[key]}
        mean = sum(scores[key].values()) / _EACH
        tasks[key] = {
            "category": f"C{task // 5}",
            "headline": "exact_match",
            "num_samples": _EACH,
            "metrics": {"exact_match": {"mean": mean, "interval": [mean - 0.01, mean + 0.01]}},
            "num_shots": 40,
        }
    average = {"name": "AVR", "mean": mean, "interval": [mean - 0.01, mean + 0.01]}
    record = {
        "suite": "big/v1",
        "split": "test",
        "model": {"name": name},
        "run": {"kind": "base" if step is None else "sft", "step": step},
        "tasks": tasks,
        "categories": {f"C{n}": {"mean": mean, "interval": None} for n in range(2)},
        "average": {**average, "missing": [], "missing_tasks": []},
    }
    return Result(
        folder=epath.Path(f"/{name}"), record=record, headline_scores=scores, samples=samples
    )


@pytest.fixture(scope="module")
def big_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("big") / "site"
    results = (_big_result("before", None, 4), _big_result("after", 10, 2))
    write_site(Material(results=results), epath.Path(folder))
    return folder


@contextlib.contextmanager
def _opened(chromium: str, path: Path, address: str = "", **context) -> Iterator[Page]:
    """A page of a site; afterwards it has neither told of an error nor asked for another file."""
    went_wrong: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_context(**{"locale": "en-US"} | context).new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: went_wrong.append(str(error)))
        page.on("console", lambda message: went_wrong.append(message.text))
        page.goto(path.as_uri() + address)
        yield page
        assert page.evaluate("window.wasRun") is None
        browser.close()
    assert went_wrong == []
    site = next(folder for folder in path.parents if (folder / "jaxllm-site.json").is_file())
    assert [address for address in asked if not address.startswith(site.as_uri())] == []


def _seconds(page: Page, act: str, shown: str) -> float:
    """How long the page takes from an act to what its count has to say, by its own clock."""
    return page.evaluate(
        f"""async (shown) => {{
          const form = document.querySelector(".filters");
          const say = (field, value) => {{
            field.value = value;
            field.dispatchEvent(new Event("input", {{ bubbles: true }}));
          }};
          const start = performance.now();
          {act};
          while (document.querySelector(".count").textContent !== shown) {{
            await new Promise(requestAnimationFrame);
          }}
          return (performance.now() - start) / 1000;
        }}""",
        shown,
    )


def test_a_hundred_thousand_samples_are_opened_searched_and_filtered_at_once(big_site, chromium):
    (path,) = big_site.glob("boards/*/samples.html")
    with _opened(chromium, path) as page:
        cards, count = page.locator(".cards > li"), page.locator(".count")
        expect(count).to_have_text("100,000 of 100,000 samples")
        expect(cards).to_have_count(20)
        # To the end, which is read and drawn as fast as the beginning.
        start = time.monotonic()
        page.get_by_role("button", name="Last").click()
        expect(cards.first.locator("h3")).to_contain_text("big/v1:t9 · t9-9980")
        assert time.monotonic() - start < 1
        expect(page.locator(".pages input")).to_have_value("5000")
        seconds = {
            "an outcome": _seconds(
                page, 'say(form.outcome, "gained")', "25,000 of 100,000 samples"
            ),
            "a task": _seconds(page, 'say(form.task, "t3")', "2,500 of 100,000 samples"),
        }
        page.evaluate("document.querySelector('.filters').reset()")
        all_shown = "100,000 of 100,000 samples"
        _seconds(page, 'form.left.value = 0; form.right.value = 1; say(form.task, "")', all_shown)
        # The first search reads every piece, and shows what it has found on the way.
        page.locator(".filters input").focus()
        start = time.monotonic()
        page.locator(".filters input").fill("9番の町の9999丁目")
        expect(cards.first.locator("h3")).to_contain_text("t9-9999")
        seconds["the first search"] = time.monotonic() - start
        expect(count).to_have_text("1 of 100,000 samples")
        seconds["a search"] = _seconds(
            page, 'say(form.search, "郵便局")', "75,000 of 100,000 samples"
        )
        seconds["a rare word"] = _seconds(
            page, 'say(form.search, "1234丁目の")', "0 of 100,000 samples"
        )
        seconds["an id"] = _seconds(page, 'say(form.search, "T9-99")', "111 of 100,000 samples")
        print({what: round(measured, 2) for what, measured in seconds.items()})
        files = [one for one in big_site.rglob("*") if one.is_file()]
        print(f"{sum(one.stat().st_size for one in files) / 1e6:.0f} MB in {len(files)} files")
        first = seconds.pop("the first search")
        assert max(seconds.values()) < 1, seconds
        assert first < 10
        _seconds(page, 'say(form.search, "")', all_shown)
        assert page.locator("*").count() < 1_500


@pytest.fixture
def site(make_result, tmp_path) -> Path:
    """Two models, one of them tuned, on two splits; the texts hold markup."""
    scores = {"NLI": [1, 0, 1, 0, 1], "QA": [0, 1, 0.4, 1, 0], "RC": None}
    better = {"NLI": [1, 1, 1, 0, 1], "QA": [1, 1, 1, 1, 0], "RC": [1, 1, 0, 1, 1]}
    text = f"正解は東京{_MARKUP}"
    results = [
        make_result("majority", {**scores, "NLI": [1] * 5}),
        make_result("base", scores, text=text, changes={"model": {"name": f"base {_MARKUP}"}}),
        make_result("sft", better, text="正解", step=10),
        make_result("sft", better, text="正答", step=10, folder="dev", changes={"split": "dev"}),
    ]
    write_site(Material(results=tuple(results), left_out=(_MARKUP,)), epath.Path(tmp_path / "site"))
    return tmp_path / "site"


def test_from_a_leaderboard_by_keys_to_the_samples_behind_a_score(site, chromium):
    with _opened(chromium, site / "index.html") as page:
        board = page.locator(".board").first

        def models():
            return [text.strip()[:5] for text in board.locator("tbody th").all_text_contents()]

        assert models() == ["small", "base ", "major"]
        assert board.locator("th[aria-sort]").text_content().strip() == "AVR"
        board.get_by_role("button", name="QA").press("Enter")
        assert board.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
        board.get_by_role("button", name="QA").press("Space")
        assert models() == ["base ", "small", "major"]  # a floor is no model
        board.get_by_role("button", name="RC").press("Enter")
        assert models() == ["small", "base ", "major"]  # what is missing is not the worst
        board.locator("tbody tr").nth(1).locator("td a").nth(1).press("Enter")
        expect(page.locator(".count")).to_have_text("5 of 15 samples")
        assert page.locator(".cards h3").all_text_contents()[0].startswith("mini/v1:nli")
        assert page.locator("[name=left]").input_value() == "1"
        assert page.locator(".cards").evaluate("node => node === document.activeElement")
        page.keyboard.press("j")
        page.keyboard.press("j")
        expect(page.locator(".cards > li").nth(1)).to_be_focused()
        page.keyboard.press("k")
        expect(page.locator(".cards > li").first).to_be_focused()
        assert page.locator(".cards .text").nth(2).text_content() == f"正解は東京{_MARKUP}"
        assert page.locator(".cards img, .cards style, .cards script").count() == 0
        page.locator("[name=outcome]").select_option("wrong")
        expect(page.locator(".count")).to_have_text("2 of 15 samples")
        address = page.url
        page.goto("about:blank")
        page.goto(address)  # says all that was chosen
        expect(page.locator(".count")).to_have_text("2 of 15 samples")


def test_two_models_stand_side_by_side_with_what_separates_them_from_gold(site, chromium):
    (path,) = site.glob("boards/mini-v1-dev*/samples.html")
    with _opened(chromium, path) as page:
        expect(page.locator(".cards > li")).to_have_count(15)
        difference = page.locator(".difference").first
        assert difference.locator("del").all_text_contents() == ["答"]
        assert difference.locator("ins").all_text_contents() == ["解"]
        assert difference.locator("span").all_text_contents() == ["正"]
    (path,) = site.glob("boards/mini-v1-test*/samples.html")
    with _opened(chromium, path, "#left=1&right=2&outcome=gained&task=cnone") as page:
        expect(page.locator(".count")).to_have_text("3 of 15 samples")
        verdicts = page.locator(".cards > li").first.locator(".outcome").all_text_contents()
        assert verdicts == ["✗ wrong", "✓ right"]
        page.locator("[name=task]").select_option(label="mini/v1:rc")
        page.locator("[name=outcome]").select_option("all")
        expect(page.locator(".cards > li")).to_have_count(5)


def test_of_a_model_those_samples_are_shown_that_it_was_asked(make_result, tmp_path, chromium):
    few = make_result("base", {"NLI": [1, 0]})
    many = make_result("sft", {"NLI": [1, 0, 1], "QA": [1]}, step=10)
    write_site(Material(results=(few, many)), epath.Path(tmp_path / "site"))
    (path,) = (tmp_path / "site").glob("boards/*/samples.html")
    for address, count in (("#left=0&right=0", 2), ("#left=1&right=1", 4), ("", 4)):
        with _opened(chromium, path, address) as page:
            expect(page.locator(".count")).to_have_text(f"{count} of 4 samples")
            expect(page.locator(".cards > li")).to_have_count(count)


@pytest.mark.parametrize("width, scheme, locale", [(1280, "light", "en-US"), (400, "dark", "ja")])
def test_every_page_fits_its_width_and_speaks_its_language(site, chromium, width, scheme, locale):
    size = {"width": width, "height": 800}
    paths = [site / "index.html", *site.glob("models/small*.html")]
    paths += [next(site.glob("boards/mini-v1-test*/mini-v1-qa*.html"))]
    paths += [next(site.glob("boards/mini-v1-test*/samples.html"))]
    for path in paths:
        with _opened(chromium, path, viewport=size, color_scheme=scheme, locale=locale) as page:
            page.locator("html[lang]").wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert page.evaluate("document.documentElement.lang") == locale[:2]
            words = page.locator("footer p").first.text_content()
            assert ("信頼区間" in words) == (locale == "ja")
            page.locator("#language").click()
            assert page.evaluate("document.documentElement.lang") != locale[:2]
            page.reload()  # and remembers it
            assert page.evaluate("document.documentElement.lang") != locale[:2]


def test_a_piece_that_is_gone_is_named(site, chromium):
    (path,) = site.glob("boards/mini-v1-test*/samples.html")
    (path.parent / "pieces" / "answers-2-0-0.js").unlink()
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=chromium).new_page()
        page.goto(path.as_uri())
        expect(page.locator(".count")).to_contain_text("pieces/answers-2-0-0.js")
