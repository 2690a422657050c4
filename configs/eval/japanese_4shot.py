"""Three real tasks of llm-jp-eval v1.3.1, four shots, 100 samples each; more if prepared.

jaxllm data prepare --raw_dir=RAW jcommonsenseqa mawps jemhopqa
jaxllm evaluate --config=configs/eval/japanese_4shot.py --model=runs/smollm2 --workdir=runs/eval
"""

from jaxllm.defaults import evaluate_config


def get_config(split="test"):
    config = evaluate_config()
    config.evals.japanese = {
        "type": "generate",
        "suite": "llm-jp-eval/v1.3.1",
        "split": split,
        "max_samples": 100,
        "kind": "",
    }
    return config
