from __future__ import annotations

import csv

import pytest

from jaxllm.annotation.export import export_records, read_export, write_export
from jaxllm.annotation.rating import comment, open_task, rate
from jaxllm.errors import UserError


def test_records_hold_what_was_said_and_the_order_it_was_shown_in(make_study):
    study = make_study("pairwise", title="題", num_questions=6)
    aiko, ben = (study.log_in(study.add_annotator(name)) for name in ("aiko", "ben"))
    shown = {position: open_task(study, aiko, position) for position in (2, 3)}
    rate(study, aiko, 3, "overall", "a")
    rate(study, aiko, 2, "overall", "na")
    comment(study, ben, 5, "難しい")
    second, third, bens = export_records(study)
    assert [record["position"] for record in (second, third, bens)] == [2, 3, 5]
    assert (second["ratings"], third["ratings"]) == ({"overall": None}, {"overall": "a"})
    assert (bens["annotator"], bens["ratings"], bens["comment"]) == ("ben", {}, "難しい")
    assert (bens["opened_at"], bens["rated_at"]) == (None, None)
    assert third["opened_at"] <= third["rated_at"]
    assert {(record["kind"], record["study"]) for record in (second, third)} == {("pairwise", "題")}
    for record in (second, third):
        # The models stand in the places where their answers were shown.
        place = {"zebra-7b": "答0", "quokka-13b": "答1"}
        expected = [
            f"{place[record[side]]}：{record['question_id']}、0" for side in ("model_a", "model_b")
        ]
        assert shown[record["position"]]["turns"][0]["answers"] == expected


def test_jsonl_comes_back_and_is_whole_or_not_there(make_study, tmp_path):
    study = make_study()
    aiko = study.log_in(study.add_annotator("aiko"))
    rate(study, aiko, 1, "overall", "4")
    rate(study, aiko, 1, "fluency", "na")
    comment(study, aiko, 1, "改行\nと \u2028 と絵 😀")
    records = export_records(study)
    assert records[0]["ratings"] == {"fluency": None, "overall": 4}
    write_export(tmp_path / "out" / "all.jsonl", records)
    assert read_export(tmp_path / "out" / "all.jsonl") == records
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["all.jsonl"]
    write_export(tmp_path / "none.jsonl", [])
    assert read_export(tmp_path / "none.jsonl") == []


def test_csv_has_a_column_for_each_axis_and_runs_nothing(make_study, tmp_path):
    study = make_study(axes=("fluency", "overall"), title="=1+1")
    aiko = study.log_in(study.add_annotator("aiko"))
    rate(study, aiko, 1, "overall", "4")
    rate(study, aiko, 1, "fluency", "na")
    comment(study, aiko, 1, '=HYPERLINK("http://evil.example")')
    comment(study, aiko, 2, "普通, の\n注")
    path = tmp_path / "ratings.csv"
    write_export(path, export_records(study))
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["fluency"], first["overall"], first["annotator"]) == ("NA", "4", "aiko")
    assert (first["study"], first["comment"]) == ("'=1+1", '\'=HYPERLINK("http://evil.example")')
    assert (second["overall"], second["comment"]) == ("", "普通, の\n注")


def test_what_cannot_be_written_or_read_is_told(tmp_path, write_jsonl):
    with pytest.raises(UserError, match=r"is a \.jsonl or a \.csv file"):
        write_export(tmp_path / "ratings.xlsx", [])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        write_export(tmp_path / "file" / "ratings.csv", [])
    with pytest.raises(UserError, match="cannot read"):
        read_export(tmp_path / "none.jsonl")
    good = {
        "kind": "rating",
        "question_id": "q",
        "turn": 1,
        "annotator": "aiko",
        "model": "sft",
        "ratings": {"overall": 4, "fluency": None},
        "opened_at": None,
        "rated_at": "2026-01-01T00:00:00.000+00:00",
    }
    changes = (
        {"kind": "x"},
        {"kind": "pairwise"},
        {"model": None},
        {"turn": "1"},
        {"rated_at": "yesterday"},
        {"ratings": {"overall": 6}},
        {"ratings": {"overall": "4"}},
        {"ratings": {"beauty": 4}},
        {"ratings": None},
    )
    assert read_export(write_jsonl("good.jsonl", good)) == [good]
    for line in ("{", "[]", "{}", *(good | change for change in changes)):
        with pytest.raises(UserError, match="line 2: not a line of `jaxllm annotate export`"):
            read_export(write_jsonl("bad.jsonl", good, line))
