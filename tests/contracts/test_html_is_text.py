"""Contract html_is_text: what models, questions and people wrote is shown, never run.

The page for annotators gets markup and scripts in every place where a text can stand; the fast form
reads what the server sends, the slow one what a browser makes of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.testclient import TestClient

from jaxllm.annotation.answers import Answers, Question
from jaxllm.annotation.app import make_app
from jaxllm.annotation.study import Settings, Study, create_study
from jaxllm.text.example import Message

_MARKUP = (
    "</p></script><script>window.wasRun = 1</script>"
    "<img src='http://evil.example/x.png' onerror='window.wasRun = 1'>"
    "<iframe srcdoc='<script>parent.wasRun = 1</script>'></iframe>"
    "<svg onload='window.wasRun = 1'><a href='javascript:window.wasRun = 1'>x</a></svg>"
    "<style>* { display: none }</style><!-- {{7*7}} ${7*7} $& &lt;b&gt; \u202e\u2066 ]]>"
)


def _marked(place: str) -> str:
    return f"{place}: {_MARKUP}"


@pytest.fixture(params=["rating", "pairwise"])
def study(request: pytest.FixtureRequest, tmp_path: Path) -> Study:
    turns = tuple(
        (
            Message(role="system", content=_marked(f"system {turn}")),
            Message(role="user", content=_marked(f"user {turn}")),
        )
        for turn in range(2)
    )
    return create_study(
        tmp_path / "study",
        Settings(
            kind=request.param,
            axes=("overall",),
            title=_marked("title"),
            instructions=_marked("instructions"),
        ),
        [Question(id=_marked("id"), turns=turns)],
        [
            Answers(
                model=_marked(f"model {n}"),
                turns={_marked("id"): (_marked(f"answer {n} 0"), _marked(f"answer {n} 1"))},
            )
            for n in range(2)
        ],
        references={_marked("id"): (_marked("reference 0"), _marked("reference 1"))},
    )


def test_html_is_text(study):
    client = TestClient(make_app(study), base_url="http://127.0.0.1")
    client.headers["origin"] = "http://127.0.0.1"
    code = study.add_annotator(_marked("name"))
    client.post("/api/login", json={"code": code}).raise_for_status()
    about = client.get("/api/study")
    client.headers["x-session-token"] = about.json()["token"]
    client.put("/api/tasks/2/comment", json={"text": _marked("comment")}).raise_for_status()
    task = client.get("/api/tasks/2")
    assert about.json()["instructions"] == _marked("instructions")
    assert task.json()["comment"] == _marked("comment")
    assert task.json()["turns"][0]["reference"] == _marked("reference 0")
    for reply in (about, task):
        # A browser that is sent there by itself shows JSON, and would run nothing if it did not.
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self'" in reply.headers["content-security-policy"]
    # No text of the study is written into the page itself.
    assert "wasRun" not in client.get("/").text


@pytest.fixture
def url(study: Study) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(make_app(study), port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.slow
def test_html_is_text_in_a_browser(study, url, chromium):
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    went_wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: went_wrong.append(str(error)))
        page.on("dialog", lambda dialog: went_wrong.append(dialog.message))
        page.goto(url)
        page.fill("#code", study.add_annotator(_marked("name")))
        page.keyboard.press("Enter")
        page.locator("#instructions:visible").wait_for()
        assert page.locator("#instructions .own").text_content() == _marked("instructions")
        assert page.locator("header .title").text_content() == _marked("title")
        assert page.locator("header .who").text_content() == _marked("name")
        page.click("#begin")
        page.fill("#comment", _marked("comment"))
        page.click("#skip")
        page.locator("#saved.saved").wait_for()
        page.locator("details.before summary").wait_for()
        for details in page.locator("details summary").all():
            details.click()
        shown = set(page.locator(".conversation .text").all_text_contents())
        assert {_marked(f"{role} {turn}") for role in ("user", "system") for turn in (0, 1)} < shown
        assert _marked("reference 1") in shown
        answers = {_marked(f"answer {n} {turn}") for n in (0, 1) for turn in (0, 1)}
        assert len(answers & shown) == (2 if study.settings.kind == "rating" else 4)
        assert page.locator(".conversation .text").first.is_visible()
        page.click("#previous")
        page.get_by_text("1 / ", exact=False).first.wait_for()
        assert page.locator("#comment").input_value() == _marked("comment")
        # Nothing of it became an element, ran, or asked for anything.
        assert page.locator("iframe, img, svg, style, a, script:not([src])").count() == 0
        assert page.evaluate("window.wasRun") is None
        # And had the page's own script made markup of it, the browser would have refused.
        refused = "(() => { try { document.body.innerHTML = '<b>x</b>' } catch { return true } })()"
        assert page.evaluate(refused) is True
        browser.close()
    assert went_wrong == []
    assert {address for address in asked if not address.startswith(url + "/")} == set()
