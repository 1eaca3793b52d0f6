"""Tensors on disk, one row for each image: .npy files that are there whole or not at all, read by memory mapping."""

import functools
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

# What a bit means, by the type it is decoded to: truth values, and signs.
MEANINGS = {torch.bool: (False, True), torch.int8: (-1, 1)}
BITS = 8


@dataclass(frozen=True, kw_only=True)
class RowFormat:
    """Shape and type of what belongs to one image, whether its map lies with the channels last, whether it is bits.

    Truth values are stored as bits, and so are bytes that are +1 or -1. What was encoded is decoded to equal values of
    the same shape, type and layout.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    channels_last: bool
    is_bits: bool

    @classmethod
    def of(cls, tensor: Tensor) -> "RowFormat":
        """The format of batches like this one (B, ...)."""
        turned = tensor.ndim == 4 and not tensor.is_contiguous()
        turned = turned and tensor.is_contiguous(memory_format=torch.channels_last)
        is_bits = tensor.dtype == torch.bool or _are_signs(tensor)
        return cls(shape=tuple(tensor.shape[1:]), dtype=tensor.dtype, channels_last=turned, is_bits=is_bits)

    def encode(self, tensor: Tensor) -> np.ndarray:
        """(B, ...) -> what is written of it, B rows. Raises ValueError where bytes are no signs all of a sudden."""
        lying = (tensor.movedim(1, -1) if self.channels_last else tensor).detach().contiguous()
        if not self.is_bits:
            # numpy knows no bfloat16.
            return (lying.view(torch.int16) if self.dtype == torch.bfloat16 else lying).cpu().numpy()
        if self.dtype != torch.bool and not _are_signs(lying):
            raise ValueError(
                "bytes that were all +1 or -1 in a first batch have other values now; answer them as torch.int16"
            )
        return np.packbits((lying > 0).reshape(len(lying), -1).cpu().numpy(), axis=1)

    def decode(self, rows: Tensor) -> Tensor:
        """Rows as they were written -> (B, ...), on the device where they are; copied only where they hold bits."""
        if self.is_bits:
            # Eight values at a time: one lookup for each byte.
            values = _values_of_bytes(self.dtype, rows.device).index_select(0, rows.flatten().int())
            rows = values.view(self.dtype).view(len(rows), -1)[:, : self._num_values].contiguous()
        elif self.dtype == torch.bfloat16:
            rows = rows.view(torch.bfloat16)
        values = rows.reshape(len(rows), *self._lying_shape)
        return values.movedim(-1, 1) if self.channels_last else values

    def header(self, num_rows: int) -> bytes:
        """How a file of so many rows begins."""
        text = io.BytesIO()
        stored = torch.uint8 if self.is_bits else torch.int16 if self.dtype == torch.bfloat16 else self.dtype
        descr = np.lib.format.dtype_to_descr(torch.empty(0, dtype=stored).numpy().dtype)
        described = {"descr": descr, "fortran_order": False}
        np.lib.format.write_array_header_1_0(text, {**described, "shape": (num_rows, *self._stored_shape)})
        return text.getvalue()

    def file_bytes(self, num_rows: int) -> int:
        """The size of a file of so many rows, to the byte."""
        item_bytes = 1 if self.is_bits else self.dtype.itemsize
        return len(self.header(num_rows)) + num_rows * int(np.prod(self._stored_shape, dtype=np.int64)) * item_bytes

    def map(self, path: Path, num_rows: int) -> Tensor | None:
        """The rows of a file as they were written, read from disk when they are used; None without a whole file."""
        if not path.exists() or path.stat().st_size != self.file_bytes(num_rows):
            return None
        # To read only: the system counts what may be written to against memory and swap. Torch warns that it could not.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return torch.from_numpy(np.load(path, mmap_mode="r"))

    @property
    def _num_values(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def _lying_shape(self) -> tuple[int, ...]:
        return (*self.shape[1:], self.shape[0]) if self.channels_last else self.shape

    @property
    def _stored_shape(self) -> tuple[int, ...]:
        return (-(-self._num_values // BITS),) if self.is_bits else self._lying_shape


def _are_signs(values: Tensor) -> bool:
    """Whether these are bytes that are +1 or -1."""
    return values.dtype == torch.int8 and bool(values.abs().eq(1).all())


@functools.cache
def _values_of_bytes(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The eight values of every byte, as one number of eight bytes each: (256,)."""
    place = 1 << torch.arange(BITS - 1, -1, -1)  # packbits puts the first value into the highest bit
    low, high = MEANINGS[dtype]
    values = torch.where((torch.arange(256)[:, None] & place) > 0, high, low).to(dtype)
    return values.view(torch.int64).flatten().to(device)
