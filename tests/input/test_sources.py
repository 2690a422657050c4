from __future__ import annotations

import gzip
import json
import sys

import pytest

from jaxllm.errors import UserError
from jaxllm.input import sources
from jaxllm.input.sources import read_source

ALPACA = {"instruction": "足して", "input": "1 2", "output": "3"}
CHAT = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


def _write(path, *records) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"jsonl:{path}"


def _info(rows):
    """What stands prepared of corpora, given their rows: the same in each split."""

    def info(name, data_dir):
        splits = dict.fromkeys(("train", "dev"), len(rows[name]))
        return {"splits": splits, "sha256": dict.fromkeys(splits, name)}

    return info


def _answers(examples) -> list[str]:
    return [example.messages[-1].content for example in examples]


def test_jsonl_of_several_shapes(tmp_path) -> None:
    spec = _write(tmp_path / "a.jsonl", ALPACA, "", CHAT, {"text": "平文"})
    examples = list(read_source(spec, data_dir=tmp_path))
    assert _answers(examples) == ["3", "b", "平文"]
    assert [e.id for e in examples] == ["a.jsonl:1", "a.jsonl:3", "a.jsonl:4"]
    assert (examples[0].messages[0].content, examples[0].messages[0].context) == ("足して", "1 2")


def test_gzip_glob_and_split(tmp_path) -> None:
    for name in ("b", "a"):
        (tmp_path / "train").mkdir(exist_ok=True)
        with gzip.open(tmp_path / "train" / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write(json.dumps({"text": name}))
    spec = f"jsonl:{tmp_path}/{{split}}/*.jsonl.gz"
    assert _answers(read_source(spec, data_dir=tmp_path)) == ["a", "b"]
    with pytest.raises(UserError, match="no file matches"):
        read_source(spec, split="dev", data_dir=tmp_path)


def test_a_relative_glob(tmp_path, monkeypatch) -> None:
    _write(tmp_path / "x" / "a.jsonl", {"text": "a"})
    monkeypatch.chdir(tmp_path)
    assert _answers(read_source("jsonl:*/a.jsonl", data_dir=tmp_path)) == ["a"]
    assert _answers(read_source("jsonl:x/a.jsonl", data_dir=tmp_path)) == ["a"]


def test_max_examples_stops_before_a_later_broken_line(tmp_path) -> None:
    spec = _write(tmp_path / "a.jsonl", {"text": "a"}, {"text": "b"}, "{")
    assert len(list(read_source(spec, data_dir=tmp_path, max_examples=2))) == 2
    with pytest.raises(UserError, match="max_examples"):
        read_source(spec, data_dir=tmp_path, max_examples=0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a"', "not valid JSON"),
        ("[1, 2]", "a list where a JSON object is wanted"),
        ('{"text": "\\ud83d"}', "surrogate"),
        ('{"instruction": "a", "output": ""}', "output"),
        ('{"question": "a"}', ""),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line, reason) -> None:
    spec = _write(tmp_path / "a.jsonl", {"text": "a"}, "", line, {"text": "b"})
    with pytest.raises(UserError, match=rf"a\.jsonl, line 3: .*{reason}"):
        list(read_source(spec, data_dir=tmp_path))


def test_bytes_that_are_no_text_are_named(tmp_path) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        b'{"text": "a"}\n{"text": "' + "日".encode("cp932") + b'"}\n'
    )
    with pytest.raises(UserError, match="line 2: not valid UTF-8"):
        list(read_source(f"jsonl:{tmp_path}/a.jsonl", data_dir=tmp_path))


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path) -> None:
    lines = [json.dumps({"text": text}) for text in ("a", "b")]
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert _answers(read_source(f"jsonl:{tmp_path}/a.jsonl", data_dir=tmp_path)) == ["a", "b"]


def test_a_json_array_is_told_apart(tmp_path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([ALPACA], indent=1))
    with pytest.raises(UserError, match=r"line 1: .*one JSON object a line"):
        list(read_source(f"jsonl:{tmp_path}/a.json", data_dir=tmp_path))


