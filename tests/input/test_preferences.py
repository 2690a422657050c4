from __future__ import annotations

import json

import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.input.batches import make_batch
from jaxllm.input.plan import make_plan
from jaxllm.input.preferences import max_pairs, pair_source, tokenize_pairs, unfold_pairs
from jaxllm.input.sources import read_source
from jaxllm.text.example import Message
from jaxllm.text.templates import get_template

PLAIN = get_template("plain")


def _pairs(*pairs) -> list[dict[str, str]]:
    return [dict(zip(("prompt", "chosen", "rejected"), pair, strict=True)) for pair in pairs]


def _tokenize(pairs, tokenizer, listed, **settings):
    settings = {"name": "pairs", "row_length": 64, "bos": "never"} | settings
    source = listed(pairs, "pairs.jsonl")
    return tokenize_pairs(source, settings.pop("template", PLAIN), tokenizer, **settings)


def _sequence(source, index):
    span = slice(*source.offsets[index : index + 2])
    return source.ids[span], source.loss_weights[span] > 0


def test_a_pair_is_its_two_conversations(tiny_tokenizer, listed):
    source = _tokenize(
        _pairs(("猫は？", "はい", "いいえ"), ("名前", "0", "12")), tiny_tokenizer, listed
    )
    assert source.counts.kept == 2
    assert source.example_ids[2:] == ("pairs.jsonl:2 (chosen)", "pairs.jsonl:2 (rejected)")
    prompt = tiny_tokenizer.encode("猫は？")
    for index, answer in enumerate(("はい", "いいえ")):
        ids, trained = _sequence(source, index)
        expected = tiny_tokenizer.encode_continuation(answer)
        assert ids.tolist() == [*prompt, *expected, tiny_tokenizer.eos_id]
        assert trained.tolist() == [False] * len(prompt) + [True] * (len(expected) + 1)


def test_answers_before_the_last_one_carry_no_loss(tiny_tokenizer, listed):
    talk = [
        Message(role="user", content="猫は？"),
        Message(role="assistant", content="はい"),
        Message(role="user", content="犬は？"),
    ]
    turns = [{"role": turn.role, "content": turn.content} for turn in talk]
    record = {"messages": turns, "chosen": "いいえ", "rejected": "いいえ。"}
    template = get_template("llm_jp_3")
    source = _tokenize([record], tiny_tokenizer, listed, template=template, row_length=400)
    prompt = template.prompt_ids(tiny_tokenizer, talk, bos="never")
    for index in range(2):
        ids, trained = _sequence(source, index)
        assert ids[: len(prompt)].tolist() == prompt.tolist()
        assert trained[len(prompt) :].all()
        assert not trained[: len(prompt)].any()


def test_pairs_that_compare_nothing_are_dropped(tiny_tokenizer, listed):
    pairs = _pairs(("猫", "同じ", "同じ"), ("猫", "はい", "いいえ"))
    counts = _tokenize(pairs, tiny_tokenizer, listed).counts
    assert (counts.read, counts.kept, counts.dropped_untrained) == (2, 1, 1)
    with pytest.raises(UserError, match="none of its 1 pairs"):
        _tokenize(pairs[:1], tiny_tokenizer, listed)


def test_long_pairs(tiny_tokenizer, listed):
    short, long, both = ("猫", "0", "1"), ("猫", "0", "0123456789" * 8), ("猫", "0" * 60, "1" * 70)
    pairs = _pairs(short, long, both)
    dropped = _tokenize(pairs, tiny_tokenizer, listed, row_length=40)
    assert (dropped.counts.kept, dropped.counts.dropped_long) == (1, 2)

    cut = _tokenize(pairs, tiny_tokenizer, listed, row_length=40, truncation="truncate")
    assert (cut.counts.kept, cut.counts.truncated) == (3, 2)
    whole = _tokenize(pairs, tiny_tokenizer, listed, row_length=10_000)
    assert cut.lengths[:3].tolist() == whole.lengths[:3].tolist()  # the short side stays whole
    assert cut.lengths[2:4].sum() == cut.lengths[4:6].sum() == 42
    assert cut.lengths[4:6].tolist() == [21, 21]
    for index in range(6):
        ids, _ = _sequence(cut, index)
        assert ids.tolist() == _sequence(whole, index)[0][: len(ids)].tolist()

    with pytest.raises(UserError, match=r"pairs\.jsonl, line 2: .* a row takes 42"):
        _tokenize(pairs, tiny_tokenizer, listed, row_length=40, truncation="error")


