from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.input import tokenize as module
from jaxllm.input.tokenize import tokenize
from jaxllm.text.templates import get_template


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rendered:
    ids: np.ndarray
    loss_weights: np.ndarray


class Tokenizer:
    """A code point is an id."""

    digest = "code points"


class Template:
    """The user's text, then the assistant's and an end token 0; counts how often it renders."""

    name = "fake"

    def __init__(self) -> None:
        self.rendered = 0

    def render(self, tokenizer, messages, *, bos="auto") -> Rendered:
        self.rendered += 1
        ids = [1] if bos == "always" else []
        weights = [0.0] * len(ids)
        for message in messages:
            if "\0" in message.content:
                raise UserError("NUL cannot be rendered")
            is_answer = message.role == "assistant"
            text = [ord(c) for c in message.content] + [0] * is_answer
            ids += text
            weights += [float(is_answer)] * len(text)
        return Rendered(ids=np.array(ids, np.int32), loss_weights=np.array(weights, np.float32))


def _records(*pairs) -> list[dict[str, str]]:
    return [{"prompt": question, "completion": answer} for question, answer in pairs]


@pytest.fixture
def run(listed):
    def run(pairs, template=None, tokenizer=None, **kwargs):
        kwargs = {"name": "s", "max_length": 10} | kwargs
        source = listed(_records(*pairs))
        return tokenize(source, template or Template(), tokenizer or Tokenizer(), **kwargs)

    return run


def _same(a, b) -> bool:
    arrays = all(
        np.array_equal(getattr(a, n), getattr(b, n)) and getattr(a, n).dtype == getattr(b, n).dtype
        for n in ("ids", "loss_weights", "offsets")
    )
    return arrays and (a.example_ids, a.counts, a.digest) == (b.example_ids, b.counts, b.digest)


def test_examples_lie_end_to_end(run) -> None:
    source = run([("ab", "c"), ("d", "ef")])
    assert source.ids.tolist() == [97, 98, 99, 0, 100, 101, 102, 0]
    assert source.loss_weights.tolist() == [0, 0, 1, 1, 0, 1, 1, 1]
    assert source.offsets.tolist() == [0, 4, 8]
    assert [str(a.dtype) for a in (source.ids, source.loss_weights, source.offsets)] == [
        "int32",
        "float32",
        "int64",
    ]
    assert source.lengths.tolist() == [4, 4]
    assert source.num_trained_tokens == 5
    assert source.example_ids == ("a.jsonl:1", "a.jsonl:2")
    first = source.first(1)
    assert (first.ids.tolist(), first.example_ids) == ([97, 98, 99, 0], ("a.jsonl:1",))
    assert first.digest != source.digest == source.first(5).digest


LONG = [("q", "a"), ("q" * 9, "aaa"), ("q" * 12, "a"), ("q" * 8, "a")]


def test_drop_leaves_long_examples_out(run) -> None:
    source = run(LONG)
    assert source.example_ids == ("a.jsonl:1", "a.jsonl:4")
    counts = dataclasses.asdict(source.counts)
    assert counts == {
        "read": 4,
        "kept": 2,
        "truncated": 0,
        "dropped_long": 2,
        "dropped_untrained": 0,
        "held_out": 0,
    }


def test_truncate_cuts_on_the_right_and_drops_what_has_lost_its_answer(run) -> None:
    source = run(LONG, truncation="truncate")
    assert source.example_ids == ("a.jsonl:1", "a.jsonl:2", "a.jsonl:4")
    cut = slice(source.offsets[1], source.offsets[2])
    assert source.ids[cut].tolist() == [ord("q")] * 9 + [ord("a")]
    assert source.loss_weights[cut].tolist() == [0] * 9 + [1]
    assert (source.counts.truncated, source.counts.dropped_untrained) == (1, 1)


def test_without_a_length_nothing_is_cut(run) -> None:
    source = run(LONG, max_length=None)
    assert source.lengths.tolist() == [3, 13, 14, 10]
    assert source.counts.kept == 4


def test_error_names_the_example(run) -> None:
    with pytest.raises(UserError, match=r"a\.jsonl, line 2: .* 13 tokens, more than max_length 10"):
        run(LONG, truncation="error")


def test_no_trained_token_at_all_is_an_error(run) -> None:
    with pytest.raises(UserError, match="none of its 1 examples has a token to train on"):
        run([("q" * 20, "a")], truncation="truncate")


def test_settings_that_cannot_be_and_an_example_that_cannot_be_rendered(run) -> None:
    with pytest.raises(UserError, match='"drop", "truncate" or "error"'):
        run([("q", "a")], truncation="cut")
    with pytest.raises(UserError, match="max_length is 1"):
        run([("q", "a")], max_length=1)
    with pytest.raises(UserError, match=r"held_out is 1\.5; it is a share"):
        run([("q", "a")], held_out=1.5)
    with pytest.raises(UserError, match=r"a\.jsonl, line 2: NUL"):
        run([("q", "a"), ("q\0", "a")])


