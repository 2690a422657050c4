"""Login codes: 59 random bits in letters that look like no other; only their hashes are kept."""

from __future__ import annotations

import hashlib
import secrets
import threading
import unicodedata

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUPS, _GROUP_LENGTH = 3, 4
# One at a time: each takes 16 MiB and some 50 ms, and anyone may try to log in.
_HASHING = threading.Lock()


def new_code() -> str:
    """A code such as `K7QX-3MPD-9WTN`."""
    groups = (
        "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS)
    )
    return "-".join(groups)


def hash_code(code: str, salt: bytes) -> bytes:
    """scrypt of a code as it was typed: in either case, with or without hyphens, full-width too."""
    typed = unicodedata.normalize("NFKC", code).upper()
    letters = "".join(letter for letter in typed if letter in _ALPHABET)
    with _HASHING:
        return hashlib.scrypt(letters.encode("ascii"), salt=salt, n=2**14, r=8, p=1)
