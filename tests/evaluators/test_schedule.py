"""Which evaluators run when, and what is said about an entry that is none."""

from __future__ import annotations

import pytest
from ml_collections import ConfigDict

from jaxllm.errors import MissingData, UserError
from jaxllm.evaluators import EvalContext, make_evaluators
from jaxllm.evaluators.schedule import evaluator_settings


@pytest.fixture
def context(tiny_config, tiny_tokenizer, tmp_path):
    return EvalContext(
        model_config=tiny_config,
        tokenizer=tiny_tokenizer,
        mesh=None,
        data_dir=tmp_path,
        name="tiny",
        source="nowhere",
    )


@pytest.fixture
def entry(tiny_questions):
    return {
        "type": "loss",
        "source": f"jsonl:{tiny_questions}",
        "template": "llm_jp_v1.3",
        "max_length": 128,
        "rows": 4,
    }


def _due(item, last):
    return [step for step in range(last + 1) if item.is_due(step, last)]


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        ({}, [10]),
        ({"every": 0, "first": True}, [0, 10]),
        ({"every": 4}, [4, 8, 10]),
        ({"every": "50%"}, [5, 10]),
        ({"every": "1%", "first": True}, list(range(11))),
        ({"every": "33.4 %"}, [3, 7, 10]),
        ({"every": "1 epoch"}, [3, 7, 10]),
        ({"every": "0.5 epochs"}, [2, 3, 5, 7, 8, 10]),
        ({"every": "2epochs"}, [7, 10]),
    ],
)
def test_an_evaluator_runs_when_it_is_due(entry, context, schedule, steps):
    (item,) = make_evaluators(
        ConfigDict({"mine": entry | schedule}), context, num_steps=10, num_epochs=3.0
    )
    assert item.name == "mine"
    assert _due(item, 10) == steps


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"type": "los"}, r"evals\.mine\.type='los' .* did you mean 'loss'"),
        ({"type": ""}, r"evals\.mine\.type=''"),
        ({"sourec": "x"}, r"evals\.mine\.sourec .* did you mean 'source'"),
        ({"every": "often"}, r"evals\.mine\.every='often': write steps .* epochs"),
        ({"every": "0%"}, r"evals\.mine\.every='0%'"),
        ({"source": "jsonl:none"}, "no file none"),
        ({"bos": "sometimes"}, "auto, always or never"),
    ],
)
def test_an_entry_that_cannot_work_is_told(entry, context, change, named):
    with pytest.raises(UserError, match=named):
        make_evaluators(ConfigDict({"mine": entry | change}), context)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"stop": "い"}, r"evals\.mine\.stop='い': it takes a list of texts"),
        ({"metrics": (1,)}, "it takes a list of texts"),
        ({"temperature": "warm"}, "temperature='warm': it takes a number"),
        ({"max_samples": 1.5}, "max_samples=1.5: it takes a whole number"),
        ({"max_samples": True}, "it takes a whole number"),
        ({"blank_inputs": 1}, "it takes true or false"),
        ({"instruction": 3}, "it takes a text"),
    ],
)
def test_a_value_of_the_wrong_type_is_told(context, change, named):
    entry = {"type": "generate", "task": "mini/v1:nli", **change}
    with pytest.raises(UserError, match=named):
        make_evaluators(ConfigDict({"mine": entry}), context)


def test_a_required_setting_that_is_missing_is_told(context):
    with pytest.raises(UserError, match=r"config\.evals\.mine\.tasks"):
        make_evaluators(ConfigDict({"mine": {"type": "score"}}), context)
    with pytest.raises(UserError, match="there is no mixture: set its source"):
        make_evaluators(ConfigDict({"mine": {"type": "loss"}}), context)


@pytest.mark.parametrize("settings", [{}, {"suite": "mini/v1", "task": "mini/v1:nli"}])
def test_generation_asks_one_suite_or_some_tasks(context, settings):
    with pytest.raises(UserError, match="one of suite, task and tasks"):
        make_evaluators(ConfigDict({"mine": {"type": "generate", **settings}}), context)


def test_an_optional_evaluator_is_left_out_where_its_data_is_not_here(entry, context):
    told: list[str] = []
    gone = entry | {"source": "jsonl:{data_dir}/none.jsonl", "optional": True}
    evals = ConfigDict({"gone": gone, "mine": entry | {"optional": True}})
    (item,) = make_evaluators(evals, context, on_missing=told.append)
    assert item.name == "mine"
    (text,) = told
    assert text.startswith("config.evals.gone is left out: there is no file")
    with pytest.raises(MissingData, match=r"none\.jsonl"):
        make_evaluators(ConfigDict({"gone": gone | {"optional": False}}), context)


def test_numbers_are_logged_in_the_evaluators_order(entry, context):
    (item,) = make_evaluators(ConfigDict({"mine": entry}), context)
    assert item.describe({"loss": 1.25, "a": 2.0}) == "loss 1.250  a 2.000"


def test_an_entry_is_asked_again_with_each_value_that_it_varies(context, entry):
    varied = {"rows": (2, 8), "template": ["plain"]}
    evals = ConfigDict({"mine": entry | {"every": 4, "vary": varied}, "other": entry})
    items = {item.name: item for item in make_evaluators(evals, context)}
    assert set(items) == {"mine", "mine_rows_2", "mine_rows_8", "mine_template_plain", "other"}
    settings = {name: some for name, (_, some) in evaluator_settings(evals).items()}
    assert (settings["mine"].rows, settings["mine_rows_8"].rows) == (4, 8)
    assert settings["mine_template_plain"].template == "plain"
    assert items["mine_rows_2"].every == 4


@pytest.mark.parametrize(
    "vary, reason",
    [
        ("num_shots", "takes fields with their values"),
        ({"rows": 2}, "takes a list of values"),
        ({"rows": ()}, "takes a list of values"),
        ({"shots": (1,)}, "shots is no setting"),
    ],
)
def test_what_cannot_be_varied_is_told(context, entry, vary, reason):
    with pytest.raises(UserError, match=reason):
        make_evaluators(ConfigDict({"mine": entry | {"vary": vary}}), context)