def test_an_ordinary_example_is_no_preference(tiny_tokenizer, listed):
    record = {"prompt": "問い", "completion": "答え"}
    with pytest.raises(UserError, match=r"pairs\.jsonl, line 1: the record is no preference"):
        _tokenize([record], tiny_tokenizer, listed)


@pytest.mark.parametrize("packing", ["best_fit", "none"])
def test_both_answers_of_a_pair_stand_in_one_row(tiny_tokenizer, listed, packing):
    pairs = _pairs(
        *[("猫" * (i % 7 + 1), "0" * (i % 11 + 1), "1" * (i % 5 + 1)) for i in range(60)]
    )
    source = _tokenize(pairs, tiny_tokenizer, listed, row_length=64)
    settings = {"seed": 3, "rows_per_step": 4, "row_length": 64, "packing": packing}
    plan = make_plan([pair_source(source)], num_epochs=2, **settings)
    unfolded = unfold_pairs(plan)
    assert unfolded.num_steps == plan.num_steps
    assert (max_pairs(unfolded) > 1) == (packing == "best_fit")
    seen = []
    for step in range(plan.num_steps):
        batch = make_batch(unfolded, step, [source])
        for row in range(4):
            segments = batch["segment_ids"][row]
            assert segments.max() % 2 == 0
            for segment in range(1, segments.max() + 1):
                here = segments == segment
                sequence = [batch["tokens"][row][here][0], *batch["targets"][row][here]]
                kind, index = ("chosen", "rejected")[(segment - 1) % 2], None
                for index in range(len(source.lengths)):
                    if _sequence(source, index)[0].tolist() == sequence:
                        break
                assert kind in source.example_ids[index]
                if kind == "chosen":
                    seen.append(index // 2)
    known = [_sequence(source, index)[0].tolist() for index in range(0, 120, 2)]
    firsts = [known.index(sequence) for sequence in known]  # some pairs are equal
    assert sorted(firsts[pair] for pair in seen) == sorted(2 * firsts)


def test_the_digest_tells_chosen_and_rejected_apart(tiny_tokenizer, listed):
    pairs = [_pairs(("猫", "0", "0123")), _pairs(("猫", "0123", "0"))]
    sources = [_tokenize(pair, tiny_tokenizer, listed) for pair in pairs]
    settings = {"seed": 0, "rows_per_step": 1, "row_length": 64, "num_steps": 3}
    one, other = (make_plan([pair_source(source)], **settings) for source in sources)
    assert unfold_pairs(one).digest != one.digest
    assert unfold_pairs(one).digest != unfold_pairs(other).digest


def test_preferences_from_files(tiny_tokenizer, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    record = {
        "prompt": [{"role": "user", "content": "猫"}],
        "chosen": [{"role": "assistant", "content": "0"}],
        "rejected": [{"role": "assistant", "content": "1"}],
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(record) + "\n")
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "a.parquet")
    one, other = (
        tokenize_pairs(
            read_source(f"{kind}:{tmp_path / 'a'}.{kind}", data_dir=tmp_path),
            PLAIN,
            tiny_tokenizer,
            name="pairs",
            row_length=64,
        )
        for kind in ("jsonl", "parquet")
    )
    assert np.array_equal(one.ids, other.ids)
    (tmp_path / "a.jsonl").write_text(json.dumps(record | {"rejected": ""}) + "\n")
    with pytest.raises(UserError, match=r"a\.jsonl, line 1: .*`rejected` is empty"):
        list(read_source(f"jsonl:{tmp_path / 'a'}.jsonl", data_dir=tmp_path))
