from __future__ import annotations

import pytest

from jaxllm.annotation.answers import read_answers, read_questions
from jaxllm.errors import UserError
from jaxllm.text.example import Message


def test_questions_of_both_forms(write_jsonl):
    path = write_jsonl(
        "questions.jsonl",
        {"id": "a", "prompt": "日本の首都は？", "max_new_tokens": 8},
        "",
        {
            "id": "b",
            "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        },
        {"question_id": 81, "category": "writing", "turns": ["first", "second"]},
    )
    first, second, third = read_questions(path)
    assert (first.id, first.turns) == ("a", ((Message(role="user", content="日本の首都は？"),),))
    assert [message.role for message in second.turns[0]] == ["system", "user"]
    assert third.id == "81"
    assert [turn[0].content for turn in third.turns] == ["first", "second"]


def test_answers_of_both_forms_and_their_models_names(write_jsonl):
    ours = write_jsonl("sft.jsonl", {"id": "a", "text": "東京", "token_ids": [1], "logprob": -1.0})
    answers = read_answers(ours)
    assert (answers.model, answers.turns) == ("sft", {"a": ("東京",)})
    fastchat = write_jsonl(
        "x.jsonl",
        {
            "question_id": 81,
            "model_id": "m",
            "choices": [{"index": 0, "turns": ["one", "two"]}, {"index": 1, "turns": ["x", "y"]}],
        },
    )
    answers = read_answers(fastchat)
    assert (answers.model, answers.turns) == ("m", {"81": ("one", "two")})
    assert answers.num_left_out == 1
    assert read_answers(fastchat, model="named").model == "named"


def test_half_a_surrogate_pair_becomes_the_replacement_character(write_jsonl):
    path = write_jsonl("a.jsonl", '{"id": "a", "text": "x\\ud83dy \\ud83d\\ude00"}')
    assert read_answers(path).turns["a"] == ("x\ufffdy 😀",)


@pytest.mark.parametrize(
    "line, reason",
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: not a JSON object"),
        ({"prompt": "x"}, "line 2: wants an `id`"),
        ({"id": "a", "prompt": "x"}, "line 2: question a stands here twice"),
        ({"id": "b", "prompt_ids": [1]}, "line 2: no question"),
        ({"id": "b", "prompt": 3}, "line 2: `prompt` must be text, not 3"),
        ({"id": "b", "messages": []}, "line 2: `messages` holds no message"),
        ({"id": "b", "messages": [{"role": "judge", "content": "x"}]}, "a message needs `role`"),
        ({"id": "b", "turns": []}, "line 2: `turns` holds no text"),
    ],
)
def test_a_line_that_is_no_question_is_told(write_jsonl, line, reason):
    path = write_jsonl("questions.jsonl", {"id": "a", "prompt": "x"}, line)
    with pytest.raises(UserError, match=reason):
        read_questions(path)


@pytest.mark.parametrize(
    "line, reason",
    [
        ({"id": "a", "text": "again"}, "line 2: question a is answered twice"),
        ({"id": "b", "choices": []}, "line 2: `choices` holds no answer"),
        ({"id": "b", "choices": [{"turns": [None]}]}, "line 2: `turns` must be text, not null"),
        ({"id": "b", "output": "x"}, "line 2: no answer"),
    ],
)
def test_a_line_that_is_no_answer_is_told(write_jsonl, line, reason):
    path = write_jsonl("answers.jsonl", {"id": "a", "text": "x"}, line)
    with pytest.raises(UserError, match=reason):
        read_answers(path)


def test_two_models_in_one_file_are_told(write_jsonl):
    lines = [
        {"question_id": n, "model_id": name, "choices": [{"turns": ["x"]}]}
        for n, name in enumerate("pq")
    ]
    with pytest.raises(UserError, match="holds answers of p, q: one file for each model"):
        read_answers(write_jsonl("answers.jsonl", *lines))


def test_files_that_cannot_be_read_are_told(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        read_answers(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        read_questions(tmp_path / "empty.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\xe9")
    with pytest.raises(UserError, match="is not UTF-8"):
        read_questions(tmp_path / "latin.jsonl")
