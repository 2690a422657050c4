"""Whatever stands in a file: it trains, or one error names file, line and reason."""

from __future__ import annotations

import functools
import json
import re
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxllm.defaults import mixture_entry, train_config
from jaxllm.errors import UserError
from jaxllm.input.batches import make_batch
from jaxllm.input.mixture import read_mixture
from jaxllm.input.report import describe_input, format_examples, format_input
from jaxllm.objectives.dpo import REFERENCE, DpoSettings, dpo_loss
from jaxllm.objectives.sft import sft_loss

_TRAINED = "trained"
_AT_A_LINE = re.compile(r".*a\.jsonl, line (\d+): .+", re.DOTALL)
_OF_THE_WHOLE = (
    *("holds no example", "has a token to train on", "tokens fill no row"),
    "pairs can be trained on",
)


def _turns(pairs) -> list[dict[str, str]]:
    return [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


_TEXT = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["猫は？", "はい。", "", " ", "\n", "\u2028", "\u0085", "\0", "\ufeff", "\ufffe"]
    ),
    st.sampled_from(
        ["\ud83d", "\udc00あ", "👩‍👩‍👧", "e\u0301", "ﾊﾟ", "\u202eabc", "</s>", "<|im_end|>"]
    ),
    st.sampled_from(
        ["\n\n### 応答:\n", "### 指示:", "a" * 100_000, "漢" * 100_000, "あ い\n" * 25_000]
    ),
)
_GOOD_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip),
    st.sampled_from(["猫は？", "\0", "a\u2028b", "\ufeff猫", "</s>", "e\u0301", "漢" * 100_000]),
)
_VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_ROLE = st.sampled_from(
    ["system", "user", "assistant", "assistant", "user", "tool", "", None, 3, ["user"]]
)
_TURN = st.one_of(
    st.fixed_dictionaries({"role": _ROLE, "content": st.one_of(_TEXT, _VALUE)}),
    st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt", "?"]), "value": _TEXT}),
    _VALUE,
)
_IN_ORDER = st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=3).map(_turns)
_GOOD_RECORD = st.one_of(
    st.fixed_dictionaries({"instruction": _GOOD_TEXT, "output": _GOOD_TEXT}),
    st.fixed_dictionaries({"prompt": _GOOD_TEXT, "completion": _GOOD_TEXT}),
    st.lists(st.tuples(_GOOD_TEXT, _GOOD_TEXT), min_size=1, max_size=3).map(
        lambda pairs: {"messages": _turns(pairs)}
    ),
)
_RECORD = st.one_of(
    st.fixed_dictionaries({"messages": st.one_of(_IN_ORDER, st.lists(_TURN, max_size=4), _VALUE)}),
    st.fixed_dictionaries(
        {"instruction": _TEXT, "input": st.one_of(_TEXT, _VALUE), "output": _TEXT}
    ),
    st.fixed_dictionaries({"prompt": _TEXT, "completion": st.one_of(_TEXT, _VALUE)}),
    st.fixed_dictionaries({"prompt": _TEXT, "chosen": _TEXT, "rejected": st.one_of(_TEXT, _VALUE)}),
    st.fixed_dictionaries({"text": st.one_of(_TEXT, _VALUE)}),
    st.dictionaries(st.sampled_from(["messages", "prompt", "output", "text", "x\0"]), _VALUE),
    _VALUE,
)


_GOOD_PAIR = st.one_of(
    st.fixed_dictionaries({"prompt": _GOOD_TEXT, "chosen": _GOOD_TEXT, "rejected": _GOOD_TEXT}),
    st.tuples(_GOOD_TEXT, _GOOD_TEXT, _GOOD_TEXT).map(
        lambda texts: {
            "chosen": _turns([(texts[0], texts[1])]),
            "rejected": _turns([(texts[0], texts[2])]),
        }
    ),
)
_ANSWER = st.one_of(_TEXT, _TEXT, _IN_ORDER, _VALUE)
_PAIR = st.one_of(
    st.fixed_dictionaries({"prompt": _TEXT, "chosen": _ANSWER, "rejected": _ANSWER}),
    st.fixed_dictionaries(
        {
            "messages": st.one_of(_IN_ORDER, st.lists(_TURN, max_size=4)),
            "chosen": _ANSWER,
            "rejected": _ANSWER,
        }
    ),
    _RECORD,
)


