from __future__ import annotations

import pytest

from jaxllm.contamination.evaluation_sets import load_sets
from jaxllm.errors import UserError
from jaxllm.tasks import data_sha256, get_task


def test_a_suites_sets_are_its_corpora_with_the_digests_of_its_results(tmp_path):
    sets, missing = load_sets(["mini/v1", "mini/v1:nli"], split="dev", data_dir=tmp_path)
    assert missing == {}
    assert [found.name for found in sets] == [
        f"mini/{name}" for name in "el fa he mc mr mt nli qa rc".split()
    ]
    nli = sets[6]
    assert nli.tasks == ("mini/v1:nli",)
    assert nli.data_sha256 == data_sha256(get_task("mini/v1:nli"), split="dev", data_dir=tmp_path)
    assert len({sample.id for sample in nli.samples}) == len(nli.samples) > 0
    assert all(len(sample.messages) == 1 for sample in nli.samples)  # no shots


def test_what_is_not_here_is_named_with_the_reason(tmp_path):
    names = ["llm-jp-eval/v1.3.1", "mini/v1:qa"]
    sets, missing = load_sets(names, split="test", data_dir=tmp_path)
    assert [found.name for found in sets] == ["mini/qa"]
    assert "jaxllm data prepare jnli" in missing["jnli"]
    with pytest.raises(UserError, match="no evaluation set to compare with"):
        load_sets(names[:1], split="test", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mini/v2", "did you mean mini/v1"),
        ("mini/v1:nlp", "did you mean mini/v1:nli"),
        ("jsonl:/no/such/file.jsonl", "there is no file"),
    ],
)
def test_unknown_names(tmp_path, name, reason):
    with pytest.raises(UserError, match=reason):
        load_sets([name], split="test", data_dir=tmp_path)


def test_an_empty_file_holds_no_sample(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(UserError, match=r"a\.jsonl holds no sample"):
        load_sets([f"jsonl:{tmp_path}/a.jsonl"], split="test", data_dir=tmp_path)
