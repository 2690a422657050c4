"""LLM-jp's instruct3 models, instruct2 by preferences: `configs/dpo/llm_jp_instruct3.py:1.8b`.

    git clone https://github.com/llm-jp/instruct3
    python instruct3/preprocess_dpo.py --dataset-dir=DATA_DIR/instruct3
    jaxllm train --config=configs/dpo/llm_jp_instruct3.py:1.8b --workdir=runs/instruct3

The argument is a size of llm-jp-3 (150m, 440m, 980m, 1.8b, 3.7b, 7.2b, 13b, 172b) or the name of
any released model. It begins with the model's instruct2; for one of your own,
--config.init_from=runs/instruct2.

Source: github.com/llm-jp/instruct3 at 93d1628, preprocess_dpo.py, configs/ and
scripts/train/dpo_*.sh, with NeMo-Aligner's reader. Sigmoid loss on sums of log-probabilities, beta
0.1 (172b: 0.5), no SFT term, all weights, 256 pairs a step, AdamW (0.9, 0.98) with a decay of 0.1,
20 steps up to 9e-7, along a cosine to 5e-7, which the last 100 steps keep; one epoch. The file
holds whole prompts that begin with `<s>`, and no eos stands behind an answer: template "verbatim".
Answers of more than 4,096 tokens are left out there; here the two of a pair share a row of 8,192.
As each pair has a row of its own, most of it is padding: nearly the same in less time is
--config.input.packing=best_fit with fewer rows, whose steps differ in their number of pairs.
"""

from jaxllm.defaults import mixture_entry, train_config
from jaxllm.recipes import tune_released

SIZES = ("150m", "440m", "980m", "1.8b", "3.7b", "7.2b", "13b", "172b")
MODELS = {size: f"llm-jp-3-{size}" for size in SIZES}
FOLDER = "{data_dir}/instruct3/preference"


def get_config(size="1.8b"):
    config = train_config()
    name = MODELS.get(size, size)
    config.seed = 42
    config.objective = "dpo"
    config.template = "verbatim"
    config.mixture.preference = mixture_entry(
        f"jsonl:{FOLDER}/train/train.jsonl",
        optional=True,
        origin="preprocess_dpo.py of github.com/llm-jp/instruct3 fetches it from "
        "huggingface.co/datasets/llm-jp/ac-self-inst (accept its terms) and "
        "huggingface.co/datasets/llm-jp/aya-ja-evol-inst",
    )
    config.input.update(max_length=8192, rows=256, packing="none")
    config.epochs = 1.0
    config.dpo.update(loss="sigmoid", beta=0.5 if name == "llm-jp-3-172b" else 0.1)
    config.optimizer.update(
        peak_lr=9e-7, end_lr=5e-7, warmup=20.0, hold=100.0, b2=0.98, weight_decay=0.1
    )
    config.checkpoint.update(every=100)
    config.evals.dev = {
        "type": "preference",
        "source": f"jsonl:{FOLDER}/dev/dev.jsonl",
        "template": "verbatim",
        "max_length": 8192,
        "rows": 64,
        "every": 100,
        "optional": True,
    }
    tune_released(config, name, suffix="-instruct2")
    return config
