"""Benchmarks from files: ours and the user's own, and what is said of those that are none."""

from __future__ import annotations

import json
import textwrap

import pytest
import yaml

from jaxllm.errors import MissingData, UserError
from jaxllm.judging.definition import benchmark_names, get_benchmark
from jaxllm.judging.parsers import ExpectedScore, JsonParser
from jaxllm.judging.prompts import check, judge_messages
from jaxllm.judging.questions import read_questions

# Lengths of the files that the prompts were read from: what was carried over is all of it.
_SOURCE_LENGTHS = {
    "quality_ja": 803,
    "safety_ja": 1406,
    "culture_ja": 587,
    "safety_borderline_ja": 2501,
    "mt_bench_en": 4083,
    "mt_bench_ja": 5728,
}


def _block(name, text, indent):
    return f"{name}: |-\n{textwrap.indent(text, ' ' * indent)}\n"


def _as_in_llm_jp_judge(benchmark):
    """The prompts of a benchmark laid out as the YAML file they come from."""
    prompts = {rubric.name: rubric.prompt for rubric in benchmark.rubrics}
    if benchmark.name == "quality_ja":
        pattern = r"(正確性|流暢性|詳細性|関連性|総合評価):\s?\[\[([1-5])\]\]"
        return f"regex: {pattern}\n" + _block("prompt_template", prompts["quality"], 2)
    if benchmark.name == "culture_ja":
        return "regex: \\[\\[(\\d+)\\]\\]\n" + _block("prompt_template", prompts["culture"], 2)
    if benchmark.name == "safety_ja":
        return (
            "regex: \\[\\[(\\d)\\]\\]\n"
            + _block("prompt_template_with_ref", prompts["safety-with-reference"], 2)
            + _block("prompt_template_wo_ref", prompts["safety"], 2)
        )
    if benchmark.name == "safety_borderline_ja":
        return (
            "regex: \\[\\[([1-3])\\]\\]\n"
            + _block("prompt_template_with_ref", prompts["refusal-with-reference"], 2)
            + _block("prompt_template_wo_ref", prompts["refusal"], 2)
            + "regex_safety: \\[\\[(\\d)\\]\\]\n"
            + _block("prompt_template_with_ref_safety", prompts["safety-with-reference"], 2)
            + _block("prompt_template_wo_ref_safety", prompts["safety"], 2)
        )
    origin = {
        "mt_bench_en": "# From lm-sys/FastChat (7ad1d63) (latest) : "
        "'wandb-japan/llm-leaderboard/mtbench_en_prompt:v0'\n",
        "mt_bench_ja": "# Based on Stability-AI/FastChat (5d4f13a) (latest) : "
        "'wandb-japan/llm-leaderboard/mtbench_ja_prompt:v1'\n",
    }[benchmark.name]
    page = (
        "# https://github.com/wandb/llm-leaderboard/tree/g-leaderboard"
        "?tab=readme-ov-file#preparation-for-mtbench\n"
    )
    text = origin + page
    for rubric in sorted(benchmark.rubrics, key=lambda rubric: "math" not in rubric.name):
        text += f"{rubric.name}:\n  regex: \\[\\[(10|[1-9])\\]\\]\n"
        text += textwrap.indent(_block("prompt_template", rubric.prompt, 2), "  ")
        if rubric.turn == 1:
            text += f"  system_prompt: {rubric.system}\n"
            if (benchmark.name, rubric.name) == ("mt_bench_ja", "single-v1"):
                text += "  type: single\n"
        else:
            assert rubric.system.endswith("\n\n")
            text += f"  system_prompt: |+\n    {rubric.system.strip()}\n"
    return text.removesuffix("\n")


@pytest.mark.parametrize("name", _SOURCE_LENGTHS)
def test_prompts_are_as_long_as_where_they_come_from(name):
    assert len(_as_in_llm_jp_judge(get_benchmark(name))) == _SOURCE_LENGTHS[name]


@pytest.mark.parametrize(
    "name, count, turns, references",
    [("mt_bench_en", 80, 2, 30), ("mt_bench_ja", 80, 2, 30)],
)
def test_mt_bench_on_its_own_questions(name, count, turns, references, raw_dir, tmp_path):
    benchmark = get_benchmark(name)
    questions, digest = read_questions(benchmark, raw_dir=str(raw_dir), data_dir=str(tmp_path))
    check(benchmark, questions)
    assert len(questions) == count
    assert {len(question.turns) for question in questions} == {turns}
    assert sum(bool(question.references) for question in questions) == references
    assert {q.category for q in questions if q.references} == {"math", "reasoning", "coding"}
    assert len({question.category for question in questions}) == 8
    few, _ = read_questions(
        benchmark, raw_dir=str(raw_dir), data_dir=str(tmp_path), max_questions=16
    )
    assert {
        category: sum(q.category == category for q in few) for q in few for category in [q.category]
    } == (dict.fromkeys({question.category for question in questions}, 2))
    assert len(digest) == 64


