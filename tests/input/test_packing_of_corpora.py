"""Packed rows of the length that the recipes train on are at least 97 % tokens."""

from __future__ import annotations

import numpy as np
import pytest

from jaxllm import corpora
from jaxllm.defaults import mixture_entry, train_config
from jaxllm.input.mixture import read_mixture
from jaxllm.input.plan import PlanSource, make_plan
from jaxllm.text.tokenizer import load_tokenizer

_ROW_LENGTH, _STEPS, _ROWS = 2048, 100, 8
# Those of one task have lengths that lie close together, which is what is hard to pack.
_CORPORA = (
    *("jcommonsenseqa", "jsts", "mawps", "jemhopqa", "jamp", "janli", "jsem", "jcola-in-domain"),
    "dolly_ja_part",
)


def _lengths(kind: str, rng: np.random.Generator) -> np.ndarray:
    match kind:
        case "conversations":  # a long tail, cut at a row
            return np.clip(rng.lognormal(6.0, 1.0, 4000), 2, _ROW_LENGTH + 1).astype(np.int64)
        case "questions":  # all about alike
            return rng.normal(140, 6, 6000).astype(np.int64)
        case "both":
            return np.concatenate([_lengths("conversations", rng), _lengths("questions", rng)])
        case _:
            return rng.integers(2, _ROW_LENGTH + 2, 4000)


@pytest.mark.parametrize("kind", ["conversations", "questions", "both", "of any length"])
def test_generated_corpora_fill_their_rows(kind) -> None:
    source = PlanSource(name=kind, lengths=_lengths(kind, np.random.default_rng(0)))
    plan = make_plan(
        [source], seed=0, rows_per_step=_ROWS, row_length=_ROW_LENGTH, num_steps=_STEPS
    )
    print(f"{kind}: {1 - plan.padding_share:.2%} tokens in rows of {_ROW_LENGTH}")
    assert plan.padding_share <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize("name", _CORPORA)
def test_public_corpora_fill_their_rows(name, raw_dir, tokenizers_dir, tmp_path) -> None:
    corpora.prepare([name], data_dir=tmp_path, raw_dir=raw_dir)
    tokenizer = load_tokenizer(
        tokenizers_dir / "models" / "ver3.1" / "llm-jp-tokenizer-100k.ver3.1.model"
    )
    config = train_config()
    config.mixture.corpus = mixture_entry(name)
    config.template, config.steps = "llm_jp_3", _STEPS
    config.input.update(max_length=_ROW_LENGTH, rows=_ROWS, truncation="truncate")
    plan = read_mixture(config, tokenizer, data_dir=tmp_path).plan
    print(f"{name}: {1 - plan.padding_share:.2%} tokens in rows of {_ROW_LENGTH}")
    assert plan.padding_share <= 0.03
