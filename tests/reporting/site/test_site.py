"""The site as files: its pages, where their links lead, and that what models wrote stays text."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from etils import epath

import jaxllm
from jaxllm.cli import main
from jaxllm.errors import UserError
from jaxllm.reporting.browsing import SCRIPTS
from jaxllm.reporting.page.document import read_part, read_texts
from jaxllm.reporting.readers import Material, read_material
from jaxllm.reporting.results import read_samples, write_result
from jaxllm.reporting.site.build import write_site
from jaxllm.reporting.site.file_names import file_name

_HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(1)><!-- & " \u2028 \ud83d'


class _Page(HTMLParser):
    """A page as a browser's parser takes it apart."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.elements, self.text = path, [], ""
        self.words: set[str] = set()  # keys
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        marks = (attributes.get(f"data-{part}") for part in ("text", "title", "label"))
        self.words |= set(filter(None, marks))

    def handle_data(self, data):
        self.text += data

    def addresses(self, name):
        return [attributes[name] for _, attributes in self.elements if attributes.get(name)]


def _pages(folder):
    return [_Page(path) for path in sorted(Path(folder).rglob("*.html"))]


def _pieces(folder):
    """All pieces of a site, by the path of their file."""
    found = {}
    for path in Path(folder).glob("boards/*/pieces/*.js"):
        text = path.read_text(encoding="utf-8")
        name, _, value = text.removeprefix("samplePieces.deliver(").partition(",")
        assert json.loads(name) == path.stem
        found[str(path.relative_to(folder))] = json.loads(value.removesuffix(");"))
    return found


@pytest.fixture
def results(make_result):
    model = {
        "model": {
            "name": "small",
            "weights_digest": "d1",
            "lineage": [
                {"init_from": "hub/base"},
                {"objective": "sft", "mixture": {"n": {"source": "jaster/nli", "weight": 2.0}}},
            ],
        }
    }
    found = [
        make_result("majority", {"NLI": [1, 0], "QA": [0, 0]}),
        make_result("base", {"NLI": [1, 0], "QA": None}),
        make_result("sft", {"NLI": [1, 1], "QA": [0, 1]}, changes=model),
        make_result("sft", {"NLI": [0, 1]}, folder="dev", changes={**model, "split": "dev"}),
    ]
    found[2].tasks["mini/v1:nli"]["corpus"] = "nli"
    return found


@pytest.fixture
def site(results, tmp_path):
    material = Material(results=tuple(results), left_out=("runs/x: no result.json <b>",))
    return write_site(material, epath.Path(tmp_path / "site")), tmp_path / "site"


def test_all_that_is_linked_is_there_and_nothing_lies_outside(site):
    _, folder = site
    for page in _pages(folder):
        for address in page.addresses("href") + page.addresses("src"):
            file, anchor = urldefrag(address)
            target = page.path.parent / unquote(file) if file else page.path
            assert target.is_file(), (page.path, address)
            assert target.resolve().is_relative_to(folder.resolve())
            if target.name == "samples.html":
                assert re.fullmatch(r"((left|right|task|category)=[\w%.-]+&?)*", anchor)
            elif anchor:
                assert f'id="{anchor}"' in target.read_text(encoding="utf-8")


def test_every_piece_that_the_list_of_samples_asks_for_is_there(site):
    written, folder = site
    pieces = _pieces(folder)
    num_answers = 0
    for path, index in pieces.items():
        if not path.endswith("/index.js"):
            continue
        board = path.removesuffix("index.js")
        for run, _ in enumerate(index["runs"]):
            for task, scores in enumerate(pieces[f"{board}scores-{run}.js"]):
                answers = []
                for chunk in range(0, len(scores), index["chunk"]):
                    name = f"{board}answers-{run}-{task}-{chunk // index['chunk']}.js"
                    answers += pieces[name]["answers"]
                assert [answer is None for answer in answers] == [one is False for one in scores]
                num_answers += len(answers)
    assert num_answers == written.samples == 14


def test_pages_have_ranks_intervals_counts_reasons_and_lead_to_their_samples(site):
    written, folder = site
    assert (written.boards, written.models) == (2, 3)
    index = _Page(folder / "index.html")
    assert "left out" in index.text.lower()
    assert "runs/x: no result.json <b>" in index.text
    assert "not scored: qa: no library" in index.text
    cells = [
        attributes["href"]
        for tag, attributes in index.elements
        if tag == "a" and "samples.html#" in attributes["href"]
    ]
    assert len([cell for cell in cells if "category=NLI" in cell]) == 4
    assert all("left=" in cell and "right=" in cell for cell in cells)
    (tuned,) = (folder / "models").glob("small-sft-*.html")
    model = _Page(tuned)
    assert "hub/base" in model.text
    assert "jaster/nli" in model.text
    assert model.text.count("tuned on") == 2  # heading and mark
    assert {"mini/v1 · test split · 0-shot", "mini/v1 · dev split · 0-shot"} <= {
        line.strip() for line in model.text.splitlines()
    }
    (task,) = folder.glob("boards/mini-v1-test-*/mini-v1-qa-*.html")
    rows = re.findall(r'<tr class="(\w+)"', task.read_text(encoding="utf-8"))
    assert rows == ["tuned", "base", "majority"]


