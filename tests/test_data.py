"""jaxllm data: what each action prints, writes and exits with."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest

from jaxllm import corpora, data
from jaxllm.corpora import base, raw, store
from jaxllm.decode.jsonl import read_requests
from jaxllm.errors import UserError
from jaxllm.tasks import load_samples, registry
from jaxllm.tasks.task import Suite, Task
from jaxllm.text.templates import get_template

ROWS = [base.Pair(f"問い{index}", "はい") for index in range(3)]
TURNS = (base.Turn("user", "問い"), base.Turn("assistant", "答え"))


def _read_train(open_raw):
    json.loads(open_raw("toy/train.json").read_text(encoding="utf-8"))
    return {"train": ROWS}


WHOLE = base.Corpus(
    name="toy_whole",
    source="this test",
    licence="CC0",
    instruction="答えて",
    output_length=3,
    metrics=("exact_match",),
    splits=("dev", "test"),
    readers=(lambda open_raw: {"dev": ROWS, "test": ROWS[:2]},),
)
PARTLY = dataclasses.replace(
    WHOLE,
    name="toy_partly",
    files=(raw.RawFile(path="toy/train.json", by_hand="ask the author"),),
    splits=("train", "dev", "test"),
    readers=(_read_train, *WHOLE.readers),
)
ABSENT = dataclasses.replace(
    PARTLY,
    name="toy_absent",
    licence="CC BY-NC 4.0",
    noncommercial=True,
    splits=("train",),
    readers=(_read_train,),
)
REFUSED = dataclasses.replace(
    PARTLY,
    name="toy_refused",
    files=(raw.RawFile(path="toy/bad.json", sha256="0" * 64),),
    readers=(lambda open_raw: {"dev": [open_raw("toy/bad.json")]},),
)
CHAT = dataclasses.replace(
    WHOLE,
    name="toy_chat",
    instruction="",
    form="conversation",
    splits=("train",),
    readers=(lambda open_raw: {"train": [base.Conversation(TURNS)]},),
)


@pytest.fixture(autouse=True)
def toys(monkeypatch, tmp_path):
    """The corpora above and no others, suites that ask them, folders of their own."""
    monkeypatch.setenv("JAXLLM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv(raw.RAW_DIR_VARIABLE, str(tmp_path / "raw"))
    (tmp_path / "raw/toy").mkdir(parents=True)
    (tmp_path / "raw/toy/bad.json").write_text("[]")
    monkeypatch.setattr(store, "_BUILDERS", {})
    for corpus in (WHOLE, PARTLY, ABSENT, REFUSED, CHAT):
        _add(monkeypatch, corpus)
    _add_suite(monkeypatch, "toys/v1", WHOLE.name, PARTLY.name, ABSENT.name, "toy_unread")
    _add_suite(monkeypatch, "toys/v2", WHOLE.name, REFUSED.name)


def _add(monkeypatch, corpus):
    class Toy(base.CorpusBuilder, skip_registration=True):
        BUILDER_CONFIGS = base.configs(corpus)

    monkeypatch.setitem(store._BUILDERS, corpus.name, (Toy, Toy.BUILDER_CONFIGS[0]))


def _add_suite(monkeypatch, name, *names, **fields):
    tasks = tuple(
        Task(
            **{
                "name": f"{name}:{corpus.removeprefix('toy_')}",
                "corpus": corpus,
                "category": "A",
                "metrics": ("exact_match",),
                "max_new_tokens": 3,
                **fields,
            }
        )
        for corpus in names
    )
    monkeypatch.setitem(registry._SUITES, name, Suite(name=name, tasks=tasks, categories=("A",)))


def _run(capsys, *argv):
    status = data.main(argv)
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines() if "/" not in line)
    return status, out


def test_list_says_where_each_corpus_stands(capsys, tmp_path):
    _run(capsys, "prepare", "toy_partly")
    status, out = _run(capsys, "list")
    assert status == 0
    lines = [line.split(maxsplit=1)[1] for line in out.splitlines()[1:6]]
    assert lines[0].endswith("CC0                      made when asked for")
    assert lines[1].split(maxsplit=2) == ["5", "CC0", "prepared without train"]
    assert lines[2].endswith("CC BY-NC 4.0             by hand, non-commercial")
    assert lines[3].endswith("raw files here")
    (tmp_path / "raw/toy/train.json").write_text("[]")
    assert "raw files here, non-commercial" in _run(capsys, "list")[1]


def test_list_tells_a_download_from_a_file_by_hand(capsys, monkeypatch):
    files = (raw.RawFile(path="toy/there.json", url="http://127.0.0.1:9/there.json"),)
    _add(monkeypatch, dataclasses.replace(PARTLY, name="toy_there", files=files))
    assert _run(capsys, "list")[1].splitlines()[6].endswith("to download")


def test_prepare_names_what_is_made_and_what_is_skipped(capsys, tmp_path):
    status, out = _run(capsys, "prepare", "toy_whole", "toy_partly", "toy_absent", "toy_whole")
    assert status == 1
    joined = " ".join(out.split())
    assert "toy_whole: dev 3, test 2 (CC0)" in out
    assert f"without train: ask the author; put it at {tmp_path}/raw/toy/train.json" in joined
    assert "toy_absent: skipped\n    toy_absent is for non-commercial use only" in out
    assert out.endswith("2 here, 1 of them without a split; 1 skipped, 0 refused\n")
    status, out = _run(capsys, "prepare", "--accept_noncommercial", "toy_absent")
    assert (status, "ask the author" in out) == (1, True)
    (tmp_path / "raw/toy/train.json").write_text("[]")
    status, out = _run(capsys, "prepare", "--accept_noncommercial", "toy_absent", "toy_partly")
    assert status == 0
    assert "toy_absent: train 3 (CC BY-NC 4.0)\ntoy_partly: train 3, dev 3, test 2" in out


def test_a_suite_may_skip_but_not_be_refused(capsys):
    status, out = _run(capsys, "prepare", "--suite=toys/v1")
    assert status == 0
    assert "toy_unread: skipped\n    jaxllm has no reader for it" in out
    assert "2 here, 1 of them without a split; 2 skipped, 0 refused" in out
    status, out = _run(capsys, "prepare", "--suite=toys/v2")
    assert status == 1
    assert "toy_refused: refused" in out
    assert "0" * 64 in out


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["prepare"], "name corpora"),
        (["prepare", "toy_whole", "--suite=toys/v1"], "name corpora"),
        (["prepare", "toy_hole"], "did you mean toy_whole"),
        (["prepare", "toy_whole", "no_such"], "no_such"),
        (["prepare", "--suite=toys/v3"], "toys/v1"),
        (["show", "toy_partly"], "data prepare toy_partly"),
        (["export", "--suite=llm-jp-eval/v1.0", "--out=x"], "files of another form"),
        (["export", "--suite=llm-jp-eval/v2.1", "--out=x"], "files of another form"),
    ],
)
def test_mistakes_are_told_before_anything_is_done(argv, reason, tmp_path):
    with pytest.raises(UserError, match=reason):
        data.main(argv)
    assert not (tmp_path / "data").exists()


def test_folders_below_the_home_folder(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    _add_suite(monkeypatch, "toys/v3", "toy_whole")
    _run(capsys, "export", "--suite=toys/v3", "--out=~/out", "--data_dir=~/there")
    assert (tmp_path / "out/evaluation/dev/whole.json").exists()
    assert corpora.is_prepared("toy_whole", tmp_path / "there")


def test_another_data_dir(capsys, tmp_path):
    _run(capsys, "prepare", "toy_whole", f"--data_dir={tmp_path}/other")
    assert corpora.is_prepared("toy_whole", tmp_path / "other")
    assert not corpora.is_prepared("toy_whole", tmp_path / "data")
    assert "prepared" in _run(capsys, "list", f"--data_dir={tmp_path}/other")[1]


DIGEST = base.digest(base.canonical_json(WHOLE, ROWS))


def test_verify_leaves_nothing_out(capsys, monkeypatch, tmp_path):
    _add(monkeypatch, dataclasses.replace(PARTLY, sha256={"dev": DIGEST, "train": "00"}))
    status, out = _run(capsys, "verify")
    assert status == 1  # a raw file that is refused
    table = [line.split() for line in out.split("\n\n")[0].splitlines()]
    assert table[0] == "dataset split rows sha256 expected verdict digest".split()
    assert [line[:2] for line in table[1:]] == [
        [name, split]
        for name in ("toy_whole", "toy_partly", "toy_absent", "toy_refused", "toy_chat")
        for split in corpora.get(name).splits
    ]
    short = DIGEST[:8]
    assert ["toy_partly", "dev", "3", short, short, "equal", "published"] in table
    assert ["toy_partly", "train", "00", "no", "raw", "data", "derived"] in table
    assert ["toy_whole", "dev", "3", short, "no", "published", "digest"] in table
    assert "toy_partly train:\n    ask the author; put it at" in out
    assert "toy_refused train, dev, test:\n" in out
    assert out.splitlines()[-1] == "4 no published digest, 2 no raw data, 1 equal, 3 refused"


def test_verify_fails_on_what_differs_unless_it_is_unverified(capsys, monkeypatch):
    wrong = dataclasses.replace(WHOLE, sha256={"dev": "00" * 32})
    _add(monkeypatch, wrong)
    status, out = _run(capsys, "verify", "toy_whole")
    assert (status, "differs             published" in out) == (1, True)
    _add(monkeypatch, dataclasses.replace(wrong, unverified="the order is a guess"))
    status, out = _run(capsys, "verify", "toy_whole")
    assert (status, "differs, unverified published" in out) == (0, True)
    assert "toy_whole is unverified:\n    the order is a guess" in out


def test_verify_as_json_is_one_object(capsys):
    assert data.main(["verify", "--suite=toys/v1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["wrong"] == 0
    splits = report["splits"]
    assert [row["corpus"] for row in splits if not row["split"]] == ["toy_unread"]
    whole = splits[0]
    assert (whole["corpus"], whole["split"], whole["rows"]) == ("toy_whole", "dev", 3)
    assert whole["sha256"] == DIGEST


def test_a_suite_that_asks_another_version_is_not_called_equal(capsys, monkeypatch):
    _add(monkeypatch, dataclasses.replace(WHOLE, sha256={"dev": DIGEST}))
    assert "equal" in _run(capsys, "verify", "toy_whole")[1]
    _add_suite(monkeypatch, "toys/v3", "toy_whole", unverified="another form")
    status, out = _run(capsys, "verify", "--suite=toys/v3")
    assert status == 0
    assert "equal" not in out
    assert "toy_whole is unverified:\n    another form" in out


def test_export_writes_a_suite_in_its_own_version(capsys, monkeypatch, tmp_path):
    _add_suite(monkeypatch, "toys/v3", "toy_partly", "toy_unread", max_new_tokens=5)
    status, out = _run(capsys, "export", "--suite=toys/v3", f"--out={tmp_path}/out")
    assert status == 0
    assert "toy_unread: skipped" in out
    assert f"wrote 1 of 2 data sets of toys/v3 to {tmp_path}/out" in out
    document = json.loads((tmp_path / "out/evaluation/dev/partly.json").read_text("utf-8"))
    assert (document["output_length"], len(document["samples"])) == (5, 3)
    tuning = json.loads((tmp_path / "out/tuning/dev_first100/partly.json").read_text("utf-8"))
    assert [row["ID"] for row in tuning] == ["partly-0", "partly-1", "partly-2"]
    assert not (tmp_path / "out/evaluation/train").exists()


def test_export_says_which_files_are_unverified(capsys, monkeypatch, tmp_path):
    _add_suite(monkeypatch, "toys/v3", "toy_whole", unverified="a guess")
    _, out = _run(capsys, "export", "--suite=toys/v3", f"--out={tmp_path}/out")
    assert "whole is unverified:\n    a guess" in out
    written = (tmp_path / "out/evaluation/dev/whole.json").read_bytes()
    assert hashlib.sha256(written).hexdigest() == DIGEST


def test_show_knows_every_form(capsys):
    status, out = _run(capsys, "show", "toy_whole", "toy_chat", "--rows=1")
    assert status == 0
    assert "toy_whole: dev 3, test 2 (CC0)\n    source: this test\n" in out
    assert f"  dev    sha256 {DIGEST}" in out
    assert "--- test toy_whole-test-0\ninstruction: 答えて\ninput: 問い0\noutput: はい" in out
    assert "--- train toy_chat-train-0\nuser: 問い\nassistant: 答え" in out
    _, out = _run(capsys, "show", "toy_whole", "--split=dev", "--rows=9")
    assert out.count("--- dev") == 3


def _random(capsys, path, *argv):
    _run(capsys, "requests", "random", "--vocab_size=50", f"--out={path}", *argv)
    return path.read_text(encoding="utf-8")


def test_random_requests_are_the_same_for_a_seed(capsys, tmp_path, tiny_tokenizer):
    path = tmp_path / "new/requests.jsonl"
    ranges = ("--num_requests=300", "--prompt_tokens=3:6", "--output_tokens=1:2")
    text = _random(capsys, path, *ranges)
    requests = read_requests(path, tiny_tokenizer)
    assert {len(request.prompt_ids) for request in requests} == {3, 4, 5, 6}
    assert {request.max_new_tokens for request in requests} == {1, 2}
    assert {token for request in requests for token in request.prompt_ids} == set(range(50))
    assert all(request.ignore_eos for request in requests)
    assert len({request.id for request in requests}) == 300
    assert _random(capsys, path, *ranges) == text
    assert _random(capsys, path, *ranges, "--seed=1") != text


def test_the_table_says_what_is_in_the_file(capsys, tmp_path):
    flags = ["--vocab_size=1", "--num_requests=9", "--prompt_tokens=1000:1000"]
    path = tmp_path / "requests.jsonl"
    _, out = _run(capsys, "requests", "random", *flags, "--output_tokens=7:7", f"--out={path}")
    figures = out.splitlines()[1].split()
    # The prompts are all the same, and all but the last token of each is computed once.
    assert figures == "random 9 1000/1000/1000 7/7/7 9,000 1,008".split()
    assert out.endswith(f"9 requests in {path}\n")


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("--prompt_tokens=0:3", "prompt_tokens=0:3"),
        ("--output_tokens=3:2", "output_tokens=3:2"),
        ("--num_requests=0", "num_requests=0"),
        ("--vocab_size=0", "vocab_size=0"),
    ],
)
def test_ranges_are_checked(capsys, tmp_path, flag, reason):
    with pytest.raises(UserError, match=reason):
        _random(capsys, tmp_path / "requests.jsonl", flag)
    assert not (tmp_path / "requests.jsonl").exists()
    with pytest.raises(SystemExit):
        _random(capsys, tmp_path / "requests.jsonl", "--prompt_tokens=40")
    assert "'40' is no MIN:MAX" in capsys.readouterr().err


def test_a_suites_requests_are_its_prompts_and_as_long_as_the_gold(
    capsys, tmp_path, monkeypatch, tiny_tokenizer, tiny_tokenizer_folder
):
    answers = ["はい", "いいえ", "The quick brown fox", "猫"]
    rows = [base.Pair(f"質問{index}", answer) for index, answer in enumerate(answers)]
    reader = (lambda open_raw: {"train": ROWS, "test": rows},)
    answered = dataclasses.replace(
        WHOLE, name="toy_answered", splits=("train", "test"), readers=reader
    )
    _add(monkeypatch, answered)
    _add_suite(monkeypatch, "toys/v3", "toy_answered", "toy_absent", "toy_unread", stop=("。",))
    path = tmp_path / "requests.jsonl"
    flags = ["--suite=toys/v3", f"--tokenizer={tiny_tokenizer_folder}", f"--out={path}"]
    assert data.main(["requests", "suite", *flags, "--num_shots=2", "--max_samples=3"]) == 0
    out, err = capsys.readouterr()

    (task, *_) = registry.get_suite("toys/v3").tasks
    samples = load_samples(task, split="test", data_dir=tmp_path / "data", num_shots=2)[:3]
    template = get_template(task.template)
    requests = read_requests(path, tiny_tokenizer)
    assert [request.prompt_ids for request in requests] == [
        tuple(template.prompt_ids(tiny_tokenizer, sample.messages, bos=task.bos))
        for sample in samples
    ]
    assert [request.max_new_tokens for request in requests] == [
        len(tiny_tokenizer.encode_continuation(answer)) + 1 for answer in answers[:3]
    ]
    assert [request.id for request in requests] == [
        f"toys/v3:answered/toy_answered-test-{index}" for index in range(3)
    ]
    assert all(request.ignore_eos and not request.stop for request in requests)
    assert out.splitlines()[1].split()[:2] == ["answered", "3"]
    assert "without toys/v3:absent: toy_absent is for non-commercial use only" in err
    assert "without toys/v3:unread: this program does not read the data set toy_unread" in err


def test_a_suite_without_any_data_has_no_requests(tmp_path, monkeypatch, tiny_tokenizer_folder):
    _add_suite(monkeypatch, "toys/v3", "toy_absent", "toy_unread")
    flags = ["--suite=toys/v3", f"--tokenizer={tiny_tokenizer_folder}", f"--out={tmp_path}/x"]
    with pytest.raises(UserError, match="toys/v3: the data of none of its tasks is here"):
        data.main(["requests", "suite", *flags])
    assert not (tmp_path / "x").exists()
