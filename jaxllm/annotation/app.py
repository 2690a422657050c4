"""The web app: one page, and the few requests it makes, each about the annotator alone.

    POST /api/login     {"code"}            who this is; sets the session's cookie
    POST /api/logout
    GET  /api/study                         what is asked, and how far the annotator is
    GET  /api/tasks/7                       the seventh task in the annotator's own order
    PUT  /api/tasks/7/ratings/AXIS {"value"}
    PUT  /api/tasks/7/comment      {"text"}

The requests about tasks carry the session's token, which /api/study tells, as X-Session-Token: a
page that was left open does not write into the session of somebody who logged in after it.

No answer holds a model's name, an id of an answer, or anything that another annotator said. What
models wrote travels as JSON and is shown as text only. A rating is on the disk before the reply.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import secrets
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from jaxllm.annotation.guard import LOOPBACK, guards
from jaxllm.annotation.rating import MAX_COMMENT, NoSuchTask, comment, open_task, progress, rate
from jaxllm.annotation.scales import CANNOT_JUDGE, VALUES
from jaxllm.annotation.study import Annotator, Study

_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/task.js": ("task.js", "text/javascript"),
    "/server.js": ("server.js", "text/javascript"),
    "/keys.js": ("keys.js", "text/javascript"),
    "/texts.json": ("texts.json", "application/json"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_MAX_BODY = 64 * 1024  # bytes; a comment of 5,000 characters has at most 30,000


def make_app(study: Study, *, hosts: Sequence[str] = LOOPBACK) -> Starlette:
    """The app of a study, answering requests that call it by one of these host names."""

    async def log_in(request: Request) -> Response:
        annotator = await run_in_threadpool(study.log_in, await _text(request, "code"))
        if annotator is None:
            raise HTTPException(401, "no such code")
        request.session.clear()
        request.session.update(
            annotator=annotator.id,
            code_number=annotator.code_number,
            token=secrets.token_urlsafe(16),
        )
        return JSONResponse({"annotator": annotator.name})

    async def log_out(request: Request) -> Response:
        request.session.clear()
        return JSONResponse({})

    async def about(request: Request) -> Response:
        annotator = await _logged_in(request)
        done = await run_in_threadpool(progress, study, annotator)
        settings = study.settings
        return JSONResponse(
            {
                "token": request.session["token"],
                "study": study.id,
                "title": settings.title,
                "instructions": settings.instructions,
                "kind": settings.kind,
                "axes": settings.axes,
                "values": VALUES[settings.kind],
                "cannot_judge": CANNOT_JUDGE,
                "max_comment": MAX_COMMENT,
                "annotator": annotator.name,
                "progress": dataclasses.asdict(done),
            }
        )

    async def show_task(request: Request) -> Response:
        return await _of_task(request, open_task)

    async def put_rating(request: Request) -> Response:
        value = await _text(request, "value")
        return await _of_task(request, rate, request.path_params["axis"], value)

    async def put_comment(request: Request) -> Response:
        return await _of_task(request, comment, await _text(request, "text"))

    async def _of_task(request: Request, action: Any, *values: str) -> Response:
        annotator = await _logged_in(request)
        if request.headers.get("x-session-token") != request.session["token"]:
            raise HTTPException(401, "this page is of another session")
        position = _position(request.path_params["position"])
        try:
            said = await run_in_threadpool(action, study, annotator, position, *values)
        except NoSuchTask:
            raise HTTPException(404, "no such task") from None
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        return JSONResponse(said if isinstance(said, dict) else dataclasses.asdict(said))

    async def _logged_in(request: Request) -> Annotator:
        session = request.session
        if session:
            annotator = await run_in_threadpool(
                study.annotator, session["annotator"], session["code_number"]
            )
            if annotator is not None:
                return annotator
        raise HTTPException(401, "log in first")

    task = "/api/tasks/{position}"
    return Starlette(
        routes=[
            *(Route(path, _file(*file)) for path, file in _FILES.items()),
            Route("/api/login", log_in, methods=["POST"]),
            Route("/api/logout", log_out, methods=["POST"]),
            Route("/api/study", about),
            Route(task, show_task),
            Route(task + "/ratings/{axis}", put_rating, methods=["PUT"]),
            Route(task + "/comment", put_comment, methods=["PUT"]),
        ],
        # Two studies on one machine share its cookies: those know no ports.
        middleware=guards(hosts, secret=study.secret, cookie=f"jaxllm_annotate_{study.id}"),
        exception_handlers={HTTPException: _error},
    )


def _file(name: str, kind: str) -> Any:
    path = importlib.resources.files("jaxllm.annotation") / "page" / name
    content = path.read_text(encoding="utf-8")

    async def send(request: Request) -> Response:
        return Response(content, media_type=kind)

    return send


def _position(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise HTTPException(404, "no such task")
    return int(text)


async def _text(request: Request, field: str) -> str:
    """The one text of a JSON body."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise HTTPException(413, "too long")
    try:
        text = json.loads(body)[field]
    except (ValueError, TypeError, LookupError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise HTTPException(400, f'wants {{"{field}": "..."}}')
    return text


async def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code)