@pytest.mark.parametrize("cut", [slice(0, -12), slice(4, None)])
def test_a_damaged_gzip_file_is_named(tmp_path, cut) -> None:
    packed = gzip.compress(json.dumps({"text": "a" * 1000}).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(packed[cut])
    with pytest.raises(UserError, match="damaged gzip"):
        list(read_source(f"jsonl:{tmp_path}/a.jsonl.gz", data_dir=tmp_path))


def test_nothing_to_read_is_an_error(tmp_path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(UserError, match="holds no example"):
        list(read_source(f"jsonl:{tmp_path}/empty.jsonl", data_dir=tmp_path))
    with pytest.raises(UserError, match="there is no file"):
        read_source(f"jsonl:{tmp_path}/missing.jsonl", data_dir=tmp_path)
    with pytest.raises(UserError, match="is a folder"):
        read_source(f"jsonl:{tmp_path}", data_dir=tmp_path)


def test_parquet(tmp_path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.Table.from_pylist([ALPACA | {"messages": None}, CHAT])
    parquet.write_table(table, tmp_path / "a.parquet")
    examples = list(read_source(f"parquet:{tmp_path}/a.parquet", data_dir=tmp_path))
    assert _answers(examples) == ["3", "b"]
    assert examples[1].id == "a.parquet:1"
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="not a readable Parquet"):
        list(read_source(f"parquet:{tmp_path}/bad.parquet", data_dir=tmp_path))


def test_parquet_with_nested_messages(tmp_path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    role = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    turn = pyarrow.struct(
        [
            ("content", pyarrow.large_string()),
            ("role", role),
            ("tokens", pyarrow.list_(pyarrow.int64())),
        ]
    )
    schema = pyarrow.schema([("messages", pyarrow.list_(turn)), ("score", pyarrow.float64())])
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"問{i}", "tokens": None},
                {"role": "assistant", "content": f"答{i}", "tokens": [1, 2]},
            ],
            "score": None,
        }
        for i in range(5)
    ]
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    examples = list(read_source(f"parquet:{tmp_path}/a.parquet", data_dir=tmp_path))
    assert _answers(examples) == [f"答{i}" for i in range(5)]
    assert [message.role for message in examples[4].messages] == ["user", "assistant"]

    table = pyarrow.Table.from_pylist([rows[0], {"messages": [None], "score": 1.0}], schema=schema)
    parquet.write_table(table, tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"b\.parquet, row 1: `messages\[0\]` must be an object"):
        list(read_source(f"parquet:{tmp_path}/b.parquet", data_dir=tmp_path))


