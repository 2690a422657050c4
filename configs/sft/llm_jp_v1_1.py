"""LLM-jp's v1.1 instruct model, tuned without jaster: `configs/sft/llm_jp_v1_1.py:13b`.

    jaxllm data prepare dolly_en dolly_ja oasst1_en oasst1_ja
    jaxllm train --config=configs/sft/llm_jp_v1_1.py:13b --workdir=runs/v1_1

The argument is 13b, 1.3b or the name of any released model.

Source: the corpora are in the name of the model published,
llm-jp-13b-instruct-full-dolly_en-dolly_ja-ichikara_003_001-oasst_en-oasst_ja-v1.1. How it was
trained is not: the settings are those of `llm_jp_v1_0.py`, the trainer that made it. Its sister
tuned by adapters is had with --config.lora.rank=8 --config.optimizer.peak_lr=1e-4
--config.epochs=5.
"""

from pathlib import Path

from jaxllm.config import load_config
from jaxllm.defaults import mixture_entry

CORPORA = ("dolly_en", "dolly_ja", "ichikara_003_001", "oasst1_en", "oasst1_ja")


def get_config(size="13b"):
    config = load_config(f"{Path(__file__).parent}/llm_jp_v1_0.py:{size}")
    with config.unlocked():
        config.mixture = {corpus: mixture_entry(corpus, optional=True) for corpus in CORPORA}
    return config
