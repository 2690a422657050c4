"""LLM-jp's v1.0 instruct models, by adapters: `configs/sft/llm_jp_v1_0_lora.py:13b`.

The argument and the data are those of `llm_jp_v1_0.py`.

Source: github.com/llm-jp/llm-jp-sft at ee864f4, README and train.py: rank 8, alpha 32, dropout 0.05
on c_attn, c_proj and c_fc (on a Llama the seven projections: "all-linear" names either), learning
rate 1e-4, 5 epochs, 512 samples a step for 1.3b and 128 for 13b, both on one node of eight.
"""

from pathlib import Path

from jaxllm.config import load_config
from jaxllm.recipes import tune_released


def get_config(arg="13b"):
    config = load_config(f"{Path(__file__).parent}/llm_jp_v1_0.py:{arg}")
    name = config.model.zoo
    config.lora.update(rank=8, alpha=32.0, dropout=0.05, targets=("all-linear",))
    config.input.rows = 512 if name == "llm-jp-1.3b-v1.0" else 128
    config.epochs = 5.0
    config.optimizer.peak_lr = 1e-4
    tune_released(config, name)
    return config