@st.composite
def _line(draw, pairs: bool) -> bytes:
    ascii_only = draw(st.booleans())
    text = json.dumps(draw(_PAIR if pairs else _RECORD), ensure_ascii=ascii_only)
    line = text.encode("utf-8", "surrogatepass")  # half a pair is then no UTF-8
    match draw(
        st.sampled_from(["whole"] * 12 + ["cut", "flipped", "inserted", "mark", "deep", "other"])
    ):
        case "cut":
            return line[: draw(st.integers(0, len(line)))]
        case "flipped":
            at = draw(st.integers(0, len(line) - 1))
            return line[:at] + bytes([line[at] ^ draw(st.integers(1, 255))]) + line[at + 1 :]
        case "inserted":
            at = draw(st.integers(0, len(line)))
            return (
                line[:at]
                + draw(st.sampled_from([b"\0", b"\xff", b"\xc3", b"{", b'"', b"\r", b"1e999"]))
                + line[at:]
            )
        case "mark":
            return draw(st.sampled_from([b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b"])) + line
        case "deep":
            return draw(
                st.sampled_from([b"[" * 100_000, b'{"text":' * 5000, b"1" * 5000, b'{"text": NaN}'])
            )
        case "other":
            return draw(st.binary(max_size=30))
        case _:
            return line


def _file(*, pairs: bool):
    good_line = st.tuples(_GOOD_PAIR if pairs else _GOOD_RECORD, st.booleans()).map(
        lambda pair: json.dumps(pair[0], ensure_ascii=pair[1]).encode()
    )
    lines = st.lists(st.one_of(good_line, good_line, _line(pairs)), min_size=1, max_size=5)
    return lines.flatmap(
        lambda lines: st.sampled_from([b"\n", b"\r\n"]).map(lambda end: end.join(lines))
    )


@functools.partial(jax.jit, static_argnames="config")
def _loss(params, config, batch):
    return sft_loss(params, config, batch)[:2]


@functools.partial(jax.jit, static_argnames="config")
def _pair_loss(params, config, batch):
    # A pair takes two positions at least, one of each answer.
    pairs = batch["tokens"].shape[1] // 2
    settings = DpoSettings(reference="live")
    params = {**params, REFERENCE: params}
    return dpo_loss(params, config, batch, settings=settings, pairs_per_row=pairs)[:2]


@pytest.fixture(scope="module")
def outcome(tiny_tokenizer, tiny_config, tiny_params):
    """What becomes of a file: it trains, or the message of its error."""

    def run(
        data: bytes,
        template: str,
        packing: str = "best_fit",
        truncation: str = "drop",
        pairs: bool = False,
    ) -> str:
        config = train_config()
        config.template, config.epochs = template, 1.0
        config.input.update(max_length=64, rows=2, packing=packing, truncation=truncation)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.jsonl"
            path.write_bytes(data)
            config.mixture.a = mixture_entry(f"jsonl:{path}")
            try:
                mixture = read_mixture(config, tiny_tokenizer, data_dir=folder, pairs=pairs)
            except UserError as error:
                return str(error)
            format_input(describe_input(mixture)).encode()
            format_examples(mixture.first_examples(3), tiny_tokenizer).encode()
            for step in range(min(mixture.plan.num_steps, 2)):
                batch = make_batch(mixture.plan, step, mixture.sources)
                assert batch["tokens"].max() < tiny_tokenizer.vocab_size
                loss = _pair_loss if pairs else _loss
                total, weight = loss(tiny_params, tiny_config, batch)
                assert weight > 0
                assert np.isfinite(total)
        return _TRAINED

    return run


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(
    data=_file(pairs=False),
    template=st.sampled_from(["plain", "llm_jp_3", "llm_jp_v1.3"]),
    packing=st.sampled_from(["best_fit", "none", "concat"]),
    truncation=st.sampled_from(["drop", "truncate", "error"]),
)
def test_every_file_trains_or_is_told_where_it_cannot(
    outcome, data, template, packing, truncation
) -> None:
    _check(
        data, functools.partial(outcome, template=template, packing=packing, truncation=truncation)
    )


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    data=_file(pairs=True),
    packing=st.sampled_from(["best_fit", "none"]),
    truncation=st.sampled_from(["drop", "truncate", "error"]),
)
def test_every_file_of_pairs_too(outcome, data, packing, truncation) -> None:
    _check(
        data,
        functools.partial(
            outcome, template="llm_jp_3", packing=packing, truncation=truncation, pairs=True
        ),
    )


def _check(data: bytes, outcome) -> None:
    found = outcome(data)
    if found == _TRAINED:
        return
    told = _AT_A_LINE.fullmatch(found)
    if told is None:
        assert any(reason in found for reason in _OF_THE_WHOLE), found
        return
    # The line that is named is to blame, and is the first one that is.
    lines = data.split(b"\n")
    number = int(told[1])
    named = outcome(lines[number - 1])
    assert (
        named.replace("line 1:", f"line {number}:").partition(": ")[2] == found.partition(": ")[2]
    )
    before = outcome(b"\n".join(lines[: number - 1]) + b"\n")
    # Whether two conversations fit a row is asked when all lines are read.
    assert _AT_A_LINE.fullmatch(before) is None or "rejected conversation have" in before, before


def _of_roles(*roles: str) -> bytes:
    return json.dumps({"messages": [{"role": role, "content": "a"} for role in roles]}).encode()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "\xff"}', "not valid UTF-8"),
        ('{"text": "猫"}'.encode("utf-16"), "the file is UTF-16, save it as UTF-8"),
        (b"[" * 100_000, r"cannot be read \(maximum recursion"),
        (b"1" * 5000, r"cannot be read \(Exceeds the limit"),
        (b'{"text": "a"', r"Expecting ',' delimiter at character 13"),
        (b'{"text": "a"} {"text": "b"}', "not valid JSON"),
        (b'{"text": "\\ud83d"}', "half of a surrogate pair"),
        (b'{"text": NaN}', "`text` must be a string, not float"),
        (b'"text"', "a str where a JSON object is wanted"),
        (b'{"messages": [{"role": "assistant", "content": "a"}]}', "has the role assistant"),
        (b'{"messages": [{"role": "user", "content": "a"}]}', "not with an answer"),
        (_of_roles("user", "user", "assistant"), r"messages\[1\]` has the role user, where ass"),
        (_of_roles("user", "assistant", "assistant"), "has the role assistant, where user must"),
        (_of_roles("user", "assistant", "system", "user", "assistant"), "has the role system"),
        (_of_roles("system", "system", "user", "assistant"), r"messages\[1\]` has the role system"),
        (_of_roles("user", "assistant", "system"), r"messages\[2\]` has the role system"),
        (_of_roles("system"), "ends with a system message, not with an answer"),
        (_of_roles("user", "tool", "assistant"), r"`messages\[1\].role` is 'tool'"),
        (_of_roles("User", "assistant"), r"role` is 'User'; it must be system, user or"),
        (b'{"messages": [{"role": ["user"], "content": "a"}]}', r"role` is \['user'\]"),
        (b'{"messages": [{"role": "user", "content": " "}, {}]}', r"content` is empty"),
        (b'{"messages": {"role": "user"}}', "non-empty list"),
        (b'{"messages": []}', "non-empty list"),
        ('{"prompt": "a", "completion": "\u3000"}'.encode(), "`completion` is empty"),
        (b'{"\\ud800": 1}', "has none of the fields"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(outcome, line, reason) -> None:
    found = outcome(b'{"text": "a"}\n' + line.replace(b"\n", b"") + b'\n{"text": "b"}', "plain")
    assert re.search(rf"a\.jsonl, line 2: .*{reason}", found), found


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "a\\u0000b"}',
        '{"text": "a\u2028b\u0085c"}',
        '\ufeff{"text": "a"}',
        '{"text": "👩‍👩‍👧\\ud83d\\ude00"}\r',
        '{"text": "a", "text": "b", "score": 1e999}',
        json.dumps({"text": "漢" * 100_000}),
    ],
)
def test_what_is_only_odd_trains(outcome, line) -> None:
    found = outcome(line.encode() + b'\n\n{"text": "b"}', "plain", truncation="truncate")
    assert found == _TRAINED
