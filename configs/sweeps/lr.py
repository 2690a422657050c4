"""Which peak learning rate? A sweep over a tiny Llama on the embedded suite, minutes on any CPU.

jaxllm sweep --config=configs/sweeps/lr.py --workdir=runs/lr
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
        config.mixture[task] = mixture_entry(f"mini/{task}", held_out=0.05)
    config.input.update(max_length=128, rows=16, bos="never")
    config.steps = 100
    config.optimizer.update(warmup=0.05)
    config.checkpoint.update(every=50, best_metric="eval/held_out/loss", best_mode="min")
    config.evals.held_out = {"type": "loss", "every": "50%"}
    return config


def sweep(add):
    for peak_lr in (1e-3, 3e-3, 1e-2, 3e-2):
        add({"optimizer.peak_lr": peak_lr})
