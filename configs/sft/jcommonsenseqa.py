"""Tune any model on JCommonsenseQA's train split, in the format it is evaluated in.

    jaxllm train --config=configs/sft/jcommonsenseqa.py --workdir=runs/tuned \\
        --config.init_from=runs/smollm2 --config.steps=25
"""

from jaxllm.defaults import mixture_entry, train_config


def get_config():
    config = train_config()
    config.init_from = "runs/smollm2"
    config.template = "llm_jp_v1.3"
    config.mixture.jcommonsenseqa = mixture_entry("jcommonsenseqa")
    config.input.update(max_length=768, rows=5, bos="never")
    config.steps = 25
    config.optimizer.update(peak_lr=1e-4, warmup=0.1, weight_decay=0.0)
    config.log_every = 1
    return config