def test_nothing_is_fetched_and_no_script_or_style_stands_inside_a_page(site):
    _, folder = site
    for page in _pages(folder):
        policy = next(
            attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes
        )
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        for tag, attributes in page.elements:
            assert tag not in ("style", "iframe", "object", "form")
            assert tag != "script" or "src" in attributes
            assert not any(name == "style" or name.startswith("on") for name in attributes)
    for script in SCRIPTS:
        assert "innerHTML" not in read_part(script)


def test_what_models_wrote_and_what_they_are_called_stays_text(make_result, tmp_path):
    name = f"../{_HOSTILE}"
    result = make_result("sft", {"NLI": [1]}, text=_HOSTILE, changes={"model": {"name": name}})
    (task,) = result.tasks
    sample = next(read_samples(result, task)) | {"id": "../a/\u2029\x00.js", "prompt": _HOSTILE}
    tasks = {f"{task}/../{_HOSTILE[:-1]}": result.tasks[task]}  # a name of a file of results
    record = {**result.record, "tasks": tasks}
    result = write_result(tmp_path / "odd", record, {key: [sample] for key in tasks})
    write_site(Material(results=(result,)), epath.Path(tmp_path / "site"))
    for page in _pages(tmp_path / "site"):
        assert {tag for tag, _ in page.elements} & {"img", "iframe"} == set()
        assert page.path.name.isascii()
    pieces = {Path(path).stem: value for path, value in _pieces(tmp_path / "site").items()}
    assert pieces["answers-0-0-0"]["answers"] == [[_HOSTILE, None, "stop"]]
    assert pieces["questions-0-0"]["questions"][0][0] == "../a/\u2029\x00.js"
    for path in (tmp_path / "site").rglob("*.js"):
        assert not set("\u2028\u2029") & set(path.read_text(encoding="utf-8"))


def test_names_of_files_are_their_own():
    given = ["a/b", "a:b", "A/b", "ａ", "b" * 400, "b" * 401, "", "..", "CON", "\ud83d", "日本語"]
    made = [file_name(name) for name in given]
    assert len({name.lower() for name in made}) == len(given)
    assert all(re.fullmatch(r"[a-z0-9-]{10,60}", name) for name in made)
    assert file_name("mini/v1:el").startswith("mini-v1-el-")


def test_every_word_of_the_pages_and_of_the_browser_is_there_in_both_languages(site):
    _, folder = site
    asked = {word for page in _pages(folder) for word in page.words}
    for template in (files("jaxllm.reporting.site") / "templates").iterdir():
        asked |= set(re.findall(r'english\.(\w+)|key="(\w+)"', template.read_text("utf-8")))
    for script in SCRIPTS:
        asked |= set(re.findall(r'(?:say|labelled)\("(\w+)"', read_part(script)))
    asked = {word for found in asked for word in ([found] if isinstance(found, str) else found)}
    for language in read_texts().values():
        assert asked - {"", *language} == set()
    assert len(asked) > 40


def test_a_site_appears_whole_or_not_at_all(site, results, tmp_path):
    _, folder = site
    before = (folder / "index.html").read_bytes()
    half = results[0]
    half.record["tasks"] = {**half.tasks, "mini/v1:absent": half.tasks["mini/v1:nli"]}
    with pytest.raises(UserError, match=r"changed while .*absent\.jsonl"):
        write_site(Material(results=(half,)), epath.Path(folder))
    half.record["tasks"].pop("mini/v1:absent")
    assert (folder / "index.html").read_bytes() == before
    (tmp_path / ".site.unfinished").mkdir()  # left by a process that was killed
    write_site(Material(results=tuple(results[:1])), epath.Path(folder))
    assert len(list((folder / "models").iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_only_a_site_is_replaced(results, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    material = Material(results=tuple(results))
    write_site(material, epath.Path(mine))  # an empty folder holds nothing to lose
    (mine / "jaxllm-site.json").write_text('{"schema": "other"}')
    for place in (mine, tmp_path / "file"):
        (tmp_path / "file").write_text("x")
        with pytest.raises(UserError, match="no site of jaxllm"):
            write_site(material, epath.Path(place))
    assert (mine / "index.html").is_file()
    with pytest.raises(UserError, match="cannot be written"):
        write_site(material, epath.Path("/proc/site"))


def test_an_older_site_outlives_a_kill_between_the_two_names(site, results, tmp_path):
    _, folder = site
    folder.rename(tmp_path / ".site.older")
    (tmp_path / ".site.unfinished").mkdir()
    results[0].record["tasks"]["mini/v1:absent"] = results[0].tasks["mini/v1:nli"]
    with pytest.raises(UserError, match="changed while"):
        write_site(Material(results=tuple(results)), epath.Path(folder))
    assert (folder / "jaxllm-site.json").is_file()


def test_the_command_names_damaged_folders_and_reads_no_site_as_results(results, tmp_path, capsys):
    (tmp_path / "base" / "result.json").write_text("{")
    command = ["report", str(tmp_path), f"--site={tmp_path / 'site'}"]
    assert main(command) == 0
    assert main(command) == 0  # the second time there is a site among the results
    assert "2 boards, 2 models, 10 samples" in capsys.readouterr().out
    assert "base/result.json: not JSON" in _Page(tmp_path / "site" / "index.html").text
    assert main([*command, "--view=sizes"]) == 2
    assert "leave out --view" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "site")
    jaxllm.report([tmp_path], site=tmp_path / "site")
    assert (tmp_path / "site" / "index.html").is_file()
    assert len(read_material([tmp_path]).left_out) == 1
