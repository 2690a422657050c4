"""Answers and judgments of FastChat and llm-jp-judge: read, written, and written as they do it."""

from __future__ import annotations

import json

import pytest

from jaxllm.errors import UserError
from jaxllm.judging import fastchat_files, llm_jp_judge_answers, llm_jp_judge_tables
from jaxllm.judging.answers import Answer
from jaxllm.judging.benchmark import Question
from jaxllm.judging.definition import get_benchmark
from jaxllm.judging.files import read_answers, read_judgments
from jaxllm.judging.judgments import Judgment

# As FastChat leaves it; shortened.
_MODEL_ANSWER = {
    "question_id": 81,
    "answer_id": "TFomieEmmAgdeCkvmuvwbc",
    "model_id": "vicuna-13b",
    "choices": [{"index": 0, "turns": ["Aloha!", "A trip"]}],
    "tstamp": 1686286924.84,
}
_MODEL_JUDGMENT = {
    "question_id": 61,
    "model": "vicuna-13b",
    "judge": ["gpt-4", "single-v1-multi-turn"],
    "user_prompt": "<|The Start of Assistant A's Conversation with User|>",
    "judgment": "Poor. Rating: [[2]]",
    "score": 2,
    "turn": 2,
    "tstamp": 1700367448.53,
}


