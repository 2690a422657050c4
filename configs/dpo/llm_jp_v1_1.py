"""LLM-jp's v1.1 model by preferences: `configs/dpo/llm_jp_v1_1.py:13b`.

    jaxllm train --config=configs/dpo/llm_jp_v1_1.py:13b --workdir=runs/v1_1_dpo

The argument is 13b, 1.3b or the name of any released model. It begins with the v1.1 instruct model;
for one of your own, --config.init_from=runs/v1_1. Needs the rows of
huggingface.co/datasets/llm-jp/hh-rlhf-12k-ja as DATA_DIR/hh-rlhf-12k-ja.jsonl.

Source: github.com/llm-jp/llm-jp-dpo at 020fa2e, train.py: sigmoid loss with a beta of 0.1, adapters
of rank 128, alpha 256 and dropout 0.05 on c_attn, c_proj and c_fc, learning rate 5e-7 to 0 along a
line, a tenth of it warm-up, 64 pairs a step, at most 30 epochs, a tenth held out and measured every
200 steps, the best kept; bos before and eos behind, as TRL 0.7.10 puts them. There each answer has
2,048 tokens with its prompt's last 1,024; here the two share a row of 2,048 and longer ones are cut
at their ends. DPO trains without dropout here, as newer versions of TRL do.
"""

from jaxllm.defaults import mixture_entry, train_config
from jaxllm.recipes import tune_released

MODELS = {"1.3b": "llm-jp-1.3b-v1.0", "13b": "llm-jp-13b-v1.0"}
BASE = "llm-jp/llm-jp-13b-instruct-full-dolly_en-dolly_ja-ichikara_003_001-oasst_en-oasst_ja-v1.1"


def get_config(size="13b"):
    config = train_config()
    name = MODELS.get(size, size)
    config.seed = 42
    config.objective = "dpo"
    config.template = "llm_jp_v1.3"
    config.mixture.hh_rlhf_12k_ja = mixture_entry(
        "jsonl:{data_dir}/hh-rlhf-12k-ja.jsonl",
        held_out=0.1,
        optional=True,
        origin="save the rows of huggingface.co/datasets/llm-jp/hh-rlhf-12k-ja as "
        "DATA_DIR/hh-rlhf-12k-ja.jsonl",
    )
    config.input.update(
        max_length=2048, rows=64, packing="none", truncation="truncate", bos="always"
    )
    config.epochs = 30.0
    config.dpo.update(loss="sigmoid", beta=0.1)
    config.lora.update(rank=128, alpha=256.0, dropout=0.05, targets=("all-linear",))
    config.optimizer.update(peak_lr=5e-7, schedule="linear", warmup=0.1, b2=0.999, weight_decay=0.0)
    config.evals.dev = {"type": "preference", "every": 200, "rows": 64, "max_examples": 0}
    config.checkpoint.update(every=200, keep_last=2, best_metric="eval/dev/loss", best_mode="min")
    tune_released(config, name)
    if name == "llm-jp-13b-v1.0":
        config.init_from = BASE
    return config
