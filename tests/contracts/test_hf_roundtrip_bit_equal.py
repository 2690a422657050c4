"""hf_roundtrip_bit_equal: Hugging Face -> jaxllm (-> Orbax) -> Hugging Face changes no bit."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import safetensors.numpy

from jaxllm.convert import convert

GOLDENS = Path(__file__).parents[1] / "goldens"
NAMES = ["llama_gqa_wide_heads", "llama_tied", "llama_biases", "qwen2", "qwen3", "gpt2_gelu_new"]


@pytest.fixture(scope="module")
def tiny():
    spec = importlib.util.spec_from_file_location("make_goldens", GOLDENS / "make_goldens.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stored(folder):
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in tensors.items()}


def other_files(folder):
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.suffix != ".safetensors"
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", NAMES)
def test_hf_roundtrip_bit_equal(name, dtype, tiny, tmp_path):
    source = tiny.write_folder(tmp_path / "source", name, dtype)

    convert(source, tmp_path / "direct", to="hf")

    assert stored(tmp_path / "direct") == stored(source)
    assert other_files(tmp_path / "direct") == other_files(source)


@pytest.mark.parametrize("name, dtype", [("llama", "bfloat16"), ("gpt2_untied", "float16")])
def test_the_same_by_way_of_orbax(name, dtype, tiny, tmp_path):
    source = tiny.write_folder(tmp_path / "source", name, dtype)

    convert(source, tmp_path / "orbax", to="orbax")
    convert(tmp_path / "orbax", tmp_path / "back", to="hf")

    assert stored(tmp_path / "back") == stored(source)
    assert other_files(tmp_path / "back") == other_files(source)
