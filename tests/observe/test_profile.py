"""A trace of chosen steps."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxllm.errors import UserError
from jaxllm.observe.profile import StepProfile, parse_steps


def test_the_trace_of_two_steps_lies_in_the_run(tmp_path: Path, capsys) -> None:
    profile = StepProfile(tmp_path, parse_steps("2:4"))
    work = jax.jit(lambda x: x @ x)
    for step in range(1, 6):
        profile.before(step)
        profile.after(step, work(jnp.ones((8, 8))))
    assert list(tmp_path.rglob("*.xplane.pb"))
    assert "steps 2 to 3" in capsys.readouterr().out
    profile.close()


@pytest.mark.parametrize("text", ["3", "4:2", "0:3", "a:b", "2:2"])
def test_steps_that_are_no_range_are_told(text: str) -> None:
    with pytest.raises(UserError, match="such as 10:13"):
        parse_steps(text)
