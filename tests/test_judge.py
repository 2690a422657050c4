"""`jaxllm judge`: answers of a model or of files, judgments there already, and what is written."""

from __future__ import annotations

import json

import pytest

import jaxllm
from jaxllm.config import load_config
from jaxllm.errors import UserError
from jaxllm.judge import judge, main
from jaxllm.reporting.results import find_results

_CONFIG = "configs/judge/benchmark.py"


@pytest.fixture
def benchmark(tmp_path):
    """The file of a benchmark with three questions of two turns in two categories."""
    definition = {
        "name": "talk",
        "by_category": True,
        "answers": {"max_tokens": 4},
        "rubrics": [
            {
                "name": f"turn-{turn}",
                "turn": turn,
                "scales": {"rating": [1, 10]},
                "parser": {"regex": r"\[\[(\d+)\]\]"},
                "prompt": f"{{question_{turn}}} -> {{answer_{turn}}}",
            }
            for turn in (1, 2)
        ],
    }
    questions = [
        {"id": str(n), "turns": [f"q{n}", f"Q{n}"], "category": "even" if n % 2 == 0 else "odd"}
        for n in (1, 2, 3)
    ]
    path = tmp_path / "talk.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in (definition, *questions)))
    return path


@pytest.fixture
def answers(tmp_path):
    path = tmp_path / "answers.jsonl"
    lines = [
        {
            "question_id": number,
            "model_id": "theirs",
            "choices": [{"index": 0, "turns": [f"a{number}", f"A{number}"]}],
        }
        for number in (1, 2, 3, 99)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.jsonl"
    rules = ({"contains": "A3", "reply": "?"}, {"contains": "a", "reply": "[[8]]"})
    path.write_text("".join(json.dumps(r) + "\n" for r in (*rules, {"reply": "[[2]]"})))
    return path


@pytest.fixture
def flags(benchmark, script, repo):
    return [
        f"--config={repo / _CONFIG}:{benchmark}",
        f"--judge.script={script}",
        *("--judge.type", "scripted"),
    ]


@pytest.fixture
def repo(pytestconfig):
    return pytestconfig.rootpath


def test_answers_of_a_file(flags, answers, tmp_path, capsys):
    workdir = tmp_path / "judged"
    assert main([*flags, f"--answers={answers}", f"--workdir={workdir}"]) == 0
    printed = capsys.readouterr().out
    assert "talk · theirs · judged by script" in printed
    assert "1 of 6 judgments missing: no score for rating" in printed
    (result,) = find_results([workdir]).results
    assert result.record["overall"]["rating"]["mean"] == (8 * 3 + 2 * 2) / 5
    assert result.record["model"]["outputs_sha256"]
    assert load_config(workdir).evals.talk.judge.type == "scripted"


def test_judgments_alone_are_summed_up_the_same_and_those_of_others_gone_on_from(
    flags, answers, tmp_path, capsys
):
    first = tmp_path / "first"
    main([*flags, f"--answers={answers}", f"--workdir={first}", "--also=llm-jp-judge"])
    folder = first / "evals" / "talk" / "final"
    expected = json.loads((folder / "result.json").read_text())
    for place in (folder, folder / "judgments.jsonl", folder / "llm-jp-judge" / "evaluation"):
        again = tmp_path / f"from_{place.name}"
        main([*flags, f"--judgments={place}", f"--workdir={again}"])
        (result,) = find_results([again]).results
        assert result.record["overall"] == expected["overall"]
        assert result.record["categories"] == expected["categories"]
    capsys.readouterr()
    on = tmp_path / "on"
    main([*flags, f"--answers={answers}", f"--judgments={folder}", f"--workdir={on}"])
    assert "6 of 6 judgments need not be made again" in capsys.readouterr().out
    (result,) = find_results([on]).results
    assert result.record["overall"] == expected["overall"]


def test_answers_of_llm_jp_judge_and_of_ours(flags, answers, tmp_path):
    first = tmp_path / "first"
    main([*flags, f"--answers={answers}", f"--workdir={first}", "--also=llm-jp-judge"])
    folder = first / "evals" / "talk" / "final"
    for place in (folder, folder / "llm-jp-judge" / "generation"):
        again = tmp_path / f"from_{place.name}"
        main([*flags, f"--answers={place}", f"--workdir={again}"])
        (result,) = find_results([again]).results
        assert result.record["model"]["name"] == "theirs"
        assert result.record["overall"]["rating"]["num_scored"] == 5


def test_several_models_have_a_folder_each(flags, answers, tmp_path):
    folder = tmp_path / "model_answer"
    folder.mkdir()
    for name in ("one", "org/two"):
        (folder / f"{name.replace('/', '_')}.jsonl").write_text(
            answers.read_text().replace("theirs", name)
        )
    workdir = tmp_path / "judged"
    main([*flags, f"--answers={folder}", f"--workdir={workdir}"])
    found = {result.record["model"]["name"] for result in find_results([workdir]).results}
    assert found == {"one", "org/two"}
    assert (workdir / "org--two" / "evals" / "talk" / "final" / "result.json").exists()


def test_answers_of_a_model(flags, tiny_run, tmp_path):
    config = load_config(flags[0].removeprefix("--config="))
    config.evals.talk.update(template="llm_jp_v1.3", max_new_tokens=3)
    config.evals.talk.judge.update(type="scripted", script=flags[1].partition("=")[2])
    summaries = jaxllm.judge(config, tmp_path / "judged", model=tiny_run, also=["llm-jp-judge"])
    assert set(summaries) == {str(tiny_run)}
    (result,) = find_results([tmp_path / "judged"]).results
    assert result.record["model"]["name"] == "tiny"
    assert (result.folder / "llm-jp-judge/evaluation/score_table.json").exists()


def test_turns_that_a_file_lacks_are_missing(flags, answers, tmp_path):
    answers.write_text(answers.read_text().replace(', "A2"', ""))
    workdir = tmp_path / "judged"
    main([*flags, f"--answers={answers}", f"--workdir={workdir}"])
    (result,) = find_results([workdir]).results
    assert result.record["judge"]["reasons"]["there is no answer to judge"] == 1


def test_models_are_compared_and_files_of_comparisons_summed_up(
    flags, benchmark, answers, script, tmp_path, capsys
):
    definition, *questions = benchmark.read_text().splitlines()
    pairs = [{"name": "pair", "prompt": "A {answer_a} B {answer_b}"}]
    benchmark.write_text(
        "\n".join([json.dumps(json.loads(definition) | {"pairs": pairs}), *questions])
    )
    script.write_text('{"contains": "A b", "reply": "[[A]]"}\n{"reply": "[[B]]"}\n')
    other = tmp_path / "other.jsonl"
    other.write_text(answers.read_text().replace('["a', '["b').replace("theirs", "ours"))
    workdir = tmp_path / "compared"
    both = [f"--answers={answers}", f"--answers=better={other}"]
    assert main([*flags, "--pairwise", *both, f"--workdir={workdir}"]) == 0
    printed = capsys.readouterr().out
    assert "talk · pairwise · judged by script" in printed
    folder = workdir / "pairwise" / "talk"
    record = json.loads((folder / "pairwise.json").read_text())
    assert record["models"]["better"]["wins"] == 3
    assert record["categories"] == {
        "odd": {"better": 1.0, "theirs": 0.0},
        "even": {"better": 1.0, "theirs": 0.0},
    }
    again = tmp_path / "again"
    main([*flags, "--pairwise", f"--judgments={folder / 'verdicts.jsonl'}", f"--workdir={again}"])
    found = json.loads((again / "pairwise" / "talk" / "script" / "pairwise.json").read_text())
    assert found["models"] == record["models"]


def test_a_judge_is_audited(flags, answers, tmp_path, capsys):
    first = tmp_path / "first"
    main([*flags, f"--answers={answers}", f"--workdir={first}"])
    people = tmp_path / "people.jsonl"
    line = {"model": "theirs", "annotator": "aiko", "turn": 1}
    lines = [line | {"question_id": str(n), "ratings": {"overall": 4 + n % 2}} for n in (1, 2, 3)]
    people.write_text("".join(json.dumps(line) + "\n" for line in lines))
    capsys.readouterr()
    folder = first / "evals" / "talk" / "final"
    asked = [f"--answers={answers}", f"--judgments={folder}", f"--ratings={people}"]
    assert main([*flags, "--audit", *asked, f"--workdir={first}"]) == 0
    assert "judgments missing: no score for rating" in capsys.readouterr().out
    record = json.loads((first / "audit" / "talk" / "audit.json").read_text())
    raters = record["scores"]["rating"]["raters"]
    assert list(raters) == [
        "script",
        "script again, at temperature 0",
        "script, answers said twice",
        f"script ({folder})",
        "people",
    ]
    assert raters["script again, at temperature 0"]["equal"] == 1.0
    again = tmp_path / "again"
    stored = [f"--judgments={folder}", f"--ratings={people}"]
    assert main([*flags, "--audit", *stored, f"--workdir={again}"]) == 0
    record = json.loads((again / "audit" / "talk" / "audit.json").read_text())
    assert list(record["scores"]["rating"]["raters"]) == ["script", "people"]


def test_a_cap_that_is_reached_is_told_by_the_exit_status(
    flags, answers, tmp_path, fake_endpoint, monkeypatch, capsys
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-fake")
    api = [
        *(flags[0], "--judge.type=api", "--judge.model=j", f"--judge.base_url={fake_endpoint.url}"),
        *("--judge.concurrency=1", "--config.evals.talk.judge_max_tokens=20"),
        *(f"--answers={answers}", f"--workdir={tmp_path / 'judged'}"),
    ]
    assert main([*api, "--judge.max_total_tokens=80"]) == 1
    assert "not asked: the cap on tokens or cost is reached" in capsys.readouterr().out
    asked = len(fake_endpoint.bodies)
    assert 0 < asked < 6
    assert main(api) == 0
    assert len(fake_endpoint.bodies) == 6


@pytest.mark.parametrize(
    "more, part",
    [
        (["--judge.modle=x"], "evals.talk.judge.modle"),
        (["--preset=fastchat"], "fastchat has no benchmark talk"),
        (["--answers=nothing.jsonl"], "there is no file nothing.jsonl"),
        (["--judgments=nothing.jsonl"], "there is no file nothing.jsonl"),
        (["--model=x", "--answers=y"], "leave the model out"),
        (["--config.model.type=api", "--answers=y"], "leave the model out"),
        (["--pairwise"], "takes --answers of two models or more, or --judgments"),
        (["--pairwise", "--model=x"], "leave --model and --also out"),
        (["--audit"], "takes --answers that the judge is asked about"),
        (["--audit", "--pairwise"], "two commands"),
        (["--ratings=x"], "--ratings is for --audit"),
        (["--judgments=x", "--judgments=y"], "several --judgments are for --audit alone"),
        ([], "name a model, or set config.model.type='api'"),
        (["--config.model.type=apy"], "it takes 'local' or 'api'"),
    ],
)
def test_flags_that_make_no_sense(flags, tmp_path, more, part):
    with pytest.raises(UserError, match=part):
        main([*flags, f"--workdir={tmp_path / 'judged'}", *more])


def test_answers_to_other_questions(flags, tmp_path, answers):
    answers.write_text(answers.read_text().splitlines()[-1] + "\n")
    with pytest.raises(UserError, match="answers none of the questions of talk"):
        main([*flags, f"--answers={answers}", f"--workdir={tmp_path / 'judged'}"])


def test_other_evaluators_have_no_place_here(tmp_path):
    config = load_config("configs/eval/mini.py")
    with pytest.raises(UserError, match="evaluators of type 'judge', and no others"):
        judge(config, tmp_path)
