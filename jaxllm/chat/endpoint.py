"""Any OpenAI-compatible endpoint: many calls at once, paced, retried, and never above a cap.

The key comes from the environment and goes nowhere but to the endpoint: it is no setting, and
errors are told without it. Retries with growing pauses are those of the `openai` client.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jaxllm.chat.budget import Budget, cost, most_used
from jaxllm.chat.messages import ChatReply, ChatRequest, OnReplies, Usage, messages_json
from jaxllm.errors import UserError

if TYPE_CHECKING:
    import openai

_OPENAI = "https://api.openai.com/v1"
# The environment variable that holds the key, unless a setting names another.
_KEY = "OPENAI_API_KEY"
# Models that think before they answer take no temperature and call the limit otherwise.
_REASONING = ("gpt-5", "o1", "o3", "o4")
# Failures without a reply between them, and where there was never one.
_GIVE_UP_AFTER, _GIVE_UP_AT_ONCE = 20, 3
_MALFORMED_RETRIES = 3

# The finish_reason of a call that the endpoint will never answer: too long, or against its rules.
REFUSED = "refused"
_MALFORMED = "malformed"
# Why a call was not made.
CAPPED = "not asked: the cap on tokens or cost is reached"

_Running = dict["concurrent.futures.Future[ChatReply]", tuple[int, Usage]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """Where an endpoint is and how it may be used.

    Attributes:
      model: the endpoint's name for it.
      base_url: empty is OpenAI's own.
      api_key_env: the environment variable that holds the key; an endpoint that wants none (a
        server of one's own) takes whatever stands there, or nothing.
      concurrency: calls under way at once; requests_per_minute: 0 is as fast as they come.
      timeout: seconds for one try; max_retries: further tries where the endpoint is busy, broken or
        out of reach, with growing pauses or those it asks for.
      max_total_tokens, max_cost: caps over all calls that the journal knows; 0 is none.
      input_price, output_price: of a million tokens, in the currency of `max_cost`.
      reasoning_effort: passed on where it is not empty.
    """

    model: str
    base_url: str = ""
    api_key_env: str = _KEY
    concurrency: int = 8
    requests_per_minute: float = 0.0
    timeout: float = 120.0
    max_retries: int = 8
    max_total_tokens: int = 0
    max_cost: float = 0.0
    input_price: float = 0.0
    output_price: float = 0.0
    reasoning_effort: str = ""

    def __post_init__(self) -> None:
        if not self.model:
            raise UserError("an endpoint needs the name of its model: model='gpt-4o-2024-08-06'")
        # Settings are written into results, so what may be a key is not even repeated in the error.
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.api_key_env):
            raise UserError(
                "api_key_env is the name of an environment variable, such as OPENAI_API_KEY; the "
                "key itself must stand in that variable"
            )
        parts = urlsplit(self.base_url)
        if "@" in parts.netloc or parts.query:
            raise UserError(
                "base_url holds a login or a query; a key belongs into the environment variable "
                f"{self.api_key_env}"
            )
        if self.base_url and parts.scheme not in ("http", "https"):
            raise UserError(f"base_url={self.base_url!r}: write http://HOST:PORT/v1")
        if self.concurrency < 1:
            raise UserError(f"concurrency={self.concurrency}: at least one call at a time")
        if self.max_cost and not (self.input_price or self.output_price):
            raise UserError(
                f"max_cost={self.max_cost} needs input_price and output_price, for a million tokens"
            )


class Endpoint:
    """A `ChatModel` behind an OpenAI-compatible endpoint.

    Raises:
        UserError: the client is not installed, or the environment holds no key where OpenAI's own
            endpoint is asked.
    """

    repeats = False

    def __init__(self, settings: EndpointSettings) -> None:
        self.settings = settings
        self.name = settings.model
        self._key = os.environ.get(settings.api_key_env, "")
        place = (settings.base_url or _OPENAI).rstrip("/")
        if not self._key and not settings.base_url:
            raise UserError(
                f"{settings.model} at {place} needs a key: put it into the environment variable "
                f"{settings.api_key_env}, or name another with api_key_env"
            )
        self.identity = f"{place} {settings.model} {settings.reasoning_effort}".strip()
        self.provenance: Mapping[str, Any] = {
            "type": "api",
            "model": settings.model,
            "base_url": place,
            "reasoning_effort": settings.reasoning_effort or None,
        }
        self._client = self._open()

    def reply(
        self, requests: Sequence[ChatRequest], on_replies: OnReplies, *, before: Usage
    ) -> None:
        """As `ChatModel.reply`; what is under way when it is interrupted is still handed over.

        Raises:
            UserError: the endpoint refuses the key or the model, or does not answer at all.
        """
        waiting = collections.deque(enumerate(requests))
        running: _Running = {}
        budget = self._budget(before)
        failures, limit, free_at = 0, _GIVE_UP_AT_ONCE, 0.0
        with concurrent.futures.ThreadPoolExecutor(self.settings.concurrency) as pool:
            try:
                while waiting or running:
                    pause = free_at - time.monotonic()
                    if waiting and len(running) < self.settings.concurrency and pause <= 0:
                        reserved = budget.reserve(waiting[0][1])
                        if reserved is not None:
                            index, request = waiting.popleft()
                            running[pool.submit(self._call, request)] = index, reserved
                            free_at = time.monotonic() + self._seconds_a_request
                            continue
                        if not running:
                            on_replies(
                                dict.fromkeys((index for index, _ in waiting), _CAPPED_REPLY)
                            )
                            return
                    if not running:
                        time.sleep(max(pause, 0.0))
                        continue
                    for index, reserved, reply in _next_done(running, pause if waiting else 0.0):
                        budget.settle(reserved, reply)
                        on_replies({index: reply})
                        if reply.error and reply.finish_reason != REFUSED:
                            failures += 1
                            self._check(failures, limit, reply)
                        else:
                            failures, limit = 0, _GIVE_UP_AFTER
            except BaseException:
                for index, reply in _drained(running):
                    on_replies({index: reply})
                raise

    @property
    def _seconds_a_request(self) -> float:
        rate = self.settings.requests_per_minute
        return 60.0 / rate if rate else 0.0

    def _budget(self, before: Usage) -> Budget:
        return Budget(
            max_tokens=self.settings.max_total_tokens,
            max_cost=self.settings.max_cost,
            input_price=self.settings.input_price,
            output_price=self.settings.output_price,
            before=before,
        )

    def cost(self, usage: Usage) -> float | None:
        """What calls have cost; None where no price is set."""
        prices = self.settings.input_price, self.settings.output_price
        return cost(usage, *prices) if any(prices) else None

    def _check(self, failures: int, limit: int, last: ChatReply) -> None:
        if failures >= limit:
            raise UserError(
                f"{self.name} at {self.provenance['base_url']}: {failures} calls in a row failed "
                f"({last.error}); what was answered is kept, and the same command goes on there"
            )

    def _open(self) -> openai.OpenAI:
        try:
            import openai
        except ImportError:
            raise UserError(
                "an endpoint is asked through the openai client: pip install 'jaxllm[judge]'"
            ) from None
        return openai.OpenAI(
            api_key=self._key or "none",
            base_url=self.settings.base_url or _OPENAI,
            timeout=self.settings.timeout,
            max_retries=self.settings.max_retries,
        )

    def _call(self, request: ChatRequest) -> ChatReply:
        reply = self._try(request)
        for _ in range(_MALFORMED_RETRIES):
            if reply.finish_reason != _MALFORMED:
                break
            reply = self._try(request)
        return reply

    def _try(self, request: ChatRequest) -> ChatReply:
        import openai

        started = time.monotonic()
        try:
            answer = self._client.chat.completions.create(**self._parameters(request))
            choice = answer.choices[0]
            text, reason = choice.message.content, choice.finish_reason
        except (
            openai.AuthenticationError,
            openai.PermissionDeniedError,
            openai.NotFoundError,
        ) as error:
            raise UserError(
                f"{self.provenance['base_url']} refuses {self.name}: {self._told(error)}"
            ) from None
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            return ChatReply(error=self._told(error), finish_reason=REFUSED)
        except openai.OpenAIError as error:
            return ChatReply(error=self._told(error))
        except (ValueError, AttributeError, IndexError, TypeError) as error:
            return ChatReply(
                error=f"its answer is no chat completion: {self._told(error)}",
                finish_reason=_MALFORMED,
            )
        usage = answer.usage
        if usage is None and (self.settings.max_total_tokens or self.settings.max_cost):
            # A cap must hold for an endpoint too that does not tell what it used.
            usage = most_used(request)
        return ChatReply(
            text=text or "",
            finish_reason=reason or "",
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            seconds=round(time.monotonic() - started, 3),
            made_at=time.time(),
        )

    def _parameters(self, request: ChatRequest) -> dict[str, Any]:
        thinks = self.settings.model.startswith(_REASONING)
        parameters: dict[str, Any] = {
            "model": self.settings.model,
            "messages": messages_json(request.messages),
            "max_completion_tokens" if thinks else "max_tokens": request.max_tokens,
        }
        if not thinks:
            parameters["temperature"] = request.temperature
            if request.top_p != 1.0:
                parameters["top_p"] = request.top_p
        if request.seed is not None:
            parameters["seed"] = request.seed
        if self.settings.reasoning_effort:
            parameters["reasoning_effort"] = self.settings.reasoning_effort
        if request.response_schema:
            parameters["response_format"] = {
                "type": "json_schema",
                "json_schema": {
                    "name": "judgment",
                    "schema": dict(request.response_schema),
                    "strict": True,
                },
            }
        if request.choices:
            raise UserError(
                f"{self.name} is an endpoint, which tells no likelihood of given texts: only a "
                "local judge can be scored by them"
            )
        return parameters

    def _told(self, error: Exception) -> str:
        """An error's text on one line, without the key."""
        text = " ".join(f"{type(error).__name__}: {error}".split())
        if self._key:
            text = text.replace(self._key, "***")
        return text[:500]


_CAPPED_REPLY = ChatReply(error=CAPPED)


def _next_done(running: _Running, pause: float) -> Iterator[tuple[int, Usage, ChatReply]]:
    """Waits for a call to end, or `pause` seconds if that is more than 0; yields what ended."""
    done, _ = concurrent.futures.wait(
        running,
        pause if pause > 0 else None,
        return_when=concurrent.futures.FIRST_COMPLETED,
    )
    for future in done:
        index, reserved = running.pop(future)
        yield index, reserved, future.result()


def _drained(running: _Running) -> Iterator[tuple[int, ChatReply]]:
    """Waits for the calls that have begun and yields what they brought; the others never begin."""
    begun = {future: place for future, place in running.items() if not future.cancel()}
    for future, (index, _) in begun.items():
        if future.exception() is None:
            yield index, future.result()
