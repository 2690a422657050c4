"""llm-jp-3-7.2b on 32 v5p chips (v5p:2x4x4), tuned like its instruct2: `llm_jp_instruct2.py`."""

from pathlib import Path

from jaxllm.config import load_config


def get_config():
    return load_config(f"{Path(__file__).parent}/llm_jp_instruct2.py:7.2b")
