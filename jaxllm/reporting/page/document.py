"""One HTML document that shows results to a reader: no server, no network, no other file.

What models wrote is data from strangers. It reaches a document as JSON inside a script element that
no browser runs, with every `<` escaped, and is shown as text only; a content security policy lets
nothing run but the document's own scripts, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
from collections.abc import Sequence
from typing import Any

import jinja2
import markupsafe
import plotly.offline

import jaxllm
from jaxllm.reporting.grid import MISSING

PLOTLY = "plotly"
_PLACE = importlib.resources.files("jaxllm.reporting") / "page"


def render_document(
    template: str, *, scripts: Sequence[str], styles: Sequence[str] = (), **values: Any
) -> str:
    """The document as text: a template of this folder, filled in.

    Args:
        scripts: names of files here in the order in which they run, or PLOTLY.
        styles: style sheets besides page.css.
        values: what the template asks for; its filter `script_json` embeds one as JSON.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(read_part),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "score": _score,
        "signed": _signed,
        "percent": _percent,
        "script_json": script_json,
    }
    texts = [
        plotly.offline.get_plotlyjs() if name == PLOTLY else read_part(name) for name in scripts
    ]
    return environment.get_template(template).render(
        **values,
        missing=MISSING,
        version=jaxllm.__version__,
        style="".join(read_part(name) for name in ("page.css", *styles)),
        scripts=texts,
        script_hashes=[_hash(text) for text in texts],
    )


def read_part(name: str) -> str:
    """The text of a file of this folder."""
    return (_PLACE / name).read_text(encoding="utf-8")


def read_texts() -> dict[str, dict[str, str]]:
    """The words of pages by language ("en", "ja") and key."""
    return json.loads(read_part("texts.json"))


def script_json(value: Any) -> markupsafe.Markup:
    """A value as JSON that may stand inside a script element."""
    # `<` is the one character that could end the script element or open a comment in it.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return markupsafe.Markup(text.replace("<", "\\u003c"))


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _score(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "\u2212")


def _percent(value: float) -> str:
    return f"{100 * min(max(value, 0.0), 1.0):.2f}%"
