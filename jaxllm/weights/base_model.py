"""Which model an adapter was trained on, so that it is put on no other."""

from __future__ import annotations

import dataclasses

from jaxllm.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaseModel:
    """A hub id and its commit, or a path; the dtype of the weights, and their `weights_digest`."""

    source: str
    revision: str | None
    param_dtype: str
    digest: str

    def check(self, digest: str, *, adapter: str, given: str) -> None:
        """Raises `UserError` unless the weights of `given` are those `adapter` was made for."""
        if digest != self.digest:
            raise UserError(
                f"the adapter {adapter} was trained on other weights than those of {given}: on "
                f"{self.source} as it was then (digest {self.digest[:12]}, not {digest[:12]}). "
                "Give the model it was trained on, or train a new adapter in a new workdir"
            )
