"""LLM-jp's v1.0 instruct models, all weights tuned: `configs/sft/llm_jp_v1_0.py:13b`.

    jaxllm data prepare jamp janli jcommonsenseqa jemhopqa jnli jsem jsick jsquad jsts niilc \\
        dolly_ja oasst1_ja
    jaxllm train --config=configs/sft/llm_jp_v1_0.py:1.3b --workdir=runs/v1_0

The argument is SIZE or SIZE,MIXTURE. A size is 1.3b, 13b or the name of any released model; a
mixture is jaster-dolly-oasst, jaster or dolly-oasst, as in the names of the six models published.

Source: github.com/llm-jp/llm-jp-sft at ee864f4, README ("To Reproduce LLM-jp Models"): learning
rate 1e-5 to 0 along a cosine, a tenth of it warm-up, 2 epochs, 512 samples a step for 1.3b and
1,152 (8 nodes) for 13b, bfloat16; the rest are transformers' defaults. Every answer of a
conversation is trained, nothing else, and each sample is a row of its own, cut at its end. A row of
2,048 positions holds 2,049 tokens, one more than there; where that trainer averages the means of
micro-batches, a step here has the mean over all its trained tokens. The scripts in its folder mdx/
say 1e-4 and 3 epochs instead.
"""

from jaxllm.defaults import mixture_entry, train_config
from jaxllm.recipes import model_and_choice, tune_released

MODELS = {"1.3b": "llm-jp-1.3b-v1.0", "13b": "llm-jp-13b-v1.0"}
JASTER = "jamp janli jcommonsenseqa jemhopqa jnli jsem jsick jsquad jsts niilc".split()
MIXTURES = {
    "jaster-dolly-oasst": [*JASTER, "dolly_ja", "oasst1_ja"],
    "jaster": JASTER,
    "dolly-oasst": ["dolly_ja", "oasst1_ja"],
}


def get_config(arg="13b"):
    config = train_config()
    name, mixture = model_and_choice(arg, MODELS, tuple(MIXTURES))
    config.seed = 42
    config.template = "llm_jp_v1.3"
    for corpus in MIXTURES[mixture]:
        config.mixture[corpus] = mixture_entry(corpus, optional=True)
    rows = 512 if name == "llm-jp-1.3b-v1.0" else 1152
    config.input.update(
        max_length=2048, rows=rows, packing="none", truncation="truncate", bos="never"
    )
    config.epochs = 2.0
    config.optimizer.update(peak_lr=1e-5, warmup=0.1, b2=0.999, weight_decay=0.0)
    config.checkpoint.update(every=200)
    tune_released(config, name)
    return config
