"""Prepared corpora as the files of llm-jp-eval 1.1 to 1.4, for its own tools and for jaster tuning.

Beside `evaluation/{train,dev,test}/NAME.json` stand `tuning/{train,dev,dev_first100}/NAME.json`,
lists of `ID`, `instruction`, `input`, `output` and `text`, the prompt with its answer.
"""

from __future__ import annotations

import json
import os
from typing import Any

from etils import epath

from jaxllm.corpora import base, store

_TUNING_SPLITS = ("train", "dev")
_FIRST = 100
# The opening stays where there is no input, unlike in the prompts of the llm-jp models.
_OPENING = (
    "以下は、タスクを説明する指示と、文脈のある入力の組み合わせです。"
    "要求を適切に満たす応答を書きなさい。"
)


def export(
    name: str,
    folder: str | os.PathLike,
    *,
    data_dir: str | os.PathLike,
    file_name: str | None = None,
    output_length: int | None = None,
) -> dict[str, str]:
    """Writes the files of a prepared corpus below `folder`; returns the sha256 of each split.

    Versions of llm-jp-eval have files of one name that differ: `file_name` and `output_length`
    stand in place of the corpus's own. A split that is not there is left out.
    """
    file_name = file_name or name
    digests = {}
    for split in store.info(name, data_dir)["splits"]:
        text = store.canonical_json(name, split, data_dir=data_dir, output_length=output_length)
        digests[split] = base.digest(text)
        _write(epath.Path(folder) / "evaluation" / split / f"{file_name}.json", text)
        if split not in _TUNING_SPLITS:
            continue
        rows = [
            _tuning_row(f"{file_name}-{row['index']}", row)
            for row in store.load(name, split, data_dir=data_dir)
        ]
        parts = {split: rows} if split == "train" else {split: rows, "dev_first100": rows[:_FIRST]}
        for part, chosen in parts.items():
            text = json.dumps(chosen, ensure_ascii=False, indent=4)
            _write(epath.Path(folder) / "tuning" / part / f"{file_name}.json", text)
    return digests


def _tuning_row(id: str, row: dict[str, Any]) -> dict[str, str]:
    fields = {field: row[field] for field in ("instruction", "input", "output")}
    asked = f"\n\n### 指示:\n{row['instruction']}"
    if row["input"]:
        asked += f"\n\n### 入力:\n{row['input']}"
    return {"ID": id, **fields, "text": f"{_OPENING}{asked}\n\n### 応答:\n{row['output']}"}


def _write(path: epath.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
