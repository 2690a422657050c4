"""The demo's tuning: completion-only loss on the nine tasks, evaluated on dev as it learns."""

from jaxllm.defaults import mixture_entry, train_config

# Relative rates: what is learned in minutes needs fewer examples than looking up and comparing.
TASKS = {
    "el": 0.8,
    "fa": 0.6,
    "he": 0.4,
    "mc": 1.5,
    "mr": 2.0,
    "mt": 0.5,
    "nli": 2.5,
    "qa": 0.4,
    "rc": 2.0,
}


def get_config():
    config = train_config()
    config.init_from = "runs/demo/base"
    config.model.scan_unroll = 4
    config.template = "llm_jp_v1.3"
    for task, weight in TASKS.items():
        config.mixture[task] = mixture_entry(f"mini/{task}", weight=weight)
    config.input.update(max_length=128, rows=8, bos="never")
    config.steps = 1000
    config.optimizer.update(name="muon", peak_lr=4e-3, end_lr=2e-4, b2=0.98, warmup=0.05)
    config.evals.mini = {
        "type": "generate",
        "suite": "mini/v1",
        "split": "dev",
        "max_samples": 100,
        "every": "25%",
        "first": True,
    }
    config.log_every = 20
    return config
