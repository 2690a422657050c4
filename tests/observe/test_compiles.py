"""What is compiled is written down, with seconds and shapes."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxllm.observe.compiles import compiles_recorded


def test_every_compilation_leaves_its_shapes_and_seconds(tmp_path: Path) -> None:
    logger = logging.getLogger("jax._src.interpreters.pxla")
    before = (logger.level, logger.propagate, list(logger.handlers))
    three, five = jnp.ones((2, 3)), jnp.ones((2, 5))

    def seen_twice(x: jax.Array) -> jax.Array:
        return jnp.sin(x) + 17.0

    told: list[float] = []
    with compiles_recorded(tmp_path, told.append):
        program = jax.jit(seen_twice)
        for array in (three, three, five):
            program(array)
    jax.jit(lambda x: x + 1.5)(three)  # after the block nobody listens
    lines = (tmp_path / "compiles" / "000000.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    mine = [row for row in rows if "seen_twice" in row["program"]]
    assert [row["shapes"] for row in mine] == [["float32[2,3]"], ["float32[2,5]"]]
    assert all(row["seconds"] > 0 for row in mine)
    assert len(told) == len(rows)
    assert (logger.level, logger.propagate, logger.handlers) == before
