"""Tune a model on a JSONL file of your own: `configs/sft/own_jsonl.py:PATH`.

A line is {"messages": [...]}, {"instruction", "input", "output"}, {"prompt", "completion"} or
{"text"}. The model's own chat template writes the prompts; set `config.template` to change that.
"""

from jaxllm.defaults import mixture_entry, train_config


def get_config(path):
    config = train_config()
    config.init_from = "llm-jp/llm-jp-3-1.8b"
    config.model.dtype = "bfloat16"
    config.mixture.own = mixture_entry(f"jsonl:{path}")
    config.epochs = 2.0
    config.optimizer.update(peak_lr=1e-5)
    config.checkpoint.update(every=200)
    return config
