from __future__ import annotations

import json

from jaxllm.weights.lineage import lineage_of


def _run(folder, init_from, objective="sft", **mixture):
    folder.mkdir()
    config = {
        "init_from": str(init_from),
        "objective": objective,
        "mixture": {
            name: {"source": source, "split": "train", "weight": 1.0, "repeat": 1, "template": ""}
            for name, source in mixture.items()
        },
        "steps": 10,
        "epochs": 0.0,
        "seed": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_stages_of_a_model_from_the_first_to_the_last(tmp_path):
    tuned = _run(tmp_path / "sft", "llm-jp/llm-jp-3-1.8b", nli="jaster/jnli")
    preferred = _run(tmp_path / "dpo", tuned / "checkpoints" / "10", "dpo", mine="jsonl:a.jsonl")
    stages = lineage_of(preferred)
    assert stages[0] == {"init_from": "llm-jp/llm-jp-3-1.8b"}
    assert [stage["objective"] for stage in stages[1:]] == ["sft", "dpo"]
    assert stages[1]["mixture"] == {
        "nli": {"source": "jaster/jnli", "split": "train", "weight": 1.0, "repeat": 1}
    }
    assert stages[2]["workdir"] == str(preferred)
    assert lineage_of(preferred / "checkpoints" / "5") == stages


def test_what_no_run_of_ours_made_is_its_own_beginning(tmp_path):
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "config.json").write_text('{"model_type": "llama"}')
    assert lineage_of(tmp_path / "hf") == [{"init_from": str(tmp_path / "hf")}]
    fresh = _run(tmp_path / "fresh", "")
    assert lineage_of(fresh)[0] == {"init_from": None}


def test_a_run_that_names_itself_ends(tmp_path):
    assert len(lineage_of(_run(tmp_path / "loop", tmp_path / "loop"))) < 30
