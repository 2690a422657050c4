"""Contract: packing "concat" is how llm-jp-3's instruct2 and instruct3 were tuned.

The token stream is put together here by hand, as github.com/llm-jp/instruct3 does it: all examples
one after another in the order of their file, a file that counts n times n times over; cut into
windows of one token more than a row; windows that train nothing left out, and the unfinished last
one; positions from 0 to the end of the row, and no document mask. (A window of which the first
token alone would carry loss is left out too: it is no target of anything in the window.)
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from jaxllm.defaults import mixture_entry
from jaxllm.input.batches import make_batch
from jaxllm.input.mixture import read_mixture
from jaxllm.text.tokenizer import load_tokenizer

_SYSTEM = "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。"
_ROW = 48


def _conversation(index: int) -> list[dict[str, str]]:
    # Daring-Anteater's system messages are its own.
    system = "Answer in English." if index % 5 == 4 else _SYSTEM
    turns = [{"role": "system", "content": system}]
    for turn in range(index % 3 + 1):
        # Some questions are longer than a window, so that windows without loss come about.
        question = f"{index}番の問い{turn}" * (40 if index % 7 == 3 else 1)
        turns.append({"role": "user", "content": question})
        turns.append({"role": "assistant", "content": f"答えは{index * turn}です。\nThe end."})
    return turns


def _by_recipe(tokenizer, conversation) -> tuple[list[int], list[int]]:
    """Ids and loss mask of one example; what the dummy prefix leaves behind is cut off."""
    ids = [tokenizer.bos_id, *tokenizer.encode(conversation[0]["content"])]
    mask = [0] * len(ids)
    for user, assistant in zip(conversation[1::2], conversation[2::2], strict=True):
        prompt = tokenizer.encode(f"\n\n### 指示:\n{user['content']}\n\n### 応答:\n")[1:]
        response = [*tokenizer.encode("\n" + assistant["content"])[2:], tokenizer.eos_id]
        ids += prompt + response
        mask += [0] * len(prompt) + [1] * len(response)
    return ids, mask


@pytest.fixture(params=["tiny", "llm-jp-3"])
def tokenizer(request):
    if request.param == "tiny":
        return request.getfixturevalue("tiny_tokenizer")
    folder = request.getfixturevalue("tokenizers_dir") / "models" / "ver3.0"
    return load_tokenizer(folder / "llm-jp-tokenizer-100k.ver3.0b1.model")


def test_instruct3_concat_packing(tokenizer, tiny_train_config, tmp_path) -> None:
    files = {"a": list(range(30)), "b": list(range(30, 37))}
    repeats = {"a": 1, "b": 16}
    config = tiny_train_config
    del config.mixture["questions"]
    for name, indices in files.items():
        path = tmp_path / f"{name}.jsonl"
        lines = [json.dumps({"messages": _conversation(index)}) for index in indices]
        path.write_text("\n".join(lines))
        config.mixture[name] = mixture_entry(f"jsonl:{path}", repeat=repeats[name], shuffle=False)
    config.template = "llm_jp_3_system"
    config.steps, config.epochs = 0, 2.0
    config.input.update(packing="concat", max_length=_ROW, rows=3, bos="always")
    mixture = read_mixture(config, tokenizer, data_dir=tmp_path)

    ids: list[int] = []
    mask: list[int] = []
    for name, indices in files.items():
        for index in indices * repeats[name]:
            more_ids, more_mask = _by_recipe(tokenizer, _conversation(index))
            ids, mask = ids + more_ids, mask + more_mask
    windows, skipped = [], 0
    for start in range(0, len(ids) - _ROW, _ROW + 1):
        window = slice(start, start + _ROW + 1)
        skipped += not any(mask[window][1:])
        if any(mask[window][1:]):
            windows.append((tuple(ids[window]), tuple(mask[window][1:])))
    assert skipped > 5
    assert len(ids) % (_ROW + 1)

    rows = []
    for step in range(mixture.plan.num_steps):
        batch = make_batch(mixture.plan, step, mixture.sources)
        for row in range(3):
            here = {name: array[row] for name, array in batch.items()}
            if not here["segment_ids"].any():  # the last step may end in empty rows
                continue
            assert (here["segment_ids"] == 1).all()
            assert here["positions"].tolist() == list(range(_ROW))
            assert here["targets"][:-1].tolist() == here["tokens"][1:].tolist()
            tokens = (*here["tokens"].tolist(), int(here["targets"][-1]))
            rows.append((tokens, tuple(here["loss_weights"].astype(int).tolist())))
    # Every window once in each of the two epochs, in an order of its own in each.
    epochs = rows[: len(windows)], rows[len(windows) :]
    for epoch in epochs:
        assert sorted(epoch) == sorted(windows)
        assert epoch != windows
    assert epochs[0] != epochs[1]
    assert np.isclose(mixture.plan.step_epochs[-1], 2)