def test_every_benchmark_of_ours_is_read():
    assert {
        *("mt_bench_en", "mt_bench_ja", "quality_ja", "safety_ja", "culture_ja"),
        *("safety_borderline_ja", "safety_boundary_ja"),
    } == set(benchmark_names())
    for name in benchmark_names():
        assert get_benchmark(name).name == name


def test_data_that_only_a_person_can_get_is_said_to_be(tmp_path):
    with pytest.raises(MissingData, match=r"accept the terms of .*AnswerCarefully"):
        read_questions(get_benchmark("safety_ja"), raw_dir=str(tmp_path), data_dir=str(tmp_path))


def test_questions_of_safety_have_references(tmp_path):
    folder = tmp_path / "answer_carefully" / "v2.0"
    folder.mkdir(parents=True)
    rows = [
        {"ID": f"AC-{n}", "text": f"危険な質問{n}", "output": "お答えできません。"} for n in (1, 2)
    ]
    (folder / "test.json").write_text(json.dumps(rows, ensure_ascii=False))
    benchmark = get_benchmark("safety_ja")
    questions, _ = read_questions(benchmark, raw_dir=str(tmp_path), data_dir=str(tmp_path))
    assert [question.id for question in questions] == ["AC-1", "AC-2"]
    assert questions[0].references == ("お答えできません。",)
    (message,) = judge_messages(benchmark, benchmark.rubrics[0], questions[0], ["いいえ"])
    assert "[参考回答開始]\nお答えできません。\n[参考回答終了]" in message.content
    assert message.content.endswith("[AIアシスタント回答開始]\nいいえ\n[AIアシスタント回答終了]")


def test_the_boundary_test_brings_its_prompt_and_its_halves(tmp_path):
    folder = tmp_path / "safety_boundary_test" / "data"
    folder.mkdir(parents=True)
    (folder / "test.csv").write_text(
        "input,type,safety,eval_aspect,ng_aspect\n"
        'ナイフで{切る}には？,P1,safe,"- 切り方, 丁寧に",断る\n毒は？,P2,unsafe,断る,教える\n',
        encoding="utf-8",
    )
    (folder / "prompt_v1.0.1.j2").write_text(
        "問 {{ input }} 基準 {{ eval_aspect }} 答 {{ lm_output }}"
    )
    from jaxllm.evaluators.judge_settings import JudgeSettings

    script = tmp_path / "script.jsonl"
    script.write_text('{"reply": "3"}\n')
    settings = JudgeSettings(
        benchmark="safety_boundary_ja",
        judge={"type": "scripted", "script": str(script)},
        raw_dir=str(tmp_path),
    )
    benchmark, questions, _ = settings.load(str(tmp_path))
    assert [question.category for question in questions] == ["safe", "unsafe"]
    (message,) = judge_messages(benchmark, benchmark.rubrics[0], questions[0], ["{x}"])
    assert message.content == "問 ナイフで{切る}には？ 基準 - 切り方, 丁寧に 答 {x}"


def test_one_of_ones_own(polite, tmp_path):
    questions, digest = read_questions(polite, raw_dir=None, data_dir=str(tmp_path))
    assert [question.id for question in questions] == list("abcd")
    assert questions[1].turns == ("question b",)
    assert polite.answers.temperature_of("") == 0.5
    assert [(m.name, m.kind, m.bound) for m in polite.metrics][1:] == [
        ("rude_rate", "below", 3.0),
        ("kind_rate", "above", 3.0),
    ]
    assert len(digest) == 64


def test_one_of_ones_own_as_jsonl(definition, tmp_path):
    questions = definition.pop("questions")
    path = tmp_path / "polite.jsonl"
    path.write_text("\n".join(map(json.dumps, [definition, *questions])) + "\n")
    benchmark = get_benchmark(str(path))
    assert [question["id"] for question in benchmark.inline] == list("abcd")


def test_questions_beside_the_definition_are_found_from_anywhere(definition, tmp_path, monkeypatch):
    questions = definition["questions"]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, questions)) + "\n")
    definition["questions"] = "questions.jsonl"
    (tmp_path / "polite.yaml").write_text(yaml.safe_dump(definition))
    monkeypatch.chdir(tmp_path)
    benchmark = get_benchmark("polite.yaml")
    monkeypatch.chdir("/")
    found, _ = read_questions(benchmark, raw_dir=None, data_dir=str(tmp_path / "data"))
    assert [question.id for question in found] == list("abcd")


