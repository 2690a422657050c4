"""A static site of results: pages that need no server, and samples in pieces that they load.

    index.html                       the leaderboards, and what was left out
    models/MODEL.html                a model on every board: categories, tasks, where it comes from
    boards/BOARD/TASK.html           all models on a task
    boards/BOARD/samples.html        every sample of a board, whose pieces lie in pieces/
    assets/                          the style sheet and the scripts of all pages
    jaxllm-site.json                 tells that the folder is a site, and may be replaced by one

Everything works where pages are files, too: nothing is fetched, and scripts are files beside them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from etils import epath

from jaxllm.errors import UserError
from jaxllm.reporting.boards import Board, make_boards
from jaxllm.reporting.browsing import SCRIPTS, sample_pieces
from jaxllm.reporting.leaderboard import Leaderboard, is_judged, make_leaderboard
from jaxllm.reporting.page.document import read_part, read_texts
from jaxllm.reporting.readers import Material
from jaxllm.reporting.results import DamagedResult, write_whole_file
from jaxllm.reporting.site.file_names import file_name
from jaxllm.reporting.site.folder import whole_site
from jaxllm.reporting.site.links import Browsable, tasks_of
from jaxllm.reporting.site.models import find_models
from jaxllm.reporting.site.pages import STYLES, Pages

_ASSETS = (*STYLES, "sorting.js", *SCRIPTS)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a site holds: how many boards, models and samples; a sample of two runs counts twice."""

    boards: int
    models: int
    samples: int


def write_site(material: Material, out: epath.Path) -> Written:
    """Writes the site of all results; samples are read and written task by task.

    Raises UserError where `out` holds something that is no site, or a result cannot be read again.
    """
    with whole_site(out) as folder:
        try:
            return _write(material, folder)
        except DamagedResult as error:
            raise UserError(f"changed while the site was written: {error}") from error


def _write(material: Material, folder: epath.Path) -> Written:
    boards = _leaderboards(material)
    models = find_models(boards)
    browsable = {
        board.title: _write_samples(board, folder / "boards" / file_name(board.title))
        for board, _ in boards
    }
    (folder / "assets").mkdir()
    for name in _ASSETS:
        (folder / "assets" / name).write_text(read_part(name), encoding="utf-8")
    texts = f"globalThis.reportTexts={_js(read_texts())};"
    (folder / "assets" / "texts.js").write_text(texts, encoding="utf-8")
    pages = Pages(boards=boards, models=models, browsable=browsable, left_out=material.left_out)
    for path, text in pages.render():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        # Half a surrogate pair, which a name may end in, is nothing that a page could show.
        place.write_bytes(text.encode("utf-8", errors="replace"))
    return Written(
        boards=len(boards),
        models=len(models),
        samples=sum(some.num_answers for some in browsable.values()),
    )


def _leaderboards(material: Material) -> tuple[tuple[Board, Leaderboard], ...]:
    """The boards with their leaderboards, those of judged results last: they are columns before."""
    judged = [result for result in material.results if is_judged(result)]
    scored = [result for result in material.results if not is_judged(result)]
    return (
        *((board, make_leaderboard(board, judged)) for board in make_boards(scored)),
        *((board, make_leaderboard(board)) for board in make_boards(judged)),
    )


def _write_samples(board: Board, folder: epath.Path) -> Browsable:
    pieces = folder / "pieces"
    pieces.mkdir(parents=True)
    asked: dict[str, frozenset[str]] = {}
    num_answers = 0
    for name, piece in sample_pieces(board):
        write_whole_file(pieces / f"{name}.js", f"samplePieces.deliver({_js(name)},{_js(piece)});")
        if name.startswith("scores-"):
            run = board.runs[int(name.removeprefix("scores-"))]
            counts = [sum(score is not False for score in scores) for scores in piece]
            named = zip(tasks_of(board), counts, strict=True)
            asked[str(run.folder)] = frozenset(task for task, count in named if count)
            num_answers += sum(counts)
    return Browsable(asked=asked, num_answers=num_answers)


def _js(value: Any) -> str:
    """JSON that is JavaScript as well, in engines of before 2019 too."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
