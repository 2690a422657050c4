"""The embedded suite on its test split; `:control` adds the floors that a learned skill must beat.

jaxllm evaluate --config=configs/eval/mini.py --model=runs/demo/tuned --workdir=runs/eval
"""

from jaxllm.defaults import evaluate_config


def get_config(arg="plain"):
    config = evaluate_config()
    asked = {"suite": "mini/v1", "split": "test", "max_samples": 200}
    config.evals.mini = {"type": "generate", **asked, "kind": ""}
    if arg == "control":
        config.evals.blank = {"type": "generate", **asked, "blank_inputs": True, "kind": "control"}
        config.evals.majority = {"type": "majority", **asked}
    return config
