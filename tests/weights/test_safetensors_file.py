from __future__ import annotations

import io
import json
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from jaxllm.errors import UserError
from jaxllm.weights.safetensors_file import SafetensorsFile, write_safetensors
from jaxllm.weights.tensors import TensorInfo

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([1.5, -0.0, np.nan], ml_dtypes.bfloat16),
    "c": np.arange(3, dtype=np.float16),
    "mask": np.array([[True, False]]),
}


def test_reads_what_the_library_writes(tmp_path):
    safetensors.numpy.save_file(ARRAYS, tmp_path / "x.safetensors", {"format": "pt"})

    file = SafetensorsFile(tmp_path / "x.safetensors")

    assert file.tensors.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert file.tensors[name] == TensorInfo(shape=array.shape, dtype=array.dtype)
        assert file.read(name).tobytes() == array.tobytes()


def test_the_library_reads_what_is_written(tmp_path):
    infos = {name: TensorInfo(shape=a.shape, dtype=a.dtype) for name, a in ARRAYS.items()}

    with (tmp_path / "x.safetensors").open("wb") as file:
        write_safetensors(file, infos, ARRAYS.__getitem__)

    read = safetensors.numpy.load_file(tmp_path / "x.safetensors")
    assert {name: a.tobytes() for name, a in read.items()} == {
        name: a.tobytes() for name, a in ARRAYS.items()
    }


def test_a_tensor_that_is_not_as_planned_is_not_written():
    info = {"a": TensorInfo(shape=(2, 3), dtype=np.dtype(np.float32))}

    with pytest.raises(ValueError, match="planned"):
        write_safetensors(io.BytesIO(), info, lambda name: np.zeros((3, 2), np.float32))


@pytest.mark.parametrize("keep", [0, 5, 20, -1])
def test_a_file_cut_short_is_told(keep, tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file(ARRAYS, path)
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(UserError, match=r"x\.safetensors.*(cut short|no JSON)"):
        SafetensorsFile(path)


@pytest.mark.parametrize(
    "entry, told",
    [
        ({"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}, "F8_E4M3"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "contradicts"),
    ],
)
def test_headers_that_cannot_be_read(entry, told, tmp_path):
    text = json.dumps({"w": entry}).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))

    with pytest.raises(UserError, match=told):
        SafetensorsFile(tmp_path / "x.safetensors")
