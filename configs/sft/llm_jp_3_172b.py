"""llm-jp-3-172b on 512 v5p chips (v5p:8x8x8), tuned like its instruct2: `llm_jp_instruct2.py`."""

from pathlib import Path

from jaxllm.config import load_config


def get_config():
    return load_config(f"{Path(__file__).parent}/llm_jp_instruct2.py:172b")
