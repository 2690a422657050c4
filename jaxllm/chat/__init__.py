"""Models that are asked in messages: endpoints, our engine, scripts; and a journal of the calls."""

from jaxllm.chat.ask import ask
from jaxllm.chat.journal import CallJournal
from jaxllm.chat.messages import ChatModel, ChatReply, ChatRequest, Usage

__all__ = ["CallJournal", "ChatModel", "ChatReply", "ChatRequest", "Usage", "ask"]
