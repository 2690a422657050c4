"""From a config's mixture to sources and a plan, on real files."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from jaxllm.config import load_config
from jaxllm.defaults import mixture_entry
from jaxllm.errors import MissingData, UserError
from jaxllm.input.device import prefetch
from jaxllm.input.mixture import group_loss_capacity, read_held_out, read_mixture
from jaxllm.input.presence import describe_presence
from jaxllm.input.provenance import differences


def _write(path, count: int, *, mark: str = "") -> str:
    lines = [
        json.dumps({"prompt": f"{i}は？{mark}", "completion": f"{i}です。"}) for i in range(count)
    ]
    path.write_text("\n".join(lines) + "\n")
    return f"jsonl:{path}"


@pytest.fixture
def config(tiny_train_config, tmp_path):
    config = tiny_train_config
    with config.unlocked():
        config.mixture = {"a": mixture_entry(_write(tmp_path / "a.jsonl", 40))}
    config.template = "plain"
    config.steps, config.epochs = 0, 1.0
    config.input.update(max_length=64, rows=4, bos="never", packing="best_fit")
    return config


def _drawn(mixture) -> dict[str, int]:
    counts = np.bincount(mixture.plan.source_ids)
    return dict(zip((s.name for s in mixture.sources), counts.tolist(), strict=True))


def test_weights_repeats_and_templates_stand_side_by_side(config, tiny_tokenizer, tmp_path) -> None:
    other = _write(tmp_path / "b.jsonl", 20, mark="?")
    config.mixture.a.weight = 1.0
    config.mixture.b = mixture_entry(other, weight=2.0, template="llm_jp_v1.3", max_examples=10)
    config.mixture.c = {"source": other, "repeat": 16}
    mixture = read_mixture(config, tiny_tokenizer, data_dir=tmp_path)
    assert _drawn(mixture) == {"a": 17, "b": 33, "c": 320}
    _, b, c = mixture.sources
    assert (len(b.lengths), len(c.lengths)) == (10, 20)
    text = tiny_tokenizer.decode(b.ids[: b.offsets[1]])
    assert text.startswith("以下は")
    assert text.endswith("### 応答:\n0です。")
    assert tiny_tokenizer.decode(c.ids[: c.offsets[1]]) == "0は？?0です。"


def test_what_is_held_out_is_never_trained_on(config, tiny_tokenizer, tmp_path) -> None:
    everything = set(read_mixture(config, tiny_tokenizer, data_dir=tmp_path).sources[0].example_ids)
    config.mixture.a.held_out = 0.3
    config.mixture.rest = mixture_entry(_write(tmp_path / "c.jsonl", 5))
    for seed in (0, 1):
        config.seed = seed
        mixture = read_mixture(config, tiny_tokenizer, data_dir=tmp_path)
        (held,) = read_held_out(config, tiny_tokenizer, data_dir=tmp_path)
        trained = set(mixture.sources[0].example_ids)
        assert len(trained) < 36
        assert trained.isdisjoint(held.example_ids)
        assert trained | set(held.example_ids) == everything
        assert held.name == "a"


def test_nothing_held_out_is_told(config, tiny_tokenizer, tmp_path) -> None:
    with pytest.raises(UserError, match=r"held_out to a share, such as 0\.05"):
        read_held_out(config, tiny_tokenizer, data_dir=tmp_path)


def test_an_optional_entry_may_be_missing(config, tiny_tokenizer, tmp_path) -> None:
    config.mixture.safety = mixture_entry("answer_carefully", repeat=16, optional=True)
    mixture = read_mixture(config, tiny_tokenizer, data_dir=tmp_path)
    assert _drawn(mixture) == {"a": 40}
    assert mixture.missing["safety"].startswith("accept the terms of https://")
    config.mixture.safety.optional = False
    with pytest.raises(MissingData, match="jaxllm data prepare answer_carefully"):
        read_mixture(config, tiny_tokenizer, data_dir=tmp_path)
    config.mixture.safety.optional = True
    del config.mixture["a"]
    with pytest.raises(MissingData, match=r"nothing to train on is here(.|\n)*accept the terms of"):
        read_mixture(config, tiny_tokenizer, data_dir=tmp_path)


def test_the_sources_stand_in_a_table_where_one_may_be_missing(config, tmp_path) -> None:
    assert describe_presence(config, data_dir=tmp_path) == ""
    gone = "jsonl:{data_dir}/gone.jsonl"
    config.mixture.b = mixture_entry(gone, optional=True, origin="https://example.org/b")
    config.mixture.c = mixture_entry(gone, optional=True)
    config.mixture.d = mixture_entry("ichikara_003_001", optional=True)
    shown = describe_presence(config, data_dir=tmp_path)
    lines = {line.split()[0]: line.split(None, 2) for line in shown.splitlines() if line.strip()}
    assert lines["a"][1:] == ["yes"]
    told = f"there is no file {tmp_path}/gone.jsonl: https://example.org/b"
    assert told in " ".join(shown.split())
    assert lines["b"][1] == "no"
    assert lines["c"][1] == "no"
    assert lines["d"][1] == "no"
    assert "ask for ichikara-instruction" in shown
    assert "jaxllm data prepare ichikara_003_001 --accept_noncommercial" in " ".join(shown.split())
    _write(tmp_path / "gone.jsonl", 3)
    assert describe_presence(config, data_dir=tmp_path).count("yes") == 3


def test_a_number_held_out_is_taken_from_the_start(config, tiny_tokenizer, tmp_path) -> None:
    def ids(source) -> list[str]:
        return list(source.example_ids)

    everything = ids(read_mixture(config, tiny_tokenizer, data_dir=tmp_path).sources[0])
    config.mixture.a.shuffle = False
    for number, held_out in ((3.0, 3), (1000.0, 4)):  # a tenth of 40
        config.mixture.a.held_out = number
        (trained,) = read_mixture(config, tiny_tokenizer, data_dir=tmp_path).sources
        (held,) = read_held_out(config, tiny_tokenizer, data_dir=tmp_path)
        assert ids(held) == everything[:held_out]
        assert ids(trained) == everything[held_out:]


def test_concatenation_cuts_and_drops_nothing(config, tiny_tokenizer, tmp_path) -> None:
    long = {"prompt": "長い", "completion": "あ" * 500}
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps(long) + "\n" + json.dumps({"prompt": "a", "completion": "b"}))
    with config.unlocked():
        config.mixture = {"long": mixture_entry(f"jsonl:{path}")}
    config.input.packing = "concat"
    (source,) = read_mixture(config, tiny_tokenizer, data_dir=tmp_path).sources
    assert source.counts.kept == 2
    assert source.lengths.max() > 500


def test_a_changed_file_makes_new_tokens_and_says_so(config, tiny_tokenizer, tmp_path) -> None:
    before = read_mixture(config, tiny_tokenizer, data_dir=tmp_path).plan
    _write(tmp_path / "a.jsonl", 40, mark="!")
    after = read_mixture(config, tiny_tokenizer, data_dir=tmp_path).plan
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert before.digest != after.digest
    (clause,) = differences(before.parts, after.parts)
    assert clause.startswith("mixture.a.data was sha256 ")
    # The same lines in a file with a blank one more: other data, the same tokens.
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("\n")
    same = read_mixture(config, tiny_tokenizer, data_dir=tmp_path).plan
    assert same.digest == after.digest
    config.mixture.a.template = "llm_jp_v1.3"
    config.mixture.a.repeat = 2
    other = read_mixture(config, tiny_tokenizer, data_dir=tmp_path).plan
    told = differences(same.parts, other.parts)
    assert [clause.partition(" was ")[0] for clause in told] == [
        "mixture.a.template",
        "mixture.a.repeat",
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({}, r"config\.mixture\.b has no source"),
        ({"source": "jsonl:x", "wieght": 2.0}, "no field wieght; did you mean weight"),
        ({"source": "jsonl:x", "qqq": 2.0}, "no field qqq; it has source, split"),
        ({"source": "jsonl:x", "repeat": 1.5}, r"b\.repeat is 1\.5; write it like 1"),
        ({"source": "jsonl:x", "weight": "4"}, r"b\.weight is '4'; write it like 0\.0"),
        ({"source": "jsonl:x", "optional": 1}, r"b\.optional is 1; write it like False"),
        ({"source": "jsonl:nowhere.jsonl"}, r"there is no file nowhere\.jsonl"),
    ],
)
def test_what_the_user_can_get_wrong(config, tiny_tokenizer, tmp_path, entry, message) -> None:
    config.mixture.b = entry
    with pytest.raises(UserError, match=message):
        read_mixture(config, tiny_tokenizer, data_dir=tmp_path)


def test_a_whole_number_may_stand_for_a_weight(config, tiny_tokenizer, tmp_path) -> None:
    config.mixture.a.weight = 1.0
    config.mixture.b = {"source": config.mixture.a.source, "weight": 3, "template": None}
    mixture = read_mixture(config, tiny_tokenizer, data_dir=tmp_path)
    assert _drawn(mixture) == {"a": 20, "b": 60}


def test_any_field_of_an_entry_can_be_given_on_the_command_line(tmp_path) -> None:
    file = tmp_path / "config.py"
    file.write_text(
        "from jaxllm.defaults import train_config\n"
        "def get_config():\n"
        "    config = train_config()\n"
        "    config.mixture.a = dict(source='jsonl:a.jsonl')\n"
        "    return config\n"
    )
    given = ["mixture.a.template=plain", "mixture.a.held_out=0.1", "mixture.a.shuffle=False"]
    entry = load_config(file, given).mixture.a
    assert (entry.template, entry.held_out, entry.shuffle) == ("plain", 0.1, False)


def test_an_empty_mixture_and_no_length_of_the_run_are_told(
    config, tiny_tokenizer, tmp_path
) -> None:
    config.steps = 5
    with pytest.raises(UserError, match="set one of"):
        read_mixture(config, tiny_tokenizer, data_dir=tmp_path)
    with config.unlocked():
        config.mixture = {}
    with pytest.raises(UserError, match="mixture is empty"):
        read_mixture(config, tiny_tokenizer, data_dir=tmp_path)


_ONE_OF_TWO_PROCESSES = """
import sys
import jax
from jaxllm.defaults import mixture_entry, train_config
from jaxllm.input import tokenize
from jaxllm.input.mixture import read_mixture
from jaxllm.text.tokenizer import load_tokenizer

