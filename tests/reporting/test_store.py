from __future__ import annotations

import sqlite3

import pytest

from jaxllm.errors import UserError
from jaxllm.reporting.readers import Material
from jaxllm.reporting.store import build_store, open_store, query


def _material(make_result):
    results = (
        make_result("base", {"A": [1, 0], "B": None}, text="half \ud800"),
        make_result("sft", {"A": [1, 1], "B": None}, step=10),
    )
    return Material(results=results, left_out=("a: damaged",))


def test_results_are_asked_in_sql(make_result, tmp_path):
    store = build_store(_material(make_result), tmp_path / "results.sqlite")
    grid = query(
        store,
        "select runs.model, step, sample, score from samples join runs using (run)"
        " where task = 'mini/v1:a' order by run, sample",
    )
    assert [tuple(record.values()) for record in grid.records] == [
        ("small", None, "A-0", 1.0),
        ("small", None, "A-1", 0.0),
        ("small", 10, "A-0", 1.0),
        ("small", 10, "A-1", 1.0),
    ]
    (missing,) = query(store, "select distinct missing from scores where name = 'mini/v1:b'").rows
    assert missing == ("no library",)
    assert query(store, "select is_whole, role from runs").rows == (("0", "base"), ("0", "tuned"))
    assert query(store, "select reason from left_out").rows == (("a: damaged",),)


def test_a_file_is_made_anew_from_the_results_and_read_again(make_result, tmp_path):
    path = tmp_path / "results.sqlite"
    material = _material(make_result)
    build_store(material, path).close()
    build_store(material, path).close()
    assert query(open_store(path), "select count(*) from runs").rows == (("2",),)
    in_memory = build_store(material, None)
    assert query(in_memory, "select count(*) from samples").rows == (("8",),)


def test_a_question_changes_nothing(make_result, tmp_path):
    for path in (tmp_path / "results.sqlite", None):
        store = build_store(_material(make_result), path)
        for sql in ("delete from runs", "drop table runs", "select * from nothing", "nonsense"):
            with pytest.raises(UserError, match="tables are runs, scores, samples"):
                query(store, sql)
        assert query(store, "select count(*) from runs").rows == (("2",),)


def test_files_that_are_not_ours_are_never_replaced(make_result, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("create table a (b)")
    other.close()
    for name in ("notes.txt", "other.sqlite"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(UserError, match="no database of results"):
            build_store(_material(make_result), tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(UserError, match="there is no"):
        open_store(tmp_path / "absent.sqlite")
