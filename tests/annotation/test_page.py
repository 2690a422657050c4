"""What can be known of the page without a browser; test_browser.py has one."""

from __future__ import annotations

import importlib.resources
import json
import re

import pytest

from jaxllm.annotation.scales import AXES, CANNOT_JUDGE, VALUES

_PAGE = importlib.resources.files("jaxllm.annotation") / "page"
_FILES = {file.name: file.read_text(encoding="utf-8") for file in _PAGE.iterdir()}
_TEXTS = json.loads(_FILES["texts.json"])


def test_both_languages_say_the_same_things():
    japanese, english = _TEXTS["ja"], _TEXTS["en"]
    assert list(japanese) == list(english)
    for key, text in japanese.items():
        assert type(text) is type(english[key])
        assert text
        holes = [set(re.findall(r"\{\w+\}", str(texts[key]))) for texts in (japanese, english)]
        assert holes[0] == holes[1], key


def test_every_text_that_is_asked_for_is_there_and_none_is_left_over():
    asked = set(re.findall(r'data-text="(\w+)"', _FILES["page.html"]))
    for name in ("page.js", "task.js"):
        asked |= set(re.findall(r'say\("(\w+)"', _FILES[name]))
        asked |= set(re.findall(r'"((?:key|answer)_\w+)"', _FILES[name]))
    asked |= {"general", "answer", "saving", "saved", "refused", "some_left", "all_done"}
    asked |= {f"role_{role}" for role in ("system", "user", "assistant")}
    asked |= {f"{kind}_intro" for kind in VALUES}
    asked |= {f"value_{value}" for values in VALUES.values() for value in (*values, CANNOT_JUDGE)}
    asked |= {text for axis in AXES for text in (axis, f"{axis}_about")}
    assert asked == set(_TEXTS["ja"])


@pytest.mark.parametrize("name", sorted(name for name in _FILES if name.endswith(".js")))
def test_scripts_make_no_markup_from_texts(name):
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc"
    )
    assert not re.search(forbidden, _FILES[name])


def test_the_page_asks_nobody_else():
    for name, content in _FILES.items():
        found = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", content))
        assert found <= {"http://www.w3.org"}, name  # the name space of SVG
    assert not re.search(
        r"<script(?! type=\"module\" src=\"/)|style=|\bon\w+=", _FILES["page.html"]
    )
