"""LLM-jp's v2.0 instruct models, the first tuned for safety: `configs/sft/llm_jp_v2_0.py:13b`.

    jaxllm data prepare dolly_en dolly_ja oasst1_en oasst1_ja oasst2_en oasst2_ja
    jaxllm train --config=configs/sft/llm_jp_v2_0.py:13b,ac_001_16x --workdir=runs/v2_0

The argument is SIZE or SIZE,SAFETY. A size is 13b or the name of any released model; safety is
none, ac_001 (AnswerCarefully 1.0) or ac_001_16x (sixteen times as often), as in the three models
published.

Source: the corpora are in the names of these models, as in
llm-jp-13b-instruct-full-dolly-ichikara_004_001_single-oasst-oasst2-v2.0, and on their cards. How
they were trained is not published: the settings are those of `llm_jp_v1_0.py`.
"""

from pathlib import Path

from jaxllm.config import load_config
from jaxllm.defaults import mixture_entry
from jaxllm.recipes import model_and_choice

MODELS = {"13b": "llm-jp-13b-v2.0"}
CORPORA = ("dolly_en", "dolly_ja", "oasst1_en", "oasst1_ja", "oasst2_en", "oasst2_ja")
# Asked for by hand; a line is {"instruction", "output"}.
ICHIKARA = "https://liat-aip.sakura.ne.jp/wp/llmのための日本語インストラクションデータ作成/"
SAFETY = "https://huggingface.co/datasets/llm-jp/AnswerCarefully"
REPEATS = {"none": 0, "ac_001": 1, "ac_001_16x": 16}


def get_config(arg="13b"):
    name, safety = model_and_choice(arg, MODELS, tuple(REPEATS))
    config = load_config(f"{Path(__file__).parent}/llm_jp_v1_0.py:{name}")
    with config.unlocked():
        config.mixture = {corpus: mixture_entry(corpus, optional=True) for corpus in CORPORA}
        config.mixture.ichikara_004_001_single = mixture_entry(
            "jsonl:{data_dir}/ichikara_004_001_single.jsonl",
            optional=True,
            origin=f"ask at {ICHIKARA}, and save it as DATA_DIR/ichikara_004_001_single.jsonl",
        )
        if REPEATS[safety]:
            config.mixture.ac_001 = mixture_entry(
                "jsonl:{data_dir}/ac_001.jsonl",
                repeat=REPEATS[safety],
                optional=True,
                origin=f"accept the terms of {SAFETY}, and save v1.0 as DATA_DIR/ac_001.jsonl",
            )
    return config
