"""Evaluators: what a config's `evals` names, run on live weights during training and after it.

An entry of `config.evals` is a dict: `type` names the evaluator, `every` says when it runs during
training (steps as a number, or a share of the run such as "25%"; it always runs after the last
step), `first=True` also before the first, and the rest are the settings of its type:

    config.evals["mini"] = dict(type="generate", suite="mini/v1", split="dev", every="25%")
    config.evals["mine"] = dict(type="generate", task="jsonl:mine.jsonl", metrics=("char_f1",))
    config.evals["choice"] = dict(type="score", tasks=("jsonl:q.jsonl",), choices=("A", "B"))
    config.evals["held_out"] = dict(type="loss", source="jsonl:dev.jsonl", every=100)

What models answer is kept in a journal as it comes (`journal.py`): an evaluation that is killed and
started again ends with the same files as one that was not, and one that is only scored otherwise
asks nothing again.
"""

from jaxllm.evaluators.context import EvalContext
from jaxllm.evaluators.schedule import ScheduledEvaluator, make_evaluators

__all__ = ["EvalContext", "ScheduledEvaluator", "make_evaluators"]
