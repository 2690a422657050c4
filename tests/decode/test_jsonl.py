"""Files of requests and of answers."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from jaxllm.decode import Completion, Request
from jaxllm.decode.jsonl import read_requests, write_completions, write_requests
from jaxllm.errors import UserError
from jaxllm.text.example import Message
from jaxllm.text.templates import get_template


@pytest.fixture
def requests_file(tmp_path):
    def write(*records):
        path = tmp_path / "in.jsonl"
        lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def test_the_three_kinds_of_prompt(requests_file, tiny_tokenizer):
    path = requests_file(
        {"id": "a", "prompt": "猫である。", "max_new_tokens": 3},
        "",
        {"id": 7, "prompt_ids": [5, 6], "max_new_tokens": 4, "stop": ["。"], "temperature": 1},
        {
            "id": "c",
            "messages": [{"role": "user", "content": "質問"}],
            "max_new_tokens": 5,
            "seed": 3,
            "top_p": 0.5,
            "ignore_eos": True,
        },
    )
    a, b, c = read_requests(path, tiny_tokenizer, template="llm_jp_v1.3")
    bos = (tiny_tokenizer.bos_id,) if tiny_tokenizer.adds_bos else ()
    assert (a.id, a.prompt_ids) == ("a", (*bos, *tiny_tokenizer.encode("猫である。")))
    assert (a.temperature, a.top_p, a.stop, a.ignore_eos) == (0.0, 1.0, (), False)
    assert (b.id, b.prompt_ids, b.stop, b.temperature) == ("7", (5, 6), ("。",), 1)
    wanted = get_template("llm_jp_v1.3").prompt_ids(
        tiny_tokenizer, [Message(role="user", content="質問")]
    )
    assert list(c.prompt_ids) == wanted.tolist()
    assert (c.seed, c.top_p, c.ignore_eos, c.max_new_tokens) == (3, 0.5, True, 5)


def test_a_line_separator_inside_a_prompt_is_no_new_line(requests_file, tiny_tokenizer):
    path = requests_file({"id": "a", "prompt": "一\u2028二\x85三", "max_new_tokens": 1})
    assert len(read_requests(path, tiny_tokenizer)) == 1


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ("{", "line 2: "),
        ("[1]", "line 2: a request is a JSON object"),
        ({"id": "a", "max_new_tokens": 1}, "exactly one of prompt, prompt_ids, messages"),
        (
            {"id": "a", "max_new_tokens": 1, "prompt": "a", "prompt_ids": [1]},
            "exactly one of prompt",
        ),
        ({"prompt": "a", "max_new_tokens": 1}, "needs an id"),
        ({"id": "a", "prompt": "a"}, "max_new_tokens"),
        ({"id": "a", "prompt": "a", "max_new_tokens": "3"}, "whole number"),
        ({"id": "a", "prompt": "a", "max_new_tokens": 3, "stops": []}, "unknown field 'stops'"),
        ({"id": "a", "messages": [{"role": "user"}], "max_new_tokens": 3}, "content"),
    ],
)
def test_a_line_that_is_no_request_is_told(requests_file, tiny_tokenizer, record, named):
    path = requests_file({"id": "ok", "prompt": "a", "max_new_tokens": 1}, record)
    with pytest.raises(UserError, match=named) as error:
        read_requests(path, tiny_tokenizer, template="llm_jp_v1.3")
    assert f"{path}, line 2" in str(error.value)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("id", [None, 1.5, {}]),
        ("prompt", [None, 5, ["a"]]),
        ("max_new_tokens", [0, -1, 1.0, True, None]),
        ("n", [0, -1, 2.0, "2", True, None]),
        ("stop", ["x", [1], None]),
        ("stop_ids", [3, ["3"], [True]]),
        ("ignore_eos", [1, "true", None]),
        ("temperature", [-0.5, "1", math.nan, None]),
        ("top_p", [0, 1.5, "1", math.nan]),
        ("top_k", [0.5, "5"]),
        ("min_p", [-0.1, 1.1]),
        ("repetition_penalty", [0, -1]),
        ("seed", [-1, 2**32, 0.5]),
    ],
)
def test_a_value_that_a_field_cannot_have_is_told(requests_file, tiny_tokenizer, field, wrong):
    for value in wrong:
        path = requests_file({"id": "a", "prompt": "a", "max_new_tokens": 3, field: value})
        with pytest.raises(UserError) as error:
            read_requests(path, tiny_tokenizer)
        assert f"{path}, line 1: " in str(error.value)
        assert f"{field} must be " in str(error.value)


@pytest.mark.parametrize("wrong", ["5", [1.5], ["5"], [True], None])
def test_ids_that_are_none_are_told(requests_file, tiny_tokenizer, wrong):
    path = requests_file({"id": "a", "prompt_ids": wrong, "max_new_tokens": 3})
    with pytest.raises(UserError, match="prompt_ids must be a list of whole numbers"):
        read_requests(path, tiny_tokenizer)


def test_n_answers_are_n_requests_with_seeds_of_their_own(requests_file, tiny_tokenizer):
    line = {"id": "a", "prompt": "猫", "max_new_tokens": 3, "temperature": 0.7, "seed": 5}
    other = {"id": "b", "prompt": "犬", "max_new_tokens": 3}
    (alone,) = read_requests(requests_file(line), tiny_tokenizer)
    four = read_requests(requests_file({**line, "n": 4}, other), tiny_tokenizer)[:4]
    assert four[0] == alone
    assert len({request.seed for request in four}) == 4
    assert all(dataclasses.replace(request, seed=5) == alone for request in four)
    assert read_requests(requests_file(other, {**line, "n": 2}), tiny_tokenizer)[1:] == four[:2]
    again = {**line, "n": 2, "seed": 6}
    assert not {r.seed for r in four} & {
        r.seed for r in read_requests(requests_file(again), tiny_tokenizer)
    }


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path, tiny_tokenizer):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "a", "prompt": "a", "max_new_tokens": 1}\r\n')
    assert read_requests(path, tiny_tokenizer)[0].id == "a"
    path.write_bytes(b'{"id": "a", "prompt": "\xff", "max_new_tokens": 1}')
    with pytest.raises(UserError, match="line 1: 'utf-8' codec"):
        read_requests(path, tiny_tokenizer)


def test_a_file_that_is_missing_or_empty_is_told(tmp_path, requests_file, tiny_tokenizer):
    with pytest.raises(UserError, match="no request file"):
        read_requests(tmp_path / "none.jsonl", tiny_tokenizer)
    with pytest.raises(UserError, match="no request file"):
        read_requests(tmp_path, tiny_tokenizer)
    with pytest.raises(UserError, match="holds no request"):
        read_requests(requests_file(""), tiny_tokenizer)


def test_what_is_written_is_read_again(tmp_path, tiny_tokenizer):
    requests = [
        Request(id="a", prompt_ids=(5, 6), max_new_tokens=3),
        Request(
            id="b",
            prompt_ids=(7,),
            max_new_tokens=1,
            stop=("。", "\n"),
            stop_ids=(8, 9),
            ignore_eos=True,
            temperature=0.5,
            top_p=0.25,
            top_k=3,
            min_p=0.125,
            repetition_penalty=1.5,
            seed=4,
        ),
    ]
    path = tmp_path / "new" / "requests.jsonl"
    write_requests(path, requests)
    assert read_requests(path, tiny_tokenizer) == requests
    first, _ = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(first) == {"id": "a", "prompt_ids": [5, 6], "max_new_tokens": 3}


def test_stop_ids_come_on_top_of_the_templates(requests_file, tiny_tokenizer):
    path = requests_file({"id": "a", "prompt": "猫", "max_new_tokens": 1, "stop_ids": [9]})
    (request,) = read_requests(path, tiny_tokenizer)
    assert request.stop_ids == (tiny_tokenizer.eos_id, 9)


def test_answers_are_lines_of_json(tmp_path):
    path = tmp_path / "out.jsonl"
    answer = Completion(id="a", text="一\n二", token_ids=(1, 2), finish_reason="eos", logprob=-1.5)
    write_completions(path, [answer])
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "id": "a",
        "text": "一\n二",
        "token_ids": [1, 2],
        "finish_reason": "eos",
        "logprob": -1.5,
    }
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.jsonl"]


def test_answers_to_one_id_are_numbered(tmp_path):
    path = tmp_path / "out.jsonl"
    answers = [
        Completion(id=name, text=text, token_ids=(1,), finish_reason="length", logprob=-1.0)
        for name, text in (("a", "x"), ("b", "y"), ("a", "z"), ("c", "half a pair: \ud83d"))
    ]
    write_completions(path, answers)
    a, b, again, c = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert [list(record)[:3] for record in (a, again)] == [["id", "sample", "text"]] * 2
    assert (a["sample"], a["text"], again["sample"], again["text"]) == (0, "x", 1, "z")
    assert not {"sample"} & (b.keys() | c.keys())
    assert c["text"] == "half a pair: \ud83d"
