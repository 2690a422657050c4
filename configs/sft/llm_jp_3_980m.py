"""llm-jp-3-980m on eight v5e chips (v5e:2x4), tuned like its instruct2: `llm_jp_instruct2.py`."""

from pathlib import Path

from jaxllm.config import load_config


def get_config():
    return load_config(f"{Path(__file__).parent}/llm_jp_instruct2.py:980m")
