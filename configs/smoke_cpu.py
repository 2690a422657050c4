"""The smallest real run: a fresh tiny Llama learns the embedded suite for a minute on any CPU.

jaxllm train --config=configs/smoke_cpu.py --workdir=runs/smoke
"""

from jaxllm.defaults import mixture_entry, train_config


def get_config():
    config = train_config()
    config.tokenizer = "mini"
    config.model.architecture = {
        "hidden_size": 64,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 2,
        "head_dim": 16,
        "ffn_size": 176,
        "max_positions": 512,
        "tie_embeddings": True,
    }
    config.template = "llm_jp_v1.3"
    for task in ("fa", "mt", "qa"):
        config.mixture[task] = mixture_entry(f"mini/{task}")
    config.input.update(max_length=128, rows=16, bos="never")
    config.steps = 200
    config.optimizer.update(peak_lr=5e-3, warmup=0.05)
    config.checkpoint.every = 100
    config.evals.mini = {
        "type": "generate",
        "tasks": ("mini/v1:fa", "mini/v1:mt", "mini/v1:qa"),
        "split": "dev",
        "max_samples": 50,
        "every": "50%",
    }
    return config
