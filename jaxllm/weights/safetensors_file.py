"""The safetensors file format: an 8-byte length, a JSON header, then the tensors' bytes.

Format: https://github.com/huggingface/safetensors. Read through a memory map (from an object store
tensor by tensor) and written as a stream, so that neither needs more memory than one tensor.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Callable, Mapping
from typing import BinaryIO

import ml_dtypes
import numpy as np
from etils import epath

from jaxllm.errors import UserError
from jaxllm.weights.tensors import TensorInfo

_DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_MAX_HEADER_BYTES = 100_000_000  # the format's own limit


class SafetensorsFile:
    """A safetensors file, its header parsed and its tensors memory-mapped where it is local.

    Raises:
        UserError: the file is cut short, is no safetensors file, or holds a dtype not read here.
    """

    def __init__(self, path: epath.PathLike) -> None:
        self.path = path = epath.Path(path)
        size = path.stat().length
        with path.open("rb") as file:
            start = file.read(8)
            header_size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= header_size <= min(size - 8, _MAX_HEADER_BYTES):
                raise UserError(f"{path} is cut short or no safetensors file; fetch it again")
            try:
                header = json.loads(file.read(header_size))
            except ValueError as error:
                raise UserError(f"{path}: the header is no JSON ({error})") from error
        header.pop("__metadata__", None)
        self.tensors: dict[str, TensorInfo] = {}
        self._offsets: dict[str, int] = {}
        for name, entry in header.items():
            if entry["dtype"] not in _DTYPES:
                raise UserError(
                    f"{path}: {name} is stored as {entry['dtype']}, which is not read here; "
                    "convert the model to bfloat16 or float32 first"
                )
            info = TensorInfo(shape=tuple(entry["shape"]), dtype=_DTYPES[entry["dtype"]])
            begin, end = entry["data_offsets"]
            if 8 + header_size + end > size:
                raise UserError(f"{path} is cut short: it ends before {name}; fetch it again")
            if end - begin != math.prod(info.shape) * info.dtype.itemsize:
                raise UserError(f"{path}: the header's size of {name} contradicts its shape")
            self.tensors[name] = info
            self._offsets[name] = 8 + header_size + begin
        is_local = "://" not in str(path)
        self._map: mmap.mmap | None = None
        if is_local:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def read(self, name: str) -> np.ndarray:
        """The tensor, as a view of the memory map where there is one.

        What was read before is let go of, so that one tensor at a time is in memory; views of it
        stay good, and are read from the disk again.
        """
        info, begin = self.tensors[name], self._offsets[name]
        size = math.prod(info.shape) * info.dtype.itemsize
        if self._map is None:
            with self.path.open("rb") as file:
                file.seek(begin)
                raw = np.frombuffer(file.read(size), np.uint8)
        else:
            if hasattr(mmap, "MADV_DONTNEED"):  # Linux
                self._map.madvise(mmap.MADV_DONTNEED)
            raw = np.frombuffer(self._map, np.uint8, size, begin)
        return raw.view(info.dtype).reshape(info.shape)


def write_safetensors(
    file: BinaryIO,
    tensors: Mapping[str, TensorInfo],
    read: Callable[[str], np.ndarray],
) -> None:
    """Write `tensors` in their order, asking `read` for each when its turn comes."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, info in tensors.items():
        size = math.prod(info.shape) * info.dtype.itemsize
        header[name] = {
            "dtype": _NAMES[info.dtype],
            "shape": list(info.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of eight bytes
    file.write(struct.pack("<Q", len(text)))
    file.write(text)
    for name, info in tensors.items():
        array = np.ascontiguousarray(read(name))
        if array.shape != info.shape or array.dtype != info.dtype:
            raise ValueError(f"{name}: planned {info}, got {array.dtype} {array.shape}")
        file.write(array.reshape(-1).view(np.uint8).data)
