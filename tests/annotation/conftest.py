"""Small studies, and clients that are logged in to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from jaxllm.annotation.answers import Answers, Question
from jaxllm.annotation.app import make_app
from jaxllm.annotation.scales import DEFAULT_AXES, Kind
from jaxllm.annotation.study import Settings, Study, create_study
from jaxllm.text.example import Message

# Names that nothing else on the page could hold.
MODELS = ("zebra-7b", "quokka-13b")
ORIGIN = "http://127.0.0.1:8765"


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Study]:
    """A study of questions q0, q1, ... of one turn or more, answered by each model."""

    def make(
        kind: Kind = "rating",
        *,
        num_questions: int = 3,
        num_turns: int = 1,
        models: Sequence[str] = MODELS,
        folder: str = "study",
        references: dict[str, Sequence[str]] | None = None,
        **settings: Any,
    ) -> Study:
        questions = [
            Question(
                id=f"q{index}",
                turns=tuple(
                    (Message(role="user", content=f"質問{index}の{turn}"),)
                    for turn in range(num_turns)
                ),
            )
            for index in range(num_questions)
        ]
        answers = [
            Answers(
                model=model,
                turns={
                    question.id: tuple(f"答{place}：{question.id}、{n}" for n in range(num_turns))
                    for question in questions
                },
            )
            for place, model in enumerate(models)
        ]
        settings.setdefault("axes", DEFAULT_AXES[kind])
        return create_study(
            tmp_path / folder,
            Settings(kind=kind, **settings),
            questions,
            answers,
            references=references,
        )

    return make


class Visitor:
    """One browser's requests to the app."""

    def __init__(self, study: Study) -> None:
        self.http = TestClient(make_app(study), base_url=ORIGIN, raise_server_exceptions=True)
        self.http.headers["origin"] = ORIGIN

    def log_in(self, code: str) -> dict[str, Any]:
        reply = self.http.post("/api/login", json={"code": code})
        assert reply.status_code == 200, reply.text
        about = self.http.get("/api/study").json()
        self.http.headers["x-session-token"] = about["token"]
        return about

    def task(self, position: int) -> dict[str, Any]:
        return self.http.get(f"/api/tasks/{position}").json()

    def rate(self, position: int, axis: str, value: str) -> Any:
        return self.http.put(f"/api/tasks/{position}/ratings/{axis}", json={"value": value})

    def comment(self, position: int, text: str) -> Any:
        return self.http.put(f"/api/tasks/{position}/comment", json={"text": text})


@pytest.fixture
def visit() -> Callable[..., Visitor]:
    """A visitor of a study, logged in when an annotator's code is given."""

    def make(study: Study, code: str = "") -> Visitor:
        visitor = Visitor(study)
        if code:
            visitor.log_in(code)
        return visitor

    return make


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    """A JSONL file of records, or of lines that are texts."""

    def write(name: str, *lines: Any) -> Path:
        path = tmp_path / name
        texts = [
            line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)
            for line in lines
        ]
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")
        return path

    return write