def test_bos_reaches_the_template(run) -> None:
    assert run([("q", "a")], bos="always").ids[0] == 1


def test_progress_counts_every_example_once(run) -> None:
    seen: list[int] = []
    run([("q", "a")] * 600, progress=seen.append)
    assert sum(seen) == 600
    assert len(seen) == 3


def test_held_out_examples_are_in_one_part_and_never_in_both(run) -> None:
    pairs = [(f"q{i % 500}", f"{i}") for i in range(1000)]  # every question twice
    kept, held = (run(pairs, held_out=0.1, part=part) for part in ("train", "held_out"))
    assert sorted(kept.example_ids + held.example_ids) == sorted(run(pairs).example_ids)
    assert 60 < held.counts.kept < 140
    assert held.counts.kept == kept.counts.held_out
    assert kept.counts.kept == held.counts.held_out
    numbers = [int(id.rpartition(":")[2]) for id in held.example_ids]
    assert {n + 500 for n in numbers if n <= 500} == {n for n in numbers if n > 500}
    # The same ones whatever is added, and wherever they stand.
    more = run([("new", "n"), *pairs], held_out=0.1, part="held_out")
    ids = [f"a.jsonl:{n + 1}" for n in numbers]
    assert [id for id in more.example_ids if id != "a.jsonl:1"] == ids


def test_a_share_that_leaves_nothing_is_told(run) -> None:
    with pytest.raises(UserError, match=r"held_out=0\.001 none of its 2 examples is held out"):
        run([("q", "a"), ("r", "a")], held_out=0.001, part="held_out")
    with pytest.raises(UserError, match=r"none of its 2 examples is left to train on"):
        run([("q", "a"), ("r", "a")], held_out=0.9999)


def test_the_cache_gives_the_same_and_saves_the_work(run, tmp_path) -> None:
    pairs = [*LONG, *[(f"{i}", "a") for i in range(100)]]
    first = run(pairs, data_dir=tmp_path)
    assert _same(first, run(pairs))
    template, seen = Template(), []
    again = run(pairs, template, data_dir=tmp_path, progress=seen.append)
    assert _same(first, again)
    assert template.rendered == 1  # the probe
    assert sum(seen) == len(pairs)
    assert [path.name[:7] for path in (tmp_path / "cache").iterdir()] == ["tokens-"]


def test_the_cache_is_keyed_by_everything_the_tokens_depend_on(run, tmp_path, monkeypatch) -> None:
    class Other(Template):
        def render(self, tokenizer, messages, *, bos="auto") -> Rendered:
            rendered = super().render(tokenizer, messages, bos=bos)
            return Rendered(ids=rendered.ids + 1, loss_weights=rendered.loss_weights)

    class Retrained(Tokenizer):
        digest = "other"

    pairs = [(f"q{i}", "a") for i in range(20)]
    variants = [
        (pairs, {}),
        ([*pairs[:-1], ("q", "b")], {}),
        (pairs, {"template": Other()}),
        (pairs, {"tokenizer": Retrained()}),
        (pairs, {"max_length": 9}),
        (pairs, {"truncation": "truncate"}),
        (pairs, {"bos": "always"}),
        (pairs, {"held_out": 0.2}),
        (pairs, {"held_out": 0.2, "part": "held_out"}),
    ]
    for number, (given, changes) in enumerate(variants, start=1):
        source = run(given, data_dir=tmp_path, **changes)
        assert _same(source, run(given, **changes))
        assert len(list((tmp_path / "cache").iterdir())) == number
    monkeypatch.setattr(module, "_code_digest", lambda: "a later version")
    run(pairs, data_dir=tmp_path)
    assert len(list((tmp_path / "cache").iterdir())) == len(variants) + 1


@pytest.mark.parametrize("broken", [False, True])
def test_several_processes_give_what_one_gives(
    listed, tiny_tokenizer, tmp_path, monkeypatch, broken
) -> None:
    records = _records(*[(f"{i}は？", "です。" * (i % 40 + 1)) for i in range(1, 3000)])
    if broken:
        records[2900] = {"prompt": "問い"}
    template = get_template("llm_jp_3")

    def run():
        return tokenize(
            listed(records), template, tiny_tokenizer, name="s", max_length=200, data_dir=tmp_path
        )

    monkeypatch.setattr(module, "_ALONE_SECONDS", 1e9)
    alone = None if broken else run()
    monkeypatch.setattr(module, "_ALONE_SECONDS", 0.0)
    monkeypatch.setattr(module, "num_cpus", lambda: 2)
    monkeypatch.setattr(module, "_code_digest", lambda: "anew")
    if broken:
        with pytest.raises(UserError, match=r"a\.jsonl, line 2901: `completion` is missing"):
            run()
        assert not list((tmp_path / "cache").iterdir())
    else:
        assert _same(run(), alone)
