"""The whole story on a small model: data, base model, tuning, evaluation, report.

    jaxllm demo --workdir=runs/demo

Makes the embedded suite and its tokenizer, pre-trains a Llama of about a million parameters on
plain text, tunes it on the nine tasks while evaluating it on their dev split, and compares base
and tuned model on the test split. Run again, it goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jaxllm
from jaxllm import corpora
from jaxllm.config import load_config
from jaxllm.corpora import mini
from jaxllm.errors import UserError
from jaxllm.evaluate import evaluate
from jaxllm.observe.memory import peak_rss_mb
from jaxllm.observe.progress import Progress, duration
from jaxllm.report import main as report
from jaxllm.train import train
from jaxllm.verb import Verb, run_verb


def demo(workdir: str | os.PathLike[str]) -> Path:
    """Runs the story in `workdir` and returns the path of its report."""
    started = time.monotonic()
    folder, configs = Path(workdir), _configs()
    data_dir = f"data_dir={folder / 'data'}"

    _chapter("1/5 data: nine small Japanese tasks, one for each category")
    names = [corpus.name for corpus in (*mini.TASKS, mini.TEXT)]
    with Progress("preparing corpora", total=len(names), unit="corpora") as bar:
        for name in names:
            corpora.prepare([name], data_dir=folder / "data")
            bar.update()

    _chapter("2/5 base model: pre-training on plain text")
    train(load_config(configs / "demo" / "pretrain.py", [data_dir]), folder / "base")

    _chapter("3/5 tuning: supervised, evaluated on dev while it learns")
    init_from = f"init_from={folder / 'base'}"
    train(load_config(configs / "demo" / "sft.py", [data_dir, init_from]), folder / "tuned")

    _chapter("4/5 evaluation on the test split: base, tuned, and the floors under them")
    asked = configs / "eval" / "mini.py"
    evaluate(
        load_config(asked, [data_dir, "evals.mini.kind=base"]),
        folder / "base",
        folder / "test" / "base",
    )
    evaluate(
        load_config(f"{asked}:control", [data_dir, "evals.mini.kind=tuned"]),
        folder / "tuned",
        folder / "test" / "tuned",
    )

    _chapter("5/5 report")
    html = folder / "report.html"
    report([os.fspath(folder), f"--html={html}"])
    seconds = duration(time.monotonic() - started)
    print(f"\n{seconds}, {peak_rss_mb():,.0f} MiB of memory at most; open {html} in a browser")
    return html


def _configs() -> Path:
    folder = Path(jaxllm.__file__).parents[1] / "configs"
    if not folder.is_dir():
        raise UserError(
            f"the demo reads the configs of a source checkout, and there is no {folder}: run it "
            "from a clone, installed with `pip install -e .`"
        )
    return folder


def _chapter(title: str) -> None:
    print(f"\n== {title}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of `jaxllm demo`."""
    parser = argparse.ArgumentParser(
        prog="jaxllm demo",
        description="The whole story on a small model: data, training, evaluation, report.",
        epilog="example: jaxllm demo --workdir=runs/demo",
    )
    parser.add_argument("--workdir", default="runs/demo", help="where everything goes")
    args = parser.parse_args(argv)
    demo(args.workdir)
    return 0


sys.modules[__name__].__class__ = Verb

if __name__ == "__main__":
    sys.exit(run_verb(main))
