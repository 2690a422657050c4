"""What every test stands on: eight virtual CPU devices, compiled programs kept, where data lies."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from jaxllm.models.config import ModelConfig
    from jaxllm.text.tokenizer import Tokenizer

_REPO = Path(__file__).resolve().parent.parent

# Before JAX is imported, and in the environment, so that processes that tests start have it too.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    _flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    os.environ["XLA_FLAGS"] = _flags.strip()
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_REPO / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# An example's first run compiles, so its time says nothing; the same examples on every machine.
settings.register_profile("jaxllm", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("jaxllm")


def _folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable) or _REPO.parent / "shared" / default)
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; set {variable}")
    return folder


@pytest.fixture(scope="session")
def raw_dir() -> Path:
    """The downloaded raw corpora, one folder each ($JAXLLM_RAW_DIR); skips where there are none."""
    return _folder("JAXLLM_RAW_DIR", "data")


@pytest.fixture(scope="session")
def tokenizers_dir() -> Path:
    """The llm-jp tokenizers ($JAXLLM_TOKENIZERS_DIR); skips where there are none."""
    return _folder("JAXLLM_TOKENIZERS_DIR", "tokenizers")


@pytest.fixture(scope="session")
def spec_dir() -> Path:
    """The conformance cases of the metrics ($JAXLLM_SPEC_DIR); skips where there are none."""
    return _folder("JAXLLM_SPEC_DIR", "spec")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser of the slow tests, Debian's `chromium`; skips where there is none."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium; apt-get install chromium")
    return path


@pytest.fixture
def fake_endpoint() -> Iterator[Any]:
    """A server that speaks OpenAI's chat protocol; what it does says tests/fake_endpoint.py."""
    place = Path(__file__).parent / "fake_endpoint.py"
    spec = importlib.util.spec_from_file_location("fake_endpoint", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.FakeEndpoint() as server:
        yield server


@pytest.fixture
def start_processes() -> Callable[..., list[str]]:
    """Runs a script in processes that know of each other; gives back what each wrote to stderr."""

    def start(script: str, count: int, *args: str, devices: int = 1) -> list[str]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        processes = []
        for number in range(count):
            environment = os.environ | {
                "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": str(count),
                "JAX_PROCESS_ID": str(number),
            }
            command = [sys.executable, "-c", script, *args]
            processes.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        try:
            said = [process.communicate(timeout=400)[1] for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.communicate()
        assert [process.returncode for process in processes] == [0] * count, "\n".join(said)
        return said

    return start


@pytest.fixture(scope="session")
def tiny_tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SentencePiece model of 384 pieces, bytes among them."""
    from jaxllm.text.train_sentencepiece import train_sentencepiece

    folder = tmp_path_factory.mktemp("tiny_tokenizer")
    lines = [
        "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
        "以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。",
        "### 指示: ### 入力: ### 応答: 質問 回答 文章 はい いいえ",
        "The quick brown fox jumps over the lazy dog. 0123456789",
    ]
    train_sentencepiece(lines * 4, folder / "tokenizer.model", vocab_size=384)
    return folder


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_tokenizer_folder: Path) -> Tokenizer:
    from jaxllm.text.tokenizer import load_tokenizer

    return load_tokenizer(tiny_tokenizer_folder)


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    """A Llama of two layers; its embedding has 16 rows more than `tiny_tokenizer` has ids."""
    from jaxllm.models.config import ModelConfig

    # Weights that are large enough for answers to differ from prompt to prompt.
    return ModelConfig(
        vocab_size=400,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        ffn_size=64,
        max_positions=256,
        init_std=0.3,
    )


@pytest.fixture(scope="session")
def tiny_params(tiny_config: ModelConfig) -> dict[str, Any]:
    import jax

    from jaxllm.models.decoder import init_params

    return jax.jit(init_params, static_argnums=0)(tiny_config, jax.random.key(0))


@pytest.fixture(scope="session")
def tiny_questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JSONL file of 48 questions with answers of one to nine characters."""
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    lines = [
        json.dumps(
            {
                "instruction": "数えなさい。",
                "input": f"質問：{'猫' * (index % 5 + 1)}{index}",
                "output": "はい" if index % 3 else "0123456789"[: index % 9 + 1],
            },
            ensure_ascii=False,
        )
        for index in range(48)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def tiny_train_config(tiny_tokenizer_folder: Path, tiny_questions: Path) -> ConfigDict:
    """Twelve steps on `tiny_questions` from fresh weights, a checkpoint every four."""
    return _train_config(tiny_tokenizer_folder, tiny_questions)


def _train_config(tokenizer: Path, questions: Path) -> ConfigDict:
    from jaxllm.defaults import mixture_entry, train_config

    config = train_config()
    config.tokenizer = str(tokenizer)
    config.model.architecture = {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 2,
        "head_dim": 8,
        "ffn_size": 64,
        "max_positions": 256,
        "tie_embeddings": True,
    }
    config.mixture.questions = mixture_entry(f"jsonl:{questions}")
    config.template = "llm_jp_v1.3"
    config.input.update(max_length=128, rows=8, bos="never")
    config.steps = 12
    config.optimizer.update(peak_lr=3e-3, warmup=2.0)
    config.checkpoint.update(every=4, keep_last=2)
    config.log_every = 1
    return config


@pytest.fixture(scope="session")
def tiny_run(
    tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer_folder: Path, tiny_questions: Path
) -> Path:
    """The workdir of a finished run of `tiny_train_config`."""
    from jaxllm.train import train

    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    train(_train_config(tiny_tokenizer_folder, tiny_questions), workdir)
    return workdir
