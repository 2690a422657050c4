"""Ask a model the questions of a JSONL file of your own: `configs/eval/own_jsonl.py:PATH`.

    jaxllm evaluate --config=configs/eval/own_jsonl.py:questions.jsonl --model=runs/mine \\
        --workdir=runs/mine_eval

A line is {"instruction", "input", "output"}, {"prompt", "completion"} or {"messages": [...]} with
the right answer last. The first four are shots; the model's own chat template writes the prompts.
The model is told to put its answer between <answer> and </answer>, which are cut away again.
"""

from jaxllm.defaults import evaluate_config


def get_config(path):
    config = evaluate_config()
    config.evals.own = {
        "type": "generate",
        "task": f"jsonl:{path}",
        "metrics": ("exact_match", "char_f1"),
        "template": "chat",
        "extraction": "answer_tags_jp",
        "num_shots": 4,
        "max_samples": -1,
        "max_new_tokens": 128,
        "kind": "",
    }
    return config
