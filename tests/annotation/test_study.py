from __future__ import annotations

import sqlite3
import stat

import pytest

from jaxllm.annotation.answers import Answers, Question
from jaxllm.annotation.rating import NoSuchTask, comment, open_task, progress, rate
from jaxllm.annotation.study import Annotator, Settings, Study, create_study
from jaxllm.errors import UserError
from jaxllm.text.example import Message

_QUESTIONS = [Question(id="q", turns=((Message(role="user", content="?"),),))]


def _answers(model, **turns):
    return Answers(model=model, turns={key: (text,) for key, text in (turns or {"q": "!"}).items()})


def test_a_study_is_opened_as_it_was_made(make_study):
    study = make_study("pairwise", title="題", instructions="読んで", baseline="zebra-7b", seed=3)
    again = Study(study.path.parent)
    assert again.settings == study.settings
    assert (again.id, again.secret) == (study.id, study.secret)
    assert stat.S_IMODE(study.path.stat().st_mode) == 0o600


def test_there_is_one_study_in_a_folder_and_none_is_overwritten(make_study):
    make_study()
    with pytest.raises(UserError, match="holds a study already"):
        make_study()


def test_what_was_begun_and_not_finished_is_no_study_and_can_be_made_anew(make_study, tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.sqlite").touch()
    with pytest.raises(UserError, match="is no study of this version"):
        Study(tmp_path / "study")
    make_study()
    Study(tmp_path / "study")


def test_folders_that_are_no_study_are_told(tmp_path):
    with pytest.raises(UserError, match="there is no study"):
        Study(tmp_path)
    (tmp_path / "study.sqlite").write_text("not a database, but long enough to look at" * 9)
    with pytest.raises(UserError, match="is no study"):
        Study(tmp_path)
    with pytest.raises(UserError, match="local disk"):
        Study("gs://bucket/study")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        create_study(
            tmp_path / "file",
            Settings(kind="rating", axes=("overall",)),
            _QUESTIONS,
            [_answers("a")],
        )


@pytest.mark.parametrize(
    "settings, answers, reason",
    [
        (
            {"axes": ("overal",)},
            [_answers("a")],
            "there is no axis 'overal'; the axes are detailed",
        ),
        ({"axes": ("overall", "overall")}, [_answers("a")], "name each axis once"),
        ({}, [_answers("a"), _answers("a")], "two files of answers are named 'a'"),
        ({}, [_answers("a", p="!")], "a answers a question p that was not given"),
        (
            {},
            [Answers(model="a", turns={"q": ("1", "2")})],
            "a answers question q in 2 turns, and it has 1",
        ),
        ({"kind": "pairwise"}, [_answers("a")], "give --answers at least twice"),
        ({"baseline": "a"}, [_answers("a")], "it needs --kind=pairwise"),
        (
            {"kind": "pairwise", "baseline": "c"},
            [_answers("a"), _answers("b")],
            "no answers of 'c'; there are a, b",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, settings, answers, reason):
    settings = Settings(**{"kind": "rating", "axes": ("overall",)} | settings)
    with pytest.raises(UserError, match=reason):
        create_study(tmp_path / "study", settings, _QUESTIONS, answers)
    assert not (tmp_path / "study").exists()


def test_a_code_logs_in_however_it_is_typed_and_is_kept_nowhere(make_study):
    study = make_study()
    codes = {name: study.add_annotator(name) for name in ("aiko", "ben")}
    code = codes["aiko"]
    wide = code.translate({ord(letter): ord(letter) + 0xFEE0 for letter in code})
    for typed in (code, code.lower(), code.replace("-", ""), f" {code} ", wide):
        assert study.log_in(typed).name == "aiko"
    assert study.log_in(codes["ben"]).name == "ben"
    for wrong in ("", "-", code[:-1], code + "A", "' OR 1=1 --", "\ud800"):
        assert study.log_in(wrong) is None
    content = b"".join(path.read_bytes() for path in study.path.parent.iterdir())
    assert code.encode() not in content
    assert code.replace("-", "").encode() not in content


def test_a_new_code_ends_the_old_one_and_keeps_the_work(make_study):
    study = make_study()
    old = study.log_in(study.add_annotator("aiko"))
    rate(study, old, 1, "overall", "4")
    new = study.log_in(study.add_annotator("aiko"))
    assert (new.id, new.code_number) == (old.id, 1)
    assert study.annotator(old.id, old.code_number) is None
    assert study.annotator(new.id, new.code_number) == new
    assert open_task(study, new, 1)["ratings"] == {"overall": "4"}
    with pytest.raises(UserError, match="needs a name"):
        study.add_annotator("  ")


def test_each_annotator_has_all_tasks_in_an_order_of_their_own_that_is_recorded(make_study):
    study = make_study("pairwise", num_questions=20, num_turns=2)
    for name in ("aiko", "ben"):
        study.add_annotator(name)
    with sqlite3.connect(study.path) as database:
        rows = database.execute(
            "SELECT annotator, position, question, turn, first_answer, second_answer FROM tasks"
            " ORDER BY annotator, position"
        ).fetchall()
    database.close()
    orders = [[row[2:] for row in rows if row[0] == annotator] for annotator in (1, 2)]
    assert [len(order) for order in orders] == [40, 40]
    assert [row[1] for row in rows] == [*range(1, 41), *range(1, 41)]
    assert orders[0] != orders[1]
    unordered = [{(row[0], row[1], frozenset(row[2:])) for row in order} for order in orders]
    assert unordered[0] == unordered[1]
    for first, second in zip(orders[0][::2], orders[0][1::2], strict=True):
        # The turns of a conversation follow each other, and keep their sides.
        assert (first[0], *first[2:]) == (second[0], *second[2:])
        assert (first[1], second[1]) == (1, 2)


def test_a_task_shows_the_conversation_up_to_its_turn(make_study):
    study = make_study(num_questions=1, num_turns=2, references={"q0": ("模範",)}, models=["m"])
    aiko = study.log_in(study.add_annotator("aiko"))
    first, second = open_task(study, aiko, 1), open_task(study, aiko, 2)
    assert first == {
        "position": 1,
        "turns": [
            {
                "messages": [{"role": "user", "content": "質問0の0"}],
                "answers": ["答0：q0、0"],
                "reference": "模範",
            }
        ],
        "ratings": {},
        "comment": "",
    }
    assert [turn["answers"] for turn in second["turns"]] == [["答0：q0、0"], ["答0：q0、1"]]
    assert second["turns"][1]["reference"] == ""
    with pytest.raises(NoSuchTask):
        open_task(study, aiko, 3)


def test_questions_that_a_model_did_not_answer_are_left_out(tmp_path):
    questions = [Question(id=key, turns=_QUESTIONS[0].turns * 2) for key in "pq"]
    answers = [
        Answers(model="a", turns={"p": ("1", "2"), "q": ("1", "2")}),
        Answers(model="b", turns={"q": ("1",)}),
    ]
    for kind, total in (("rating", 5), ("pairwise", 1)):
        study = create_study(
            tmp_path / kind, Settings(kind=kind, axes=("overall",)), questions, answers
        )
        aiko = study.log_in(study.add_annotator("aiko"))
        assert progress(study, aiko).total == total


def test_progress_counts_tasks_whose_axes_are_all_rated(make_study):
    study = make_study(axes=("fluency", "overall"))
    aiko, ben = (study.log_in(study.add_annotator(name)) for name in ("aiko", "ben"))
    assert rate(study, aiko, 1, "overall", "5").done == 0
    assert rate(study, aiko, 1, "fluency", "na") == progress(study, aiko)
    assert (progress(study, aiko).done, progress(study, aiko).next) == (1, 2)
    rate(study, aiko, 3, "overall", "1")
    rate(study, aiko, 3, "fluency", "1")
    assert (progress(study, aiko).done, progress(study, aiko).next) == (2, 2)
    assert (progress(study, ben).done, progress(study, ben).next) == (0, 1)
    for position in (2, 4, 5, 6):
        for axis in ("fluency", "overall"):
            last = rate(study, aiko, position, axis, "3")
    assert (last.total, last.done, last.next) == (6, 6, None)


def test_a_rating_replaces_the_one_before(make_study):
    study = make_study()
    aiko = study.log_in(study.add_annotator("aiko"))
    for value in ("1", "na", "4"):
        rate(study, aiko, 2, "overall", value)
    for text in ("first", "\ud83d second"):
        comment(study, aiko, 2, text)
    task = open_task(study, aiko, 2)
    assert (task["ratings"], task["comment"]) == ({"overall": "4"}, "\ufffd second")


def test_ratings_off_the_scale_are_refused(make_study):
    studies = {kind: make_study(kind, folder=kind) for kind in ("rating", "pairwise")}
    for kind, axis, value in (
        ("rating", "overall", "6"),
        ("rating", "overall", "0"),
        ("rating", "overall", "a"),
        ("rating", "beauty", "3"),
        ("pairwise", "overall", "3"),
        ("pairwise", "fluency", "a"),
    ):
        with pytest.raises(ValueError, match=r"no (axis|value)"):
            rate(studies[kind], Annotator(id=1, name="aiko", code_number=0), 1, axis, value)


def test_tasks_that_are_none_and_long_comments_are_refused(make_study):
    study = make_study()
    aiko = study.log_in(study.add_annotator("aiko"))
    with pytest.raises(NoSuchTask):
        rate(study, aiko, 0, "overall", "na")
    with pytest.raises(ValueError, match="at most"):
        comment(study, aiko, 1, "x" * 5_001)
