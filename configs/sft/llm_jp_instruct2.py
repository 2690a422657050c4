"""LLM-jp's instruct2 models, llm-jp-3 tuned: `configs/sft/llm_jp_instruct2.py:1.8b`.

    git clone https://github.com/llm-jp/instruct3
    python instruct3/preprocess_sft.py --dataset-dir=DATA_DIR/instruct3
    jaxllm train --config=configs/sft/llm_jp_instruct2.py:1.8b --workdir=runs/instruct2

The argument is a size of llm-jp-3 (150m, 440m, 980m, 1.8b, 3.7b, 7.2b, 13b, 172b) or the name of
any released model. DATA_DIR is `config.data_dir` (default: JAXLLM_DATA_DIR or the cache).

Source: github.com/llm-jp/instruct3 at 93d1628, preprocess_sft.py, dataset.py, configs/ and
scripts/train/sft_*.sh. The sets one after another in the order of their files, AnswerCarefully 2.0
sixteen times, cut into windows of 4,097 tokens with neither document mask nor new positions; of the
others the first 1,000 examples, at most a tenth, are held out. Loss on answers and their eos. 64
windows a step, AdamW (0.9, 0.98) with a decay of 0.1, 20 steps up to 2e-5, along a cosine to 2e-6,
which the last 100 steps keep; 2 epochs (172b: 1e-5 to 1e-6, one epoch). That trainer draws windows
in an order of its own.
"""

from jaxllm.defaults import mixture_entry, train_config
from jaxllm.recipes import tune_released

SIZES = ("150m", "440m", "980m", "1.8b", "3.7b", "7.2b", "13b", "172b")
MODELS = {size: f"llm-jp-3-{size}" for size in SIZES}
# As their files are called, and where they come from: of Hugging Face's data sets.
SETS = {
    "ac_002": "llm-jp/AnswerCarefully",
    "daring_anteater_en": "nvidia/Daring-Anteater",
    "flan": "llm-jp/FLAN",
    "logical_math_coding_wizard8x22b": "llm-jp/wizardlm8x22b-logical-math-coding-sft-ja",
    "magpie_sft_v1.0": "llm-jp/magpie-sft-v1.0",
    "multiturn_calm3": "kanhatakeyama/AutoMultiTurnByCalm3-22B",
    "random_to_fixed_multiturn_calm3": "kanhatakeyama/ramdom-to-fixed-multiturn-Calm3",
    "synthetic_jp_en_coding": "llm-jp/Synthetic-JP-EN-Coding-Dataset",
}


def get_config(size="1.8b"):
    config = train_config()
    name = MODELS.get(size, size)
    config.seed = 42
    config.template = "llm_jp_3_system"
    for file, hub in SETS.items():
        config.mixture[file.replace(".", "_")] = mixture_entry(
            f"jsonl:{{data_dir}}/instruct3/train/{file}.jsonl",
            held_out=1000.0,
            shuffle=False,
            optional=True,
            origin="preprocess_sft.py of github.com/llm-jp/instruct3 fetches it from "
            f"huggingface.co/datasets/{hub}",
        )
    config.mixture.ac_002.update(
        repeat=16,
        held_out=0.0,
        origin=f"accept its terms; {config.mixture.ac_002.origin}",
    )
    config.input.update(max_length=4096, rows=64, packing="concat", bos="always")
    is_largest = name == "llm-jp-3-172b"
    config.epochs = 1.0 if is_largest else 2.0
    peak_lr = 1e-5 if is_largest else 2e-5
    config.optimizer.update(
        peak_lr=peak_lr, end_lr=peak_lr / 10, warmup=20.0, hold=100.0, b2=0.98, weight_decay=0.1
    )
    config.checkpoint.update(every=500)
    config.evals.dev = {"type": "loss", "every": 500, "rows": 64, "optional": True}
    tune_released(config, name)
    return config
