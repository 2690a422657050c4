"""A version of llm-jp-eval, 100 samples of each data set: `configs/eval/llm_jp_eval.py:v1.3.1`.

    jaxllm data prepare --suite=llm-jp-eval/v1.3.1 --raw_dir=RAW
    jaxllm evaluate --config=configs/eval/llm_jp_eval.py:v1.3.1 --model=runs/smollm2 \\
        --workdir=runs/eval

The versions are v1.0, v1.3.1, v1.4.1 and v2.1; what a version does that is not published in full
stands as unverified in the results. Data sets that are not at hand are named there with the reason,
and the average is then that of the categories that are: AVR(present). Model cards report dev, which
2.1 has not for every data set.
"""

from jaxllm.defaults import evaluate_config


def get_config(version="v1.3.1"):
    config = evaluate_config()
    config.evals.llm_jp_eval = {
        "type": "generate",
        "suite": f"llm-jp-eval/{version}",
        "split": "test" if version == "v2.1" else "dev",
        "max_samples": 100,
        "kind": "",
    }
    return config