def test_a_damaged_page_of_a_parquet_file_is_told(tmp_path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pyarrow.Table.from_pylist([{"text": f"文{i} " * 50} for i in range(100)])
    parquet.write_table(table, tmp_path / "a.parquet", use_dictionary=False)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[4:400] = bytes(396)
    (tmp_path / "a.parquet").write_bytes(data)
    with pytest.raises(UserError, match="not a readable Parquet file"):
        list(read_source(f"parquet:{tmp_path}/a.parquet", data_dir=tmp_path))


def test_a_corpus_by_its_name_and_by_its_old_name(tmp_path, monkeypatch) -> None:
    rows = {
        "mini/nli": [{"index": 0, "id": "n0", **ALPACA}],
        "mini/text": [{"index": 0, "id": "t0", "instruction": "", "input": "", "output": "文。"}],
    }
    asked = []

    def load(name, split, *, data_dir):
        asked.append((name, split, str(data_dir)))
        return rows[name]

    monkeypatch.setattr(sources.corpora, "names", lambda: list(rows))
    monkeypatch.setattr(sources.corpora, "load", load)
    monkeypatch.setattr(sources.corpora, "info", _info(rows))
    for spec in ("mini/nli", "jaster/mini/nli"):
        (example,) = read_source(spec, split="dev", data_dir=tmp_path)
        assert (example.id, example.messages[-1].content) == ("n0", "3")
    (text,) = read_source("mini/text", data_dir=tmp_path)
    assert [(m.role, m.content) for m in text.messages] == [("assistant", "文。")]
    assert asked[0] == ("mini/nli", "dev", str(tmp_path))


def test_a_corpus_of_conversations(tmp_path, monkeypatch) -> None:
    row = {"index": 0, "id": "c0", **CHAT}
    monkeypatch.setattr(sources.corpora, "names", lambda: ["chat"])
    monkeypatch.setattr(sources.corpora, "load", lambda name, split, *, data_dir: [row])
    monkeypatch.setattr(sources.corpora, "info", _info({"chat": [row]}))
    (example,) = read_source("chat", data_dir=tmp_path)
    assert example.id == "c0"
    assert [(m.role, m.content) for m in example.messages] == [("user", "a"), ("assistant", "b")]


def test_an_unknown_source_names_what_is_like_it(tmp_path) -> None:
    with pytest.raises(UserError, match=r"jsonl:PATH.*mini/nli"):
        read_source("mini/nil", data_dir=tmp_path)
    with pytest.raises(UserError, match=r"`jaxllm data list` shows$"):
        read_source("!!", data_dir=tmp_path)


def test_tfds_that_is_not_there(tmp_path) -> None:
    with pytest.raises(UserError, match=r"tfds:no_such_dataset .*array_record"):
        read_source("tfds:no_such_dataset", data_dir=tmp_path)


def _tfds(tmp_path, name, fields, rows) -> None:
    """Prepares the TensorFlow dataset `name` with one split, train."""
    import tensorflow_datasets as tfds

    def info(self):
        features = tfds.features.FeaturesDict(fields)
        return tfds.core.DatasetInfo(builder=self, features=features)

    members = {
        "VERSION": tfds.core.Version("1.0.0"),
        "pkg_dir_path": tmp_path,
        "_info": info,
        "_split_generators": lambda self, dl_manager: {"train": enumerate(rows)},
        "_generate_examples": lambda self: iter(()),
        "__module__": __name__,
    }
    builder = type(name, (tfds.core.GeneratorBasedBuilder,), members)(
        data_dir=tmp_path, file_format="array_record"
    )
    builder.download_and_prepare()


def test_tfds(tmp_path) -> None:
    import tensorflow_datasets as tfds

    turn = {"role": tfds.features.Text(), "content": tfds.features.Text()}
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"問{i}"},
                {"role": "assistant", "content": f"答{i}"},
            ]
        }
        for i in range(3)
    ]
    _tfds(tmp_path, "ChatPairs", {"messages": tfds.features.Sequence(turn)}, rows)
    examples = list(read_source("tfds:chat_pairs", data_dir=tmp_path))
    assert sorted(_answers(examples)) == ["答0", "答1", "答2"]
    assert [m.role for m in examples[0].messages] == ["user", "assistant"]
    assert "tensorflow" not in sys.modules
    with pytest.raises(UserError, match="split 'test'"):
        read_source("tfds:chat_pairs", split="test", data_dir=tmp_path)


def test_tfds_with_fields_that_are_no_text(tmp_path) -> None:
    import numpy as np
    import tensorflow_datasets as tfds

    fields = {
        "instruction": tfds.features.Text(),
        "input": tfds.features.Text(),
        "output": tfds.features.Text(),
        "about": {"title": tfds.features.Text(), "year": np.int64},
        "embedding": tfds.features.Tensor(shape=(2,), dtype=np.float32),
        "bytes": tfds.features.Scalar(np.bytes_),
    }
    extra = {"about": {"title": "題", "year": 7}, "embedding": [0.5, 1.0], "bytes": b"\xff\xd8"}
    _tfds(tmp_path, "AlpacaWithMore", fields, [ALPACA | extra])
    (example,) = read_source("tfds:alpaca_with_more:1.0.0", data_dir=tmp_path)
    assert (example.messages[0].context, example.messages[1].content) == ("1 2", "3")


def test_tfds_whose_text_is_no_text_is_told(tmp_path) -> None:
    import numpy as np
    import tensorflow_datasets as tfds

    _tfds(tmp_path, "RawBytes", {"text": tfds.features.Scalar(np.bytes_)}, [{"text": b"\xff"}])
    with pytest.raises(UserError, match=r"tfds:raw_bytes, row 0: `text` must be a string"):
        list(read_source("tfds:raw_bytes", data_dir=tmp_path))
