"""The one door: `jaxllm <verb> ...` runs `main` of the module jaxllm.<verb>.

Help must come at once, so nothing but the chosen verb's own module is imported, and that late.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

import jaxllm
from jaxllm.errors import UserError
from jaxllm.verb import run_verb

VERBS = {
    "train": "train a model from a config, with its evaluators running alongside",
    "sweep": "run every point of a config's sweep() and compare what they reach",
    "evaluate": "run a config's evaluators on a checkpoint",
    "generate": "answer prompts with a model",
    "convert": "turn weights from one format into another (Hugging Face, GGUF, Orbax)",
    "data": "build the corpora, look at them, compare them with the published ones",
    "score": "score predictions in a file, without a model",
    "metrics": "list the metrics, and install what some of them need",
    "judge": "have a judge read answers: MT-Bench, quality, safety, your own",
    "report": "compare results: tables, confidence intervals, an HTML page",
    "annotate": "let people rate answers in a local web app",
    "launch": "start a verb in several processes, and again when one dies",
    "plan": "compile a config for TPUs that are not here: does it fit, how long will it take",
    "bench": "measure the speed of training, decoding and metrics on this machine",
    "demo": "the whole story on a small model: data, training, evaluation, report",
}


def help_text() -> str:
    """What `jaxllm --help` prints."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {line}" for name, line in VERBS.items())
    return (
        "usage: jaxllm <verb> [flags]\n\n"
        "Tune a Japanese language model and evaluate it, on one mesh, from one config.\n\n"
        f"verbs:\n{verbs}\n\n"
        "  jaxllm <verb> --help   the verb's flags, and an example\n"
        "  jaxllm --version       the version\n\n"
        "example: jaxllm train --config=configs/smoke_cpu.py --workdir=runs/smoke"
    )


def _dispatch(argv: Sequence[str] | None) -> int:
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv:
        print(help_text(), file=sys.stderr)
        return 2
    verb, *rest = argv
    if verb in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if verb in ("-V", "--version"):
        print(f"jaxllm {jaxllm.__version__}")
        return 0
    if verb not in VERBS:
        nearest = difflib.get_close_matches(verb, VERBS, n=1, cutoff=0.5)
        hint = f"did you mean `jaxllm {nearest[0]}`?" if nearest else f"verbs: {', '.join(VERBS)}"
        raise UserError(f"there is no verb {verb!r}; {hint}")
    return importlib.import_module(f"jaxllm.{verb}").main(rest)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `jaxllm` with these arguments (default: the command line's); returns the exit status."""
    return run_verb(_dispatch, argv)
