"""Batched generation and scoring on the live weights."""

from jaxllm.decode.engine import Engine
from jaxllm.decode.requests import Completion, Request, Score, ScoreRequest

__all__ = ["Completion", "Engine", "Request", "Score", "ScoreRequest"]
