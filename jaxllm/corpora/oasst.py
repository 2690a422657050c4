"""OpenAssistant (Köpf et al. 2023), the conversations that LLM-jp tunes on.

oasst1-21k and oasst2-33k are the English threads of OASST1 and OASST2, each path from a question to
an answer a conversation, and their DeepL translations. All is train. A conversation in which a turn
is empty, or the two sides do not take turns, is left out: no template can write it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from etils import epath

from jaxllm.corpora import base, raw
from jaxllm.corpora.json_records import Record, read_records, text_of
from jaxllm.errors import UserError

_UNVERIFIED = "read as its users describe it; not tried on the file itself"
_ROLES = {"system": "system", "human": "user", "gpt": "assistant"}


def _corpus(name: str, dataset: str, commit: str, sha256: str = "") -> base.Corpus:
    file = raw.RawFile(
        path=f"{name}/{dataset}.jsonl",
        url=f"https://huggingface.co/datasets/llm-jp/{dataset}/resolve/{commit}/{dataset}.jsonl",
        sha256=sha256,
    )

    def read(open_raw: base.OpenRaw) -> Mapping[str, Sequence[base.Conversation]]:
        path = open_raw(file.path)
        read = (_conversation(record, path) for record in read_records(path))
        return {"train": [conversation for conversation in read if _is_whole(conversation)]}

    return base.Corpus(
        name=name,
        source=f"hf llm-jp/{dataset} @ {commit}",
        licence="Apache-2.0",
        files=(file,),
        splits=("train",),
        form="conversation",
        unverified=_UNVERIFIED,
        readers=(read,),
    )


def _conversation(record: Record, path: epath.Path) -> base.Conversation:
    turns = record.get("conversations")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise UserError(
            f"{path}: a record has no list `conversations` of objects: it is another version"
        )
    return base.Conversation(tuple(_turn(turn, path) for turn in turns))


def _turn(turn: Record, path: epath.Path) -> base.Turn:
    speaker = text_of(turn, "from", path)
    if speaker not in _ROLES:
        raise UserError(f"{path}: a turn is from {speaker!r}, not from {', '.join(_ROLES)}")
    return base.Turn(_ROLES[speaker], text_of(turn, "value", path))


def _is_whole(conversation: base.Conversation) -> bool:
    turns = [turn for turn in conversation.messages if turn.role != "system"]
    roles = [turn.role for turn in turns]
    return (
        bool(roles)
        and roles == ["user", "assistant"] * (len(roles) // 2)
        and all(turn.content.strip() for turn in conversation.messages)
    )


CORPORA = (
    _corpus("oasst1_en", "oasst1-21k-en", "0992c69a898fcba16c442769f464bb433d0be736"),
    _corpus(
        "oasst1_ja",
        "oasst1-21k-ja",
        "f4485b398d0aa285e62daf6e4c437db12836897e",
        "73e58f03467214620cee70e3292144f7c1c0a7c449dc854ce48ceeeaff998c06",
    ),
    _corpus(
        "oasst2_en",
        "oasst2-33k-en",
        "70b0f47d3d182ca16f01464fe2504e82aef3a55b",
        "f0dc59124899606b21ef5b3580402501bf119840075cbc3a41e73e2399f8a7fc",
    ),
    _corpus(
        "oasst2_ja",
        "oasst2-33k-ja",
        "a9f78fa9806236425e7b203b79abd032dd0dc583",
        "71f82d3d6bb167a03b0a09794097ba020bfcffda531a404508d26ee80a62497d",
    ),
)


class Oasst(base.CorpusBuilder):
    """OASST1 and OASST2 in English and Japanese."""

    BUILDER_CONFIGS = base.configs(*CORPORA)
