"""Tune a model on preferences of your own: `configs/dpo/own_jsonl.py:PATH`.

A line is {"prompt", "chosen", "rejected"}, with texts or lists of messages, or {"chosen",
"rejected"} with two conversations that begin alike. What training begins with is the reference.
Beta, loss, learning rate and epochs are those of LLM-jp's instruct3; a step is 32 rows, each with
as many pairs as fit. To measure pairs that are not trained on:

    --config.mixture.own.held_out=0.05 --config.evals.held_out.type=preference \\
    --config.evals.held_out.every=25%
"""

from jaxllm.defaults import mixture_entry, train_config


def get_config(path):
    config = train_config()
    config.objective = "dpo"
    config.init_from = "llm-jp/llm-jp-3-1.8b-instruct"
    config.model.dtype = "bfloat16"
    config.mixture.own = mixture_entry(f"jsonl:{path}")
    config.input.update(max_length=4096, rows=32, accumulation=4)
    config.epochs = 1.0
    config.dpo.update(loss="sigmoid", beta=0.1)
    config.optimizer.update(peak_lr=9e-7, end_lr=5e-7, b2=0.98)
    config.checkpoint.update(every=200)
    return config
