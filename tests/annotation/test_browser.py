"""The page in a real Chromium: by keys alone, in two languages, narrow and wide, light and dark."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from jaxllm.annotation.app import make_app
from jaxllm.annotation.export import export_records
from jaxllm.annotation.study import Study

pytestmark = pytest.mark.slow

expect.set_options(timeout=60_000)  # milliseconds: the machine may have other work
_WIDE, _NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium)
        yield running
        running.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Study], str]]:
    """The address of a study that is served from a thread."""
    running = []

    def start(study: Study) -> str:
        config = uvicorn.Config(make_app(study), port=0, log_level="error", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive()
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join()


def _log_in(page: Page, url: str, code: str) -> None:
    page.goto(url)
    page.fill("#code", code)
    page.keyboard.press("Enter")
    expect(page.locator("header")).to_be_visible()


def _begin(page: Page) -> None:
    page.click("#begin")
    expect(page.locator("#task")).to_be_visible()


def _ratings(study: Study) -> dict[int, dict[str, Any]]:
    return {record["position"]: record["ratings"] for record in export_records(study)}


@pytest.fixture
def open_page(browser: Browser) -> Callable[..., Page]:
    def make(**context: Any) -> Page:
        page = browser.new_context(**{"viewport": _WIDE, "locale": "en-US"} | context).new_page()
        page.set_default_timeout(60_000)
        return page

    return make


def test_everything_is_rated_by_keys_alone(make_study, serve, open_page):
    study = make_study(num_questions=2, axes=("fluency", "relevance", "overall"))
    page = open_page()
    _log_in(page, serve(study), study.add_annotator("aiko"))
    press = page.keyboard.press
    expect(page.locator("#instructions h1")).to_be_focused()
    page.locator("#begin").press("Enter")
    expect(page).to_have_title("1 / 4")
    # Enter goes to what is missing, and not on.
    press("4")
    press("Enter")
    expect(page.locator(".missing")).to_have_text("Not rated yet: Relevance · Overall")
    expect(page.locator("fieldset.current legend")).to_contain_text("Relevance")
    press("5")
    press("0")
    expect(page.locator("#next")).to_be_focused()
    press("c")
    page.keyboard.type("5 is a number, n is a letter")
    press("Escape")
    press("Enter")
    expect(page).to_have_title("2 / 4")
    # Arrows choose within an axis, as in any group of radio buttons; Tab goes to the next one.
    page.locator("fieldset").first.locator("input").first.focus()
    press("ArrowRight")
    press("Tab")
    expect(page.locator("fieldset.current legend")).to_contain_text("Relevance")
    press("Space")
    press("n")
    expect(page).to_have_title("3 / 4")
    press("p")
    expect(page).to_have_title("2 / 4")
    expect(page.locator("fieldset input:checked")).to_have_count(2)
    # Full-width figures are what an input method sends.
    page.evaluate(
        "document.dispatchEvent(new KeyboardEvent('keydown', {key: '３', bubbles: true}))"
    )
    expect(page.locator("fieldset input:checked")).to_have_count(3)
    for position in (3, 4):
        page.locator("#task h1").focus()
        press("n")
        expect(page).to_have_title(f"{position} / 4")
        for key in ("1", "2", "3"):
            press(key)
    press("Enter")
    expect(page.locator("#finished h1")).to_be_focused()
    expect(page.locator("#finished .thanks")).to_contain_text("All your ratings are saved")
    expect(page.locator("#saved")).to_have_class("saved")
    first, second, third, fourth = (_ratings(study)[position] for position in (1, 2, 3, 4))
    assert first == {"fluency": 4, "relevance": 5, "overall": None}
    assert second == {"fluency": 2, "relevance": 1, "overall": 3}
    assert third == fourth == {"fluency": 1, "relevance": 2, "overall": 3}
    assert export_records(study)[0]["comment"] == "5 is a number, n is a letter"


def test_two_answers_are_compared_and_what_was_skipped_is_found_again(make_study, serve, open_page):
    study = make_study("pairwise", num_questions=3)
    page = open_page(locale="ja-JP")
    _log_in(page, serve(study), study.add_annotator("aiko"))
    _begin(page)
    for title, key in (("1 / 3", "1"), ("2 / 3", None), ("3 / 3", "2")):
        expect(page).to_have_title(title)
        expect(page.locator(".answer")).to_have_count(2)
        page.keyboard.press(key or "n")
        if key:
            page.keyboard.press("Enter")
    expect(page.locator("#finished .thanks")).to_have_text(
        "まだ評価していないものが 1 件あります。"
    )
    page.keyboard.press("u")
    expect(page).to_have_title("2 / 3")
    page.get_by_role("radio", name="B が良い").check()
    page.get_by_role("button", name="次へ").click()
    expect(page).to_have_title("3 / 3")
    expect(page.locator(".how-far span")).to_have_text("3 件のうち 3 件が完了")
    assert [ratings["overall"] for ratings in _ratings(study).values()] == ["a", "b", "tie"]


def test_single_keys_can_be_switched_off(make_study, serve, open_page):
    study = make_study()
    page = open_page()
    _log_in(page, serve(study), study.add_annotator("aiko"))
    _begin(page)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    for key in ("3", "n", "?"):
        page.keyboard.press(key)
    expect(page).to_have_title("1 / 6")
    expect(page.locator("#keys")).to_be_hidden()
    page.reload()
    _begin(page)
    page.keyboard.press("3")
    expect(page.locator("input:checked:not(#keys-on)")).to_have_count(0)
    page.click("#show-keys")
    page.check("#keys-on")
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("3")
    expect(page.locator("fieldset input:checked")).to_have_count(1)


def test_the_language_changes_at_once_and_is_remembered(make_study, serve, open_page):
    study = make_study()
    page = open_page(locale="ja-JP")
    _log_in(page, serve(study), study.add_annotator("aiko"))
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    _begin(page)
    page.keyboard.press("4")
    page.fill("#comment", "書きかけ")
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("legend").first).to_contain_text("Detail")
    expect(page.locator("#comment")).to_have_value("書きかけ")
    expect(page.locator("fieldset input:checked")).to_have_count(1)
    page.reload()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def test_one_goes_on_where_one_left_with_what_was_said_and_typed(make_study, serve, open_page):
    study = make_study(axes=("overall",))
    url, code = serve(study), study.add_annotator("aiko")
    page = open_page()
    _log_in(page, url, code)
    _begin(page)
    for position in (2, 3):
        page.keyboard.press("5")
        page.keyboard.press("Enter")
        expect(page).to_have_title(f"{position} / 6")
    page.fill("#comment", "unfinished")
    page.close(run_before_unload=True)
    other = open_page()
    _log_in(other, url, code)
    expect(other).to_have_title("3 / 6")
    expect(other.locator("#comment")).to_have_value("unfinished")
    other.keyboard.press("p")
    expect(other.locator("fieldset input:checked")).to_have_value("5")


def test_a_tab_left_open_says_so_when_somebody_else_has_logged_in(make_study, serve, open_page):
    study = make_study(axes=("overall",))
    codes = {name: study.add_annotator(name) for name in ("aiko", "ben")}
    url = serve(study)
    aikos = open_page()
    _log_in(aikos, url, codes["aiko"])
    _begin(aikos)
    bens = aikos.context.new_page()
    bens.goto(url)
    bens.click("#log-out")
    bens.fill("#code", codes["ben"])
    bens.keyboard.press("Enter")
    expect(bens.locator("header .who")).to_have_text("ben")
    aikos.keyboard.press("5")
    expect(aikos.locator("#login .wrong")).to_have_text("Please type your code again.")
    assert export_records(study) == []
    # What aiko pressed is not lost: it is saved when aiko is back.
    aikos.fill("#code", codes["aiko"])
    aikos.keyboard.press("Enter")
    expect(aikos.locator("#saved")).to_have_class("saved")
    (record,) = export_records(study)
    assert (record["annotator"], record["ratings"]) == ("aiko", {"overall": 5})


def test_a_wrong_code_is_told(make_study, serve, open_page):
    page = open_page()
    page.goto(serve(make_study()))
    page.fill("#code", "AAAA-BBBB-CCCC")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="There is no such code.")).to_be_visible()
    expect(page.locator("#code")).to_be_focused()


@pytest.mark.parametrize("kind", ["rating", "pairwise"])
def test_it_fits_every_screen_and_can_be_read(make_study, serve, open_page, kind):
    study = make_study(kind, num_turns=2, title="長い題" * 20, models=["a", "b"])
    url, code = serve(study), study.add_annotator("名前" * 20)
    went_wrong: list[str] = []
    for locale in ("ja-JP", "en-US"):
        for viewport in (_WIDE, _NARROW):
            for scheme in ("light", "dark"):
                page = open_page(locale=locale, viewport=viewport, color_scheme=scheme)
                page.on("pageerror", lambda error: went_wrong.append(str(error)))
                _log_in(page, url, code)
                for show, title in ((None, "長い題"), ("#begin", "1 / "), ("#skip", "2 / ")):
                    if show:
                        page.click(show)
                    expect(page).to_have_title(re.compile(f"^{title}"))
                    overflow = "document.documentElement.scrollWidth - innerWidth"
                    assert page.evaluate(overflow) <= 0, (locale, viewport, show)
                    assert _weakest_contrast(page) >= 4.5, (locale, scheme, show)
                for control in page.locator("main:visible :is(input, textarea)").all():
                    name = control.evaluate("n => n.ariaLabel || n.labels[0]?.textContent")
                    assert re.search(r"\w", name)
                page.keyboard.press("Tab")
                page.locator("fieldset input").first.focus()
                ring = "getComputedStyle(document.activeElement.parentElement).outlineStyle"
                assert page.evaluate(ring) == "solid"
                page.close()
    assert went_wrong == []


def _weakest_contrast(page: Page) -> float:
    """The lowest contrast of any visible text with what lies behind it (WCAG 2, 1.4.3)."""
    return page.evaluate(
        """() => {
        const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
        const luminance = (colour) => {
          const [r, g, b] = numbers(colour).map((part) => {
            const share = part / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
          });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const behind = (node) => {
          for (let up = node; up; up = up.parentElement) {
            const colour = getComputedStyle(up).backgroundColor;
            if ((numbers(colour)[3] ?? 1) === 1) return colour;
          }
          return "rgb(255, 255, 255)";
        };
        const contrasts = [...document.querySelectorAll("body *")]
          .filter((node) => node.checkVisibility() && !node.disabled)
          .filter((node) => [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim()))
          .map((node) => {
            const both = [getComputedStyle(node).color, behind(node)].map(luminance);
            return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
          });
        return Math.min(...contrasts);
      }"""
    )
