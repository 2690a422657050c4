"""The panel above a training run's bar."""

from __future__ import annotations

import io

from rich.console import Console

from jaxllm.observe.view import RunView


def test_it_shows_the_newest_figures_and_the_loss_as_a_line() -> None:
    view = RunView("runs/a")
    for step in range(8):
        view.update({"loss": 3.0 - step / 4, "tokens_per_second": 12345.6, "mfu": 0.4123})
    view.update({"eval/dev/AVR": 0.5, "eval/dev/n/more": 1.0})
    console = Console(width=90, file=io.StringIO(), record=True)
    console.print(view)
    text = console.export_text()
    assert "runs/a" in text
    assert "█▇▆▅▄▃▂▁" in text
    words = " ".join(text.split())
    assert "loss 1.25" in words
    assert "tokens/s 12,346" in words
    assert "MFU 41.2%" in words
    assert "dev/AVR 0.5" in words
    assert "more" not in words
    assert "learning rate" not in words
