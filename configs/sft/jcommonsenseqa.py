"""Tune any model on JCommonsenseQA's train split, in the format it is evaluated in.

    jaxllm train --config=configs/sft/jcommonsenseqa.py --workdir=runs/tuned \\
        --config.init_from=runs/smollm2 --config.steps=60
"""

from jaxllm.defaults import mixture_entry, train_config


def get_config():
    config = train_config()
    config.init_from = "runs/smollm2"
    config.model.dtype = "bfloat16"
    config.template = "llm_jp_v1.3"
    config.mixture.jcommonsenseqa = mixture_entry("jcommonsenseqa")
    config.input.update(max_length=1024, rows=4, bos="never")
    config.steps = 60
    config.optimizer.update(peak_lr=5e-5, warmup=0.1, weight_decay=0.0)
    config.log_every = 5
    return config
