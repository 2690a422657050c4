"""Held-out loss against the log-probabilities of each example alone."""

from __future__ import annotations

import dataclasses
import json

import pytest
from ml_collections import ConfigDict

from jaxllm.config import plain_dict
from jaxllm.decode import Engine, ScoreRequest
from jaxllm.errors import UserError
from jaxllm.evaluators import EvalContext, make_evaluators
from jaxllm.parallel.mesh import MeshShape, make_mesh
from jaxllm.text.example import example_from_record
from jaxllm.text.templates import get_template


@pytest.mark.parametrize("mesh", [None, MeshShape(data=4, fsdp=2)], ids=["no_mesh", "mesh"])
def test_the_loss_is_the_mean_over_trained_tokens(
    tiny_config, tiny_params, tiny_tokenizer, tiny_questions, tmp_path, mesh
):
    context = EvalContext(
        model_config=tiny_config,
        tokenizer=tiny_tokenizer,
        mesh=mesh and make_mesh(mesh),
        data_dir=tmp_path,
        name="tiny",
        source="nowhere",
    )
    entry = {
        "type": "loss",
        "source": f"jsonl:{tiny_questions}",
        "template": "llm_jp_v1.3",
        "max_length": 250,
        "max_examples": 13,
    }
    (item,) = make_evaluators(ConfigDict({"held_out": entry}), context)
    found = item.run(tiny_params, step=3, tokens=None, workdir=tmp_path)

    requests = []
    template = get_template("llm_jp_v1.3")
    for line in tiny_questions.read_text(encoding="utf-8").split("\n")[:13]:
        example = example_from_record(json.loads(line), id="x")
        rendered = template.render(tiny_tokenizer, example.messages)
        start = int(rendered.loss_weights.argmax())
        assert rendered.loss_weights[start:].all()
        requests.append(
            ScoreRequest(
                id="x",
                prompt_ids=tuple(rendered.ids[:start].tolist()),
                continuation_ids=tuple(rendered.ids[start:].tolist()),
            )
        )
    # The engine never chooses the padding rows of the embedding, and the loss counts them: with
    # a tokenizer as large as the embedding they agree.
    everything = tiny_config.replace(vocab_size=384)
    cut = {
        **tiny_params,
        "embed": {"tokens": tiny_params["embed"]["tokens"][:384]},
        "head": {"kernel": tiny_params["head"]["kernel"][:, :384]},
    }
    scores = Engine(cut, everything, tiny_tokenizer).score(requests)
    context_cut = EvalContext(
        model_config=everything,
        tokenizer=tiny_tokenizer,
        mesh=context.mesh,
        data_dir=tmp_path,
        name="tiny",
        source="nowhere",
    )
    (item,) = make_evaluators(ConfigDict({"held_out": entry}), context_cut)
    loss = item.run(cut, step=3, tokens=None, workdir=tmp_path)["loss"]
    tokens = sum(score.num_tokens for score in scores)
    assert loss == pytest.approx(-sum(score.logprob for score in scores) / tokens, rel=1e-4)
    assert found["loss"] > loss
    assert not (tmp_path / "evals").exists()


def test_without_a_source_it_takes_what_the_mixture_holds_out(
    tiny_config, tiny_params, tiny_tokenizer, tiny_questions, tiny_train_config, tmp_path
):
    config = tiny_train_config
    config.mixture.questions.held_out = 0.4
    context = EvalContext(
        model_config=tiny_config,
        tokenizer=tiny_tokenizer,
        mesh=None,
        data_dir=tmp_path,
        name="tiny",
        source="nowhere",
        config=plain_dict(config),
    )
    same = {
        "source": f"jsonl:{tiny_questions}",
        "split": "train",
        "held_out": 0.4,
        "template": "llm_jp_v1.3",
        "bos": "never",
        "max_length": 128,
    }
    entries = {
        "mixture": {"type": "loss"},
        "source": {"type": "loss", **same},
        "others": {"type": "loss", **same, "held_out": 0.0},
        "few": {"type": "loss", "max_examples": 2},
    }
    found = {
        item.name: item.run(tiny_params, step=1, tokens=None, workdir=tmp_path)["loss"]
        for item in make_evaluators(ConfigDict(entries), context)
    }
    # The names key the shuffle, and sums in another order differ in the last digits.
    assert found["mixture"] == pytest.approx(found["source"], rel=1e-6)
    assert len({round(loss, 4) for loss in found.values()}) == 3
    config.mixture.questions.held_out = 0.0
    context = dataclasses.replace(context, config=plain_dict(config))
    with pytest.raises(UserError, match="set its held_out to a share"):
        make_evaluators(ConfigDict({"mine": {"type": "loss"}}), context)
