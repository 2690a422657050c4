"""From a task's samples to the requests that ask them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jaxllm.decode import Request
from jaxllm.evaluators.generate_settings import GenerateSettings
from jaxllm.tasks import Sample, Task
from jaxllm.text.example import Message
from jaxllm.text.templates import get_template
from jaxllm.text.tokenizer import Tokenizer

# What a blanked input holds: the block stands, its content is one ideographic space.
_BLANK = "\u3000"


def task_requests(
    task: Task, samples: Sequence[Sample], tokenizer: Tokenizer, settings: GenerateSettings
) -> list[Request]:
    """One request a sample: the task's prompt and limits, the sampling that the settings name."""
    template = get_template(task.template, tokenizer)
    stop_ids = template.stop_ids(tokenizer)
    requests = []
    for sample in samples:
        messages = sample.messages
        if settings.blank_inputs:
            messages = (*messages[:-1], _blanked(messages[-1]))
        prompt_ids = template.prompt_ids(tokenizer, messages, bos=task.bos)
        requests.append(
            Request(
                id=f"{task.name}/{sample.id}",
                prompt_ids=tuple(prompt_ids.tolist()),
                max_new_tokens=task.max_new_tokens,
                stop=task.stop,
                stop_ids=stop_ids,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=settings.seed,
            )
        )
    return requests


def _blanked(message: Message) -> Message:
    if message.context:
        return dataclasses.replace(message, context=_BLANK)
    return dataclasses.replace(message, content=_BLANK)
