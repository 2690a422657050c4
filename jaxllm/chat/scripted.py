"""Replies by rule instead of by model: for tests, and to try a config that would cost money.

A script is a JSONL file of rules `{"contains": TEXT, "reply": TEXT}`; the first whose text stands
in the last message answers it, and one without `contains` answers everything. `{"error": TEXT}` in
place of `reply` is a call that fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from jaxllm.chat.messages import ChatReply, ChatRequest, OnReplies, Usage
from jaxllm.errors import UserError


class ScriptedChat:
    """A `ChatModel` that follows a script.

    Raises:
        UserError: there is no such file, or a line of it is no rule.
    """

    repeats = True

    def __init__(self, script: str | os.PathLike[str]) -> None:
        path = epath.Path(script)
        if not path.is_file():
            raise UserError(f"there is no script {path}")
        content = path.read_bytes()
        self._rules = []
        for number, line in enumerate(content.split(b"\n"), start=1):
            if line.strip():
                self._rules.append(_rule(line, f"{path}, line {number}"))
        self.name = path.stem
        self.identity = f"script {hashlib.sha256(content).hexdigest()}"
        self.provenance: Mapping[str, Any] = {"type": "scripted", "model": self.name}

    def reply(
        self, requests: Sequence[ChatRequest], on_replies: OnReplies, *, before: Usage
    ) -> None:
        """As `ChatModel.reply`; a token is taken to be a word."""
        del before
        for index, request in enumerate(requests):
            on_replies({index: self._answer(request)})

    def cost(self, usage: Usage) -> None:
        """Nothing is paid for."""

    def _answer(self, request: ChatRequest) -> ChatReply:
        asked = request.messages[-1].content
        for rule in self._rules:
            if rule.get("contains", "") not in asked:
                continue
            if "error" in rule:
                return ChatReply(error=rule["error"])
            return ChatReply(
                text=rule["reply"],
                finish_reason="stop",
                prompt_tokens=sum(len(message.content.split()) for message in request.messages),
                completion_tokens=len(rule["reply"].split()),
                made_at=time.time(),
            )
        return ChatReply(error="no rule of the script answers this")


def _rule(line: bytes, where: str) -> dict[str, str]:
    try:
        rule = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not JSON ({error})") from error
    fields = rule if isinstance(rule, dict) else {}
    if len(fields.keys() & {"reply", "error"}) != 1 or fields.keys() - {
        "contains",
        "reply",
        "error",
    }:
        raise UserError(f'{where}: a rule is {{"contains": TEXT, "reply": TEXT}}')
    if not all(isinstance(value, str) for value in fields.values()):
        raise UserError(f"{where}: every part of a rule is a text")
    return fields