number, address, tokenizer, file, data_dir = sys.argv[1:]
jax.distributed.initialize(address, 2, int(number))
written = []
write_tokens = tokenize.write_tokens

def recorded(folder, parts):
    written.append(folder.name)
    write_tokens(folder, parts)

tokenize.write_tokens = recorded
config = train_config()
config.template, config.epochs = "plain", 1.0
for name in ("a", "b"):
    config.mixture[name] = mixture_entry(f"jsonl:{file}", max_examples=10 + ord(name))
plan = read_mixture(config, load_tokenizer(tokenizer), data_dir=data_dir).plan
print(len(written), plan.digest)
"""


@pytest.mark.slow
def test_processes_that_share_a_disk_tokenize_once(tiny_tokenizer_folder, tmp_path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    _write(tmp_path / "a.jsonl", 500)
    paths = [str(tiny_tokenizer_folder), str(tmp_path / "a.jsonl"), str(tmp_path / "data")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _ONE_OF_TWO_PROCESSES, number, address, *paths],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in ("0", "1")
    ]
    (first, digest), (second, same) = (p.communicate()[0].split() for p in processes)
    assert (first, second) == ("2", "0")
    assert digest == same


@pytest.mark.parametrize(("num_groups", "accumulation"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_a_group_of_rows_has_room_for_all_that_carries_loss(
    config, tiny_tokenizer, tmp_path, num_groups, accumulation
) -> None:
    mixture = read_mixture(config, tiny_tokenizer, data_dir=tmp_path)
    capacity = group_loss_capacity(
        mixture.plan, mixture.sources, num_groups=num_groups, accumulation=accumulation
    )
    rows = 4 // (num_groups * accumulation)
    sharding = SingleDeviceSharding(jax.devices()[0])
    steps = mixture.plan.num_steps
    most = 0
    with prefetch(mixture.plan, mixture.sources, 0, steps, sharding, accumulation) as batches:
        for _, batch in batches:
            trained = np.asarray(batch["loss_weights"]) > 0
            most = max(most, trained.reshape(accumulation, num_groups, -1).sum(axis=2).max())
    assert most <= capacity < most + 16
    assert capacity < rows * mixture.plan.row_length
