"""Names of models and tasks as names of files, which every system and every address can hold."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 48  # characters of the name itself


def file_name(name: str, identity: str = "") -> str:
    """A name in small ASCII letters, digits and hyphens: `mini/v1:el` is `mini-v1-el-9f…`.

    The digest at the end, of `identity` where that is given, tells apart what else is alike.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST].rstrip("-")
    whole = (identity or name).encode("utf-8", errors="surrogatepass")
    digest = hashlib.sha256(whole).hexdigest()[:10]
    return f"{readable}-{digest}" if readable else digest
