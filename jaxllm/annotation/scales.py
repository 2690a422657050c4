"""What annotators are asked: one answer's rating on several axes, or which of two is better."""

from __future__ import annotations

from typing import Literal

Kind = Literal["rating", "pairwise"]

# The axes of llm-human-eval-jp (Inoue et al., NLP2025), in the order of its files.
AXES = ("detailedness", "factuality", "fluency", "relevance", "overall")
CANNOT_JUDGE = "na"
FIRST, TIE, SECOND = "a", "tie", "b"
# In the order in which they stand on the page: the number keys follow it.
VALUES: dict[Kind, tuple[str, ...]] = {
    "rating": ("1", "2", "3", "4", "5"),
    "pairwise": (FIRST, TIE, SECOND),
}
DEFAULT_AXES: dict[Kind, tuple[str, ...]] = {"rating": AXES, "pairwise": ("overall",)}
