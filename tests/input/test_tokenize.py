from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jaxllm.errors import UserError
from jaxllm.input.tokenize import tokenize
from jaxllm.text.example import Example, Message


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


def _examples(*pairs) -> list[Example]:
    return [
        Example(
            id=f"e{i}",
            messages=(Message(role="user", content=q), Message(role="assistant", content=a)),
        )
        for i, (q, a) in enumerate(pairs)
    ]


def _tokenize(examples, template=None, **kwargs):
    kwargs = {"name": "s", "max_length": 10} | kwargs
    return tokenize(examples, template or Template(), Tokenizer(), **kwargs)


def _same(a, b) -> bool:
    arrays = all(
        np.array_equal(getattr(a, n), getattr(b, n)) and getattr(a, n).dtype == getattr(b, n).dtype
        for n in ("ids", "loss_weights", "offsets")
    )
    return arrays and (a.example_ids, a.counts) == (b.example_ids, b.counts)


def test_examples_lie_end_to_end() -> None:
    source = _tokenize(_examples(("ab", "c"), ("d", "ef")))
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
    assert source.example_ids == ("e0", "e1")


LONG = [("q", "a"), ("q" * 9, "aaa"), ("q" * 12, "a"), ("q" * 8, "a")]


def test_drop_leaves_long_examples_out() -> None:
    source = _tokenize(_examples(*LONG))
    assert source.example_ids == ("e0", "e3")
    counts = dataclasses.asdict(source.counts)
    assert counts == {
        "read": 4,
        "kept": 2,
        "truncated": 0,
        "dropped_long": 2,
        "dropped_untrained": 0,
    }


def test_truncate_cuts_on_the_right_and_drops_what_has_lost_its_answer() -> None:
    source = _tokenize(_examples(*LONG), truncation="truncate")
    assert source.example_ids == ("e0", "e1", "e3")
    cut = slice(source.offsets[1], source.offsets[2])
    assert source.ids[cut].tolist() == [ord("q")] * 9 + [ord("a")]
    assert source.loss_weights[cut].tolist() == [0] * 9 + [1]
    assert (source.counts.truncated, source.counts.dropped_untrained) == (1, 1)


def test_error_names_the_example() -> None:
    with pytest.raises(UserError, match="e1 of s has 13 tokens, more than max_length 10"):
        _tokenize(_examples(*LONG), truncation="error")


def test_no_trained_token_at_all_is_an_error() -> None:
    with pytest.raises(UserError, match="none of its 1 examples has a token to train on"):
        _tokenize(_examples(("q" * 20, "a")), truncation="truncate")


def test_settings_that_cannot_be_and_an_example_that_cannot_be_rendered() -> None:
    with pytest.raises(UserError, match='"drop", "truncate" or "error"'):
        _tokenize(_examples(("q", "a")), truncation="cut")
    with pytest.raises(UserError, match="max_length is 1"):
        _tokenize(_examples(("q", "a")), max_length=1)
    with pytest.raises(UserError, match="e1: NUL"):
        _tokenize(_examples(("q", "a"), ("q\0", "a")))


def test_bos_reaches_the_template() -> None:
    assert _tokenize(_examples(("q", "a")), bos="always").ids[0] == 1


def test_progress_counts_every_example_once() -> None:
    seen: list[int] = []
    _tokenize(_examples(*[("q", "a")] * 600), progress=seen.append)
    assert sum(seen) == 600
    assert len(seen) == 3


def test_the_cache_gives_the_same_and_saves_the_work(tmp_path) -> None:
    examples = _examples(*LONG, *[(f"{i}", "a") for i in range(100)])
    first = _tokenize(examples, data_dir=tmp_path)
    template, seen = Template(), []
    again = _tokenize(examples, template, data_dir=tmp_path, progress=seen.append)
    assert _same(first, again)
    assert template.rendered < 20
    assert sum(seen) == len(examples)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npz"]


def test_the_cache_is_keyed_by_everything_the_tokens_depend_on(tmp_path) -> None:
    class Other(Template):
        def render(self, tokenizer, messages, *, bos="auto") -> Rendered:
            rendered = super().render(tokenizer, messages, bos=bos)
            return Rendered(ids=rendered.ids + 1, loss_weights=rendered.loss_weights)

    class Retrained(Tokenizer):
        digest = "other"

    pairs = [("q", "a")] * 20
    base = {"name": "s", "max_length": 10, "data_dir": tmp_path}
    tokenize(_examples(*pairs), Template(), Tokenizer(), **base)
    variants = [
        (_examples(*pairs[:-1], ("q", "b")), Template(), Tokenizer(), {}),
        (_examples(*pairs), Other(), Tokenizer(), {}),
        (_examples(*pairs), Template(), Retrained(), {}),
        (_examples(*pairs), Template(), Tokenizer(), {"max_length": 9}),
        (_examples(*pairs), Template(), Tokenizer(), {"truncation": "truncate"}),
        (_examples(*pairs), Template(), Tokenizer(), {"bos": "always"}),
    ]
    for number, (examples, template, tokenizer, changes) in enumerate(variants, start=2):
        source = tokenize(examples, template, tokenizer, **base | changes)
        fresh = tokenize(examples, template, tokenizer, **base | changes | {"data_dir": None})
        assert _same(source, fresh)
        assert len(list((tmp_path / "cache").iterdir())) == number


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:300] + bytes([data[300] ^ 255]) + data[301:],
        lambda data: b"not a zip file",
    ],
)
def test_a_damaged_cache_file_is_built_anew(tmp_path, damage) -> None:
    examples = _examples(*[(f"{i}", "answer") for i in range(200)])
    first = _tokenize(examples, data_dir=tmp_path)
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert _same(_tokenize(examples, data_dir=tmp_path), first)
    template = Template()
    assert _same(_tokenize(examples, template, data_dir=tmp_path), first)
    assert template.rendered < 20


def test_a_cache_file_of_the_wrong_arrays_is_built_anew(tmp_path) -> None:
    examples = _examples(*[(f"{i}", "answer") for i in range(20)])
    first = _tokenize(examples, data_dir=tmp_path)
    (path,) = (tmp_path / "cache").iterdir()
    with np.load(path) as arrays:
        wrong = dict(arrays) | {"ids": arrays["ids"][:-1]}
    np.savez(path, **wrong)
    assert _same(_tokenize(examples, data_dir=tmp_path), first)


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch) -> None:
    def full_disk(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        _tokenize(_examples(("q", "a")), data_dir=tmp_path)
    assert not list((tmp_path / "cache").iterdir())
