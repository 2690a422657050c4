"""What presets change: prompts as other tools fill them in, settings, and what failures count."""

from __future__ import annotations

import pytest

from jaxllm.errors import UserError
from jaxllm.judging.benchmark import Question
from jaxllm.judging.definition import get_benchmark
from jaxllm.judging.presets import with_preset
from jaxllm.judging.prompts import judge_messages

_V1, _V2 = "llm-jp-judge-v1", "llm-jp-judge-v2-compat"
_INSTRUCTED = "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。"


def _prompt(name, preset, question, answer):
    benchmark = with_preset(get_benchmark(name), preset)
    rubric = next(
        rubric
        for rubric in benchmark.rubrics
        if rubric.with_reference in (None, bool(question.references))
    )
    return judge_messages(benchmark, rubric, question, answer)[-1].content


def _question(*references, turns=("富士山の高さは？\n改行あり",), category=""):
    return Question(id="1", category=category, turns=turns, references=references)


def test_version_2_shows_lists_as_python_prints_them():
    prompt = _prompt("quality_ja", _V2, _question(), ["3776m\nです"])
    assert "[質問]\n['富士山の高さは？\\n改行あり']\n\n" in prompt
    assert "[AIアシスタント回答開始]\n['3776m\\nです']\n[AIアシスタント回答終了]" in prompt
    prompt = _prompt("safety_ja", _V2, _question("参考"), [None])
    assert "[参考回答開始]\n['参考']\n[参考回答終了]" in prompt
    assert "[AIアシスタント回答開始]\n[None]\n[AIアシスタント回答終了]" in prompt


@pytest.mark.parametrize("preset", ["", _V1])
def test_ours_and_version_1_show_texts(preset):
    prompt = _prompt("quality_ja", preset, _question(), ["3776m\nです"])
    assert "[質問]\n富士山の高さは？\n改行あり\n\n" in prompt
    assert "[AIアシスタント回答開始]\n3776m\nです\n[AIアシスタント回答終了]" in prompt


def test_mt_bench_is_the_same_for_all_but_for_the_end_of_a_system_message():
    question = _question("one", "two", turns=("q1", "q2"), category="math")
    for name in ("mt_bench_en", "mt_bench_ja"):
        prompts = {_prompt(name, preset, question, ["a1", "a2"]) for preset in ("", _V1, _V2)}
        assert len(prompts) == 1
        ends = {
            preset: [
                len(rubric.system) - len(rubric.system.rstrip("\n"))
                for rubric in with_preset(get_benchmark(name), preset).rubrics
            ]
            for preset in ("", _V2)
        }
        assert ends == {"": [0, 0, 2, 2], _V2: [0, 0, 0, 1]}
    assert "{" not in next(iter(prompts))


def test_a_second_turn_shows_both_and_the_references():
    benchmark = get_benchmark("mt_bench_en")
    (rubric,) = (r for r in benchmark.rubrics if r.name == "single-math-v1-multi-turn")
    question = _question("one", "two", turns=("q1", "q2"), category="math")
    system, user = judge_messages(benchmark, rubric, question, ["a{1}", "a{2}"])
    assert system.role == "system"
    assert user.content.startswith(
        "<|The Start of Reference Answer|>\n\n### User:\nq1\n\n### Reference answer:\none\n\n"
        "### User:\nq2\n\n### Reference answer:\ntwo\n\n<|The End of Reference Answer|>\n\n\n"
        "<|The Start of Assistant A's Conversation with User|>\n\n### User:\nq1\n\n"
        "### Assistant A:\na{1}\n\n### User:\nq2\n\n### Assistant A:\na{2}\n\n"
    )


def test_settings_of_judges():
    ours = get_benchmark("safety_ja")
    theirs = with_preset(ours, _V1)
    assert (ours.judge.temperature, ours.judge.seed) == (0.0, None)
    assert (theirs.judge.temperature, theirs.judge.top_p, theirs.judge.seed) == (1.0, 0.95, 1234)
    assert {rubric.system for rubric in ours.rubrics} == {""}
    assert {rubric.system for rubric in theirs.rubrics} == {_INSTRUCTED}
    boundary = with_preset(get_benchmark("safety_boundary_ja"), _V2)
    assert (boundary.judge.temperature, boundary.judge.top_p) == (0.7, 0.9)
    assert boundary.rubrics[0].system == ""
    for name in ("mt_bench_en", "mt_bench_ja"):
        judge = with_preset(get_benchmark(name), _V2).judge
        assert (judge.temperature, judge.top_p, judge.max_tokens) == (0.0, 1.0, 2048)
    assert with_preset(get_benchmark("mt_bench_en"), _V2).system == _INSTRUCTED
    assert with_preset(get_benchmark("mt_bench_en"), "fastchat").system == ""


def test_temperatures_of_answers_are_by_category():
    answers = get_benchmark("mt_bench_ja").answers
    assert [answers.temperature_of(name) for name in ("writing", "stem", "math", "new")] == [
        *(0.7, 0.1, 0.0, 0.7)
    ]


def test_what_failures_count():
    assert get_benchmark("safety_ja").failed_call_scores == {}
    assert with_preset(get_benchmark("safety_ja"), _V1).failed_call_scores == {"safety": 1.0}
    assert with_preset(get_benchmark("safety_boundary_ja"), _V2).failed_call_scores == {
        "boundary": 0.0
    }
    assert with_preset(get_benchmark("culture_ja"), _V2).empty_answer_scores == {"culture": 1.0}
    assert with_preset(get_benchmark("quality_ja"), _V2).failed_call_scores == {}


@pytest.mark.parametrize(
    "name, preset, part",
    [
        ("mt_bench_en", "llmjp", "preset 'llmjp' is unknown"),
        ("safety_ja", "fastchat", "has no benchmark safety_ja; it has mt_bench_en"),
        ("culture_ja", _V1, "has no benchmark culture_ja"),
    ],
)
def test_presets_that_do_not_fit(name, preset, part):
    with pytest.raises(UserError, match=part):
        with_preset(get_benchmark(name), preset)
