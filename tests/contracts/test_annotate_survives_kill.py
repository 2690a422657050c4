"""Contract annotate_survives_kill: what an annotator was told is saved, or typed, is never lost.

The server is killed with -9 while people rate, and started again; in the slow form they sit before
real browsers, one of which is closed half-way.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from jaxllm.annotation.export import export_records
from jaxllm.annotation.study import Study
from jaxllm.cli import main

_NAMES = ("aiko", "ben", "chika")


class _Server:
    """`jaxllm annotate serve` in a process of its own, always on the same port."""

    def __init__(self, study: Path) -> None:
        self._study = study
        self._port = 0
        self.start()

    def start(self) -> None:
        command = ("annotate", "serve", str(self._study), f"--port={self._port}")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jaxllm", *command], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        (self.url,) = re.findall(r"http://\S+", self._process.stdout.readline())
        self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        assert self._process.poll() is None
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study of 20 answers, five axes each."""
    questions = [{"question_id": n, "turns": ["一問目", "二問目"]} for n in range(5)]
    files: dict[str, list[dict[str, Any]]] = {"questions": questions}
    for model in ("base", "sft"):
        choices = [{"turns": [f"{model}一", f"{model}二"]}]
        files[model] = [{"question_id": n, "model_id": model, "choices": choices} for n in range(5)]
    for name, records in files.items():
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    folder = tmp_path / "study"
    arguments = [f"--answers={tmp_path / model}.jsonl" for model in ("base", "sft")]
    questions_flag = f"--questions={tmp_path / 'questions.jsonl'}"
    assert main(["annotate", "new", str(folder), questions_flag, *arguments]) == 0
    return folder


@pytest.fixture
def codes(study: Path) -> dict[str, str]:
    opened = Study(study)
    return {name: opened.add_annotator(name) for name in _NAMES}


@pytest.fixture
def server(study: Path) -> Iterator[_Server]:
    running = _Server(study)
    yield running
    running.kill()


def _kept(study: Path) -> dict[tuple[str, int, str], int | None]:
    """Every rating in the file, by annotator, position and axis."""
    return {
        (record["annotator"], record["position"], axis): value
        for record in export_records(Study(study))
        for axis, value in record["ratings"].items()
    }


def _rate(url: str, name: str, code: str, acknowledged: dict[tuple[str, int, str], int]) -> None:
    """Rates on from the first task unrated, until the server is gone or nothing is left."""
    with httpx2.Client(base_url=url, headers={"origin": url}) as http:
        try:
            http.post("/api/login", json={"code": code}).raise_for_status()
            about = http.get("/api/study").json()
            http.headers["x-session-token"] = about["token"]
            position = about["progress"]["next"]
            while position is not None:
                for place, axis in enumerate(about["axes"]):
                    value = (position + place) % 5 + 1
                    path = f"/api/tasks/{position}/ratings/{axis}"
                    reply = http.put(path, json={"value": str(value)}).raise_for_status()
                    acknowledged[name, position, axis] = value
                position = reply.json()["next"]
        except httpx2.TransportError:
            return


def test_annotate_survives_kill(study, codes, server):
    acknowledged: dict[tuple[str, int, str], int] = {}

    def all_at_once() -> list[threading.Thread]:
        people = [
            threading.Thread(target=_rate, args=(server.url, name, code, acknowledged))
            for name, code in codes.items()
        ]
        for person in people:
            person.start()
        return people

    people = all_at_once()
    while len(acknowledged) < 60:
        time.sleep(0.01)
    server.kill()
    for person in people:
        person.join()
    kept = _kept(study)
    assert acknowledged.items() <= kept.items()
    # At most the one rating of each that was on its way is there without anybody having been told.
    assert len(kept) - len(acknowledged) <= len(_NAMES)
    assert len(kept) < 3 * 20 * 5, "it was killed too late"

    server.start()
    for person in all_at_once():
        person.join()
    assert _kept(study) == acknowledged
    assert len(acknowledged) == 3 * 20 * 5


