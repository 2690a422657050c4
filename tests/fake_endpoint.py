"""A server on this machine that speaks OpenAI's chat protocol, well or badly."""

from __future__ import annotations

import hashlib
import http.server
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

Answer = Callable[[dict[str, Any]], str]


class FakeEndpoint:
    """Answers `answer(body)`; `trouble` says how often which kind of trouble comes before it.

    The kinds: "busy" (429), "broken" (500), "dropped" (the connection ends without a word), "cut"
    (it ends within the answer), "no_json", "no_choices", and "slow" (which is answered all the
    same). `delay` is the longest an answer takes; it is drawn evenly, so that answers overtake
    each other.
    """

    def __init__(self) -> None:
        self.answer: Answer = lambda body: "Rating: [[5]]"
        self.trouble: dict[str, float] = {}
        self.status = 200  # of every answer
        self.message = ""  # of an error
        self.delay = 0.0
        self.tells_usage = True
        self.bodies: list[dict[str, Any]] = []  # of all requests, as they came
        self.answered: list[dict[str, Any]] = []  # of those that got a whole answer
        self.keys: list[str] = []  # what stood in the Authorization header
        self.most_at_once = 0
        self._at_once = 0
        self._draws = random.Random(0)
        self._lock = threading.Lock()

    def __enter__(self) -> FakeEndpoint:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._serve(self)

            def log_message(self, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *args: object) -> None:
                pass  # a client that was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.bodies.append(body)
            self.keys.append(handler.headers.get("Authorization", ""))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            kind = self._kind()
            pause = self._draws.random() * self.delay
        try:
            self._reply(handler, body, kind, pause)
        finally:
            with self._lock:
                self._at_once -= 1

    def _kind(self) -> str:
        draw = self._draws.random()
        for kind, share in self.trouble.items():
            if draw < share:
                return kind
            draw -= share
        return "fine"

    def _reply(
        self, handler: http.server.BaseHTTPRequestHandler, body: Any, kind: str, pause: float
    ) -> None:
        time.sleep(pause + (10 * self.delay if kind == "slow" else 0.0))
        if kind == "dropped":
            handler.close_connection = True
            return
        if kind in ("busy", "broken") or self.status != 200:
            status = {"busy": 429, "broken": 500}.get(kind, self.status)
            error = json.dumps({"error": {"message": self.message or kind}}).encode()
            self._send(handler, status, error, {"retry-after-ms": "5"})
            return
        if kind == "no_json":
            self._send(handler, 200, b"<html>bad gateway</html>")
            return
        record = self._completion(body)
        if kind == "no_choices":
            record["choices"] = []
        whole = json.dumps(record).encode()
        if kind == "cut":
            self._send(handler, 200, whole, cut=len(whole) // 2)
            return
        self._send(handler, 200, whole)
        if kind != "no_choices":
            with self._lock:
                self.answered.append(body)

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        text = self.answer(body)
        record: dict[str, Any] = {
            "id": hashlib.sha256(json.dumps(body).encode()).hexdigest()[:12],
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text},
                }
            ],
        }
        if self.tells_usage:
            words = sum(len(message["content"].split()) for message in body["messages"])
            record["usage"] = {
                "prompt_tokens": words,
                "completion_tokens": len(text.split()),
                "total_tokens": words + len(text.split()),
            }
        return record

    def _send(
        self,
        handler: http.server.BaseHTTPRequestHandler,
        status: int,
        content: bytes,
        headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content[:cut])
        if cut is not None:
            handler.close_connection = True
