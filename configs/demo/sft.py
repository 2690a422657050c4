"""The demo's tuning: completion-only loss on the nine tasks, evaluated on dev as it learns."""

from jaxllm.defaults import mixture_entry, train_config

TASKS = ("el", "fa", "he", "mc", "mr", "mt", "nli", "qa", "rc")


def get_config():
    config = train_config()
    config.init_from = "runs/demo/base"
    config.template = "llm_jp_v1.3"
    for task in TASKS:
        config.mixture[task] = mixture_entry(f"mini/{task}")
    config.input.update(max_length=256, rows=4, bos="never")
    config.steps = 1200
    config.optimizer.update(peak_lr=4e-3, end_lr=2e-4, b2=0.98, warmup=0.05)
    config.evals.mini = {
        "type": "generate",
        "suite": "mini/v1",
        "split": "dev",
        "max_samples": 100,
        "every": "20%",
        "first": True,
    }
    config.log_every = 20
    return config