class _Annotator:
    """One person before a browser: presses keys, and knows what was pressed."""

    def __init__(self, playwright: Any, chromium: str, profile: Path, url: str, code: str) -> None:
        self._launch = lambda: playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, locale="ja-JP"
        )
        self._url = url
        self._code = code
        self.pressed: dict[tuple[int, int], str] = {}  # (position, axis from 0) to key
        self.comments: dict[int, str] = {}

    async def sit_down(self) -> None:
        self._context = await self._launch()
        self._page = self._context.pages[0]
        await self._page.goto(self._url)
        await self._page.locator("#code, header:visible").first.wait_for()
        if await self._page.locator("#login").is_visible():
            await self._page.fill("#code", self._code)
            await self._page.keyboard.press("Enter")
        await self._page.locator("#instructions:visible, #task:visible").first.wait_for()
        if await self._page.locator("#instructions").is_visible():
            await self._page.click("#begin")
        await self._page.locator("#task:visible").wait_for()

    async def position(self) -> int:
        return int((await self._page.title()).partition(" / ")[0])

    async def press(self, key: str, position: int, axis: int) -> None:
        await self._page.keyboard.press(key)
        self.pressed[position, axis] = key

    async def rate(self, num_tasks: int) -> None:
        """Rates all axes of so many tasks, however long the server is away."""
        for _ in range(num_tasks):
            position = await self.position()
            for axis in range(5):
                await self.press(str((position * 3 + axis) % 6), position, axis)
            if position % 4 == 0:
                self.comments[position] = f"覚え書き {position}"
                await self._page.fill("#comment", self.comments[position])
                await self._page.locator("#comment").blur()
            await self._page.locator("#next").press("Enter")
            await self._page.get_by_text(f"{position + 1} / 20", exact=True).wait_for()

    async def until_saved(self) -> None:
        await self._page.locator("#saved.saved").wait_for()

    async def sees_that_the_server_is_away(self) -> None:
        await self._page.locator("#offline:visible").wait_for()

    async def go_away(self) -> None:
        await self._context.close()


@pytest.mark.slow
def test_annotate_survives_kill_in_three_browsers(study, codes, server, chromium, tmp_path):
    from playwright.async_api import async_playwright

    async def story() -> dict[str, _Annotator]:
        async with async_playwright() as playwright:
            people = {
                name: _Annotator(playwright, chromium, tmp_path / name, server.url, code)
                for name, code in codes.items()
            }
            aiko, ben, chika = people.values()
            await asyncio.gather(*(person.sit_down() for person in people.values()))
            # All three rate at once; the server is killed under them, and comes back.
            at_work = [asyncio.create_task(person.rate(6)) for person in people.values()]
            while min(len(person.pressed) for person in people.values()) < 12:
                await asyncio.sleep(0.01)
            server.kill()
            await asyncio.sleep(1)
            server.start()
            await asyncio.gather(*at_work)
            await asyncio.gather(*(person.until_saved() for person in people.values()))
            # Ben rates two axes while the server is away, closes the browser, and comes back.
            server.kill()
            position = await ben.position()
            for axis in range(2):
                await ben.press("4", position, axis)
            await ben.sees_that_the_server_is_away()
            await ben.go_away()
            server.start()
            await ben.sit_down()
            assert await ben.position() == position
            await ben.until_saved()
            assert await ben._page.locator(".panel input:checked").count() == 2
            await asyncio.gather(aiko.rate(3), chika.rate(3))
            for axis in range(2, 5):
                await ben.press("2", position, axis)
            await asyncio.gather(*(person.until_saved() for person in people.values()))
            for person in people.values():
                await person.go_away()
            return people

    people = asyncio.run(story())
    opened = Study(study)
    axes = opened.settings.axes
    pressed = {
        (name, position, axes[axis]): None if key == "0" else int(key)
        for name, person in people.items()
        for (position, axis), key in person.pressed.items()
    }
    assert _kept(study) == pressed
    assert len(pressed) == (9 + 7 + 9) * 5
    comments = {
        (record["annotator"], record["position"]): record["comment"]
        for record in export_records(opened)
        if record["comment"]
    }
    assert comments == {
        (name, position): text
        for name, person in people.items()
        for position, text in person.comments.items()
    }