def _jsonl(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def _judgment(question, scores, *, rubric="safety", turn=1, text="x", **fields):
    return Judgment(
        question=question,
        sample=0,
        rubric=rubric,
        turn=turn,
        vote=0,
        prompt="p",
        text=text,
        scores=scores,
        **fields,
    )


def test_fastchat_answers_there_and_back(tmp_path):
    path = _jsonl(tmp_path / "vicuna.jsonl", _MODEL_ANSWER)
    model, answers = fastchat_files.read_answers(path)
    assert model == "vicuna-13b"
    assert answers == [
        Answer(question="81", sample=0, turns=("Aloha!", "A trip"), made_at=1686286924.84)
    ]
    (line,) = fastchat_files.answer_lines(answers, model)
    assert {**line, "answer_id": _MODEL_ANSWER["answer_id"]} == _MODEL_ANSWER


def test_samples_are_choices_and_what_is_missing_stays_so(tmp_path):
    answers = [
        Answer(question="1", sample=0, turns=("a", "b"), made_at=1.0),
        Answer(question="1", sample=1, turns=("", None), errors=("busy",), made_at=2.0),
    ]
    (line,) = fastchat_files.answer_lines(answers, "m")
    assert [choice["turns"] for choice in line["choices"]] == [["a", "b"], ["", ""]]
    _, again = fastchat_files.read_answers(_jsonl(tmp_path / "m.jsonl", line))
    assert again[0].turns == ("a", "b")
    assert again[1].turns == (None, None)  # an answer that failed is not judged, wherever it broke


def test_fastchat_judgments_there_and_back(tmp_path):
    benchmark = get_benchmark("mt_bench_en")
    failed = _MODEL_JUDGMENT | {"question_id": 62, "score": -1, "judgment": "?"}
    path = _jsonl(tmp_path / "gpt-4_single.jsonl", _MODEL_JUDGMENT, failed)
    found = fastchat_files.read_judgments(path, benchmark)
    assert list(found) == [("vicuna-13b", "gpt-4")]
    judgments = found["vicuna-13b", "gpt-4"]
    assert [(one.question, one.turn, one.scores) for one in judgments] == [
        ("61", 2, {"rating": 2.0}),
        ("62", 2, None),
    ]
    lines = list(fastchat_files.judgment_lines(judgments, "vicuna-13b", "gpt-4"))
    for line, record in zip(lines, (_MODEL_JUDGMENT, failed), strict=True):
        assert {name: line[name] for name in record} == record
    again = fastchat_files.read_judgments(_jsonl(tmp_path / "again.jsonl", *lines), benchmark)
    assert again == found


def test_several_models_of_a_folder(tmp_path):
    _jsonl(tmp_path / "a.jsonl", _MODEL_ANSWER)
    _jsonl(tmp_path / "b.jsonl", _MODEL_ANSWER | {"model_id": "other"})
    found = read_answers([tmp_path], get_benchmark("mt_bench_en"))
    assert {name: len(answers) for name, (_, answers) in found.items()} == {
        "vicuna-13b": 1,
        "other": 1,
    }


def test_two_models_in_one_file(tmp_path):
    path = _jsonl(tmp_path / "a.jsonl", _MODEL_ANSWER, _MODEL_ANSWER | {"model_id": "other"})
    with pytest.raises(UserError, match="holds answers of vicuna-13b, other"):
        fastchat_files.read_answers(path)


@pytest.mark.parametrize(
    "record, part",
    [
        ({"question_id": 1}, "no answer as FastChat writes them"),
        ({"question_id": 1, "choices": [{"turns": [3]}]}, "no answer as FastChat"),
        ({"question_id": 1, "choices": [{"index": "x", "turns": []}]}, "no answer as FastChat"),
    ],
)
def test_files_that_are_no_answers(tmp_path, record, part):
    with pytest.raises(UserError, match=part) as error:
        fastchat_files.read_answers(_jsonl(tmp_path / "a.jsonl", record))
    assert "line 1" in str(error.value)


@pytest.mark.parametrize(
    "change, part",
    [
        ({"judge": "gpt-4"}, "no judgment as FastChat"),
        ({"judge": ["gpt-4", "pair-v2"]}, "has no rubric 'pair-v2'"),
        ({"score": "high"}, "no judgment as FastChat"),
        ({"user_prompt": None}, "no judgment as FastChat"),
    ],
)
def test_files_that_are_no_judgments(tmp_path, change, part):
    path = _jsonl(tmp_path / "j.jsonl", _MODEL_JUDGMENT | change)
    with pytest.raises(UserError, match=part):
        read_judgments(path, get_benchmark("mt_bench_en"))


def test_nothing_there(tmp_path):
    benchmark = get_benchmark("mt_bench_en")
    (tmp_path / "a.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "nothing.jsonl", tmp_path / "a.txt"):
        with pytest.raises(UserError):
            read_answers([path], benchmark)
        with pytest.raises(UserError):
            read_judgments(path, benchmark)


def test_llm_jp_judge_answers_of_both_versions(tmp_path):
    old, new = tmp_path / "v1", tmp_path / "v2"
    for folder in (old, new):
        folder.mkdir()
        (folder / "metadata.json").write_text('{"model_name": "llm-jp-3"}')
    row = {"ID": 5, "text": "q", "prompt": "q", "reference": "r", "response": "a"}
    _jsonl(old / "safety.jsonl", row, row | {"ID": 6, "response": None, "error_messages": ["busy"]})
    listed = {"ID": 5, "prompt": ["q"], "response": ["a"], "error_messages": [[]], "text": ["q"]}
    failed = listed | {"ID": 6, "response": [None], "error_messages": [["busy"]]}
    _jsonl(new / "safety_ja.jsonl", listed, failed)
    for folder in (old, new):
        ((model, (_, answers)),) = read_answers([folder], get_benchmark("safety_ja")).items()
        assert model == "llm-jp-3"
        assert [(one.question, one.turns, one.errors) for one in answers] == [
            ("5", ("a",), ()),
            ("6", (None,), ("busy",)),
        ]
    with pytest.raises(UserError, match=r"no answers to quality_ja: looked for quality_ja\.jsonl"):
        read_answers([new], get_benchmark("quality_ja"))


def test_llm_jp_judge_answers_are_written_as_version_2_does(tmp_path):
    questions = [Question(id="7", category="math", turns=("q1", "q2"), references=("r1", "r2"))]
    answers = [
        Answer(question="7", sample=0, turns=("a1", None), errors=("busy",)),
        Answer(question="7", sample=1, turns=("b1", "b2")),
    ]
    llm_jp_judge_answers.write_answers(tmp_path, "mt_bench_ja", "m", questions, answers)
    (line,) = map(json.loads, (tmp_path / "mt_bench_ja.jsonl").read_text().splitlines())
    assert line == {
        "ID": 7,
        "prompt": ["q1", "q2"],
        "response": ["a1", None],
        "error_messages": [[], ["busy"]],
        "pattern": [None, None],
        "text": ["q1", "q2"],
        "reference": ["r1", "r2"],
        "category": "math",
    }
    _, model, again = llm_jp_judge_answers.read_answers(tmp_path, "mt_bench_ja")
    assert (model, [one.turns for one in again]) == ("m", [("a1", None)])


def test_score_tables_have_the_names_and_percents_of_llm_jp_judge(tmp_path):
    benchmark = get_benchmark("safety_ja")
    questions = [Question(id=name, category="", turns=("q",)) for name in "abcd"]
    scores = ({"safety": 5.0}, {"safety": 3.0}, {"safety": 1.0}, None)
    judgments = [
        _judgment(question.id, score) for question, score in zip(questions, scores, strict=True)
    ]
    llm_jp_judge_tables.write_tables(
        tmp_path, benchmark, questions, judgments, model="m", judge="gpt-4o"
    )
    (row,) = json.loads((tmp_path / "score_table.json").read_text())
    assert row == pytest.approx(
        {
            "generation_model": "m",
            "evaluation_model": "gpt-4o",
            "safety_ja:安全性": 3.0,
            "safety_ja:違反回答率(%)": 100 / 3,
            "safety_ja:許容回答率(%)": 100 / 3,
        }
    )
    (rates,) = json.loads((tmp_path / "evaluate_error_rate_table.json").read_text())
    assert (rates["safety_ja:api(%)"], rates["safety_ja:pattern_match(%)"]) == (0, 25)
    found = read_judgments(tmp_path, benchmark)
    assert list(found) == [("m", "gpt-4o")]
    assert [one.scores for one in found["m", "gpt-4o"]] == list(scores)


def test_mt_bench_tables(tmp_path):
    benchmark = get_benchmark("mt_bench_en")
    questions = [
        Question(id="1", category="writing", turns=("a", "b")),
        Question(id="2", category="math", turns=("a", "b"), references=("c", "d")),
    ]
    judgments = [
        _judgment("1", {"rating": 8.0}, rubric="single-v1"),
        _judgment("1", {"rating": 6.0}, rubric="single-v1-multi-turn", turn=2),
        _judgment("2", {"rating": 3.0}, rubric="single-math-v1"),
        _judgment("2", None, rubric="single-math-v1-multi-turn", turn=2, text=""),
    ]
    llm_jp_judge_tables.write_tables(
        tmp_path, benchmark, questions, judgments, model="m", judge="j"
    )
    names = {"generation_model": "m", "evaluation_model": "j"}
    (turns,) = json.loads((tmp_path / "mt_bench_en_turn_score_table.json").read_text())
    assert turns == names | {"turn 1": 5.5, "turn 2": 6.0, "average": pytest.approx(17 / 3)}
    (categories,) = json.loads((tmp_path / "mt_bench_en_category_score_table.json").read_text())
    assert list(categories.items())[2:] == [
        ("math", 3.0),
        ("writing", 7.0),
        ("average", pytest.approx(17 / 3)),
    ]
    (scores,) = json.loads((tmp_path / "score_table.json").read_text())
    assert scores == names | {"mt_bench_en": pytest.approx(17 / 3)}
    found = read_judgments(tmp_path, benchmark)["m", "j"]
    assert [(one.question, one.turn, one.rubric, one.scores) for one in found] == [
        (one.question, one.turn, one.rubric, one.scores) for one in judgments
    ]


def test_quality_and_refusal_tables_come_back(tmp_path):
    question = Question(id="1", category="", turns=("q",), references=("r",))
    five = {
        "overall": 5.0,
        "factuality": 1.0,
        "fluency": 2.0,
        "detailedness": 3.0,
        "relevance": 4.0,
    }
    cases = {
        "quality_ja": [_judgment("1", five, rubric="quality")],
        "safety_borderline_ja": [
            _judgment("1", {"borderline": 2.0}, rubric="refusal-with-reference"),
            _judgment("1", {"safety": 4.0}, rubric="safety-with-reference"),
        ],
    }
    for name, judgments in cases.items():
        benchmark = get_benchmark(name)
        llm_jp_judge_tables.write_tables(
            tmp_path / name, benchmark, [question], judgments, model="m", judge="j"
        )
        found = read_judgments(tmp_path / name, benchmark)["m", "j"]
        assert [(one.rubric, one.scores) for one in found] == [
            (one.rubric, one.scores) for one in judgments
        ]
    (row,) = json.loads((tmp_path / "safety_borderline_ja" / "score_table.json").read_text())
    assert row["safety_borderline_ja:回答拒否率(%)"] == 100


def test_a_boundary_score_that_a_failed_call_got_is_in_the_whole_and_not_in_its_half(tmp_path):
    benchmark = get_benchmark("safety_boundary_ja")
    questions = [
        Question(id=str(index), category=category, turns=("q",))
        for index, category in enumerate(("safe", "safe", "unsafe"))
    ]
    judgments = [
        _judgment("0", {"boundary": 3.0}, rubric="boundary"),
        _judgment("1", {"boundary": 0.0}, rubric="boundary", text="", imputed=True),
        _judgment("2", {"boundary": 1.0}, rubric="boundary"),
    ]
    llm_jp_judge_tables.write_tables(
        tmp_path, benchmark, questions, judgments, model="m", judge="j"
    )
    (row,) = json.loads((tmp_path / "score_table.json").read_text())
    assert row["safety_boundary_ja:安全性境界"] == pytest.approx(4 / 3)
    assert (row["safety_boundary_ja:safe"], row["safety_boundary_ja:unsafe"]) == (3.0, 1.0)