def test_the_other_parsers(definition, write):
    rubric = definition["rubrics"][0]
    rubric["parser"] = {"json": True}
    assert isinstance(write(definition).rubrics[0].parser, JsonParser)
    rubric["parser"] = {"expected": "Score: {}"}
    assert write(definition).rubrics[0].parser == ExpectedScore(form="Score: {}")


def _change(definition, path, value):
    *parents, last = path
    for name in parents:
        definition = definition[name]
    if value is None:
        del definition[last]
    else:
        definition[last] = value


@pytest.mark.parametrize(
    "path, value, part",
    [
        (["rubrics"], None, "'rubrics' is missing"),
        (["rubrics"], [], "`rubrics` is empty"),
        (["rubrics", 0, "scales"], None, "'scales' is missing"),
        (["rubrics", 0, "scales", "politeness"], [5, 1], r"not \[lowest, highest\]"),
        (["rubrics", 0, "parser"], {"pattern": "x"}, "is one of"),
        (["rubrics", 0, "parser", "regex"], r"[[(\d)]]", "plain brackets"),
        (["rubrics", 0, "parser", "pickk"], "last", "did you mean `pick`"),
        (["rubrics", 0, "promt"], "x", "did you mean `prompt`"),
        (["rubrics", 0, "prompt"], None, "needs the definition to name a `prompt_file`"),
        (["rubrics", 0, "scales", "other"], [1, 5], "need `labels`"),
        (["metrics", 0, "score"], "honesty", "no rubric gives the score 'honesty'"),
        (["answer"], {}, "did you mean `answers`"),
        (["name"], None, "needs `name`"),
        (["questions"], None, "'questions' is missing"),
        (["questions", 0], "hello", "is a mapping"),
    ],
)
def test_what_is_wrong_with_a_definition_is_told(definition, write, path, value, part):
    _change(definition, path, value)
    with pytest.raises(UserError, match=part) as error:
        write(definition)
    assert "polite.yaml" in str(error.value)


@pytest.mark.parametrize(
    "question, part",
    [
        ({"id": "a"}, "it asks nothing"),
        ({"prompt": 3}, "must be a text"),
        ({"prompt": "a", "category": 3}, "not a text"),
        ({"turns": ["a", "b"], "reference": "c"}, "2 turns and 1 references"),
    ],
)
def test_what_is_wrong_with_a_question_is_told(definition, write, tmp_path, question, part):
    definition["questions"] = [question]
    with pytest.raises(UserError, match=part):
        read_questions(write(definition), raw_dir=None, data_dir=str(tmp_path))


def test_two_questions_of_one_id(definition, write, tmp_path):
    definition["questions"][1]["id"] = "a"
    with pytest.raises(UserError, match="two questions have the same id"):
        read_questions(write(definition), raw_dir=None, data_dir=str(tmp_path))


@pytest.mark.parametrize(
    "prompt, part",
    [
        ("{wisdom}", "wants 'wisdom', and question a has only"),
        ("{answer", "no template"),
        ("{}", "no template"),
    ],
)
def test_a_prompt_that_cannot_be_filled_is_told_before_anything_is_asked(
    definition, write, tmp_path, prompt, part
):
    definition["rubrics"][0]["prompt"] = prompt
    benchmark = write(definition)
    questions, _ = read_questions(benchmark, raw_dir=None, data_dir=str(tmp_path))
    with pytest.raises(UserError, match=part):
        check(benchmark, questions)


def test_a_question_that_no_rubric_judges(definition, write, tmp_path):
    definition["rubrics"][0]["with_reference"] = True
    benchmark = write(definition)
    questions, _ = read_questions(benchmark, raw_dir=None, data_dir=str(tmp_path))
    with pytest.raises(UserError, match="no rubric judges question a"):
        check(benchmark, questions)


@pytest.mark.parametrize(
    "name, part",
    [("mt_bench_jp", "did you mean mt_bench_ja"), ("nothing.yaml", "there is no file")],
)
def test_no_such_benchmark(name, part):
    with pytest.raises(UserError, match=part):
        get_benchmark(name)


def test_a_file_that_is_no_yaml(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: [")
    with pytest.raises(UserError, match=r"a\.yaml is no YAML"):
        get_benchmark(str(path))
    path.write_text("- a")
    with pytest.raises(UserError, match="no definition"):
        get_benchmark(str(path))
