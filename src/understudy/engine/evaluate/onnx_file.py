"""Networks in ONNX files, answered by onnxruntime on the processor."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

NEEDED = ("onnx", "onnxruntime", "onnxscript")
PIXELS, FLOATS = "tensor(uint8)", "tensor(float)"


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxFile:
    """Called with images (B, C, H, W) it answers logits (B, K); `takes_pixels` where it wants them in uint8.

    `batch_size` is the only one the file was made for, None where it takes any; `image_shape` has None where the file
    leaves a size open.
    """

    session: Any
    metadata: dict[str, str]
    takes_pixels: bool
    batch_size: int | None
    image_shape: tuple[int | None, ...]

    def __call__(self, images: Tensor) -> Tensor:
        size = self.batch_size or len(images)
        return torch.cat([self._answer(part, size) for part in images.split(size)])

    def _answer(self, images: Tensor, size: int) -> Tensor:
        """One call with `size` images: the rest of a smaller batch is zeros, whose answers are left out."""
        missing = size - len(images)
        filled = torch.cat([images, images.new_zeros(missing, *images.shape[1:])]) if missing else images
        (name,) = (found.name for found in self.session.get_inputs())
        try:
            answers = self.session.run(None, {name: filled.contiguous().numpy()})
        # onnxruntime's errors have no base of their own.
        except Exception as error:
            raise ValueError(f"the ONNX file cannot answer images of {tuple(images.shape[1:])}: {error}") from error
        return torch.from_numpy(answers[0])[: len(images)]


def require_onnx(what: str) -> None:
    """ValueError with the command that installs what is missing."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ValueError(f"{what} needs {', '.join(missing)}; install with: pip install onnx onnxruntime onnxscript")


def start_session(path: Path) -> Any:
    """onnxruntime's session of the file, with torch's number of threads. Raises ValueError where it cannot run it."""
    require_onnx(f"reading {path}")
    import onnxruntime

    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; warnings about graphs are not for whoever only runs one
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # onnxruntime's errors have no base of their own.
    except Exception as error:
        raise ValueError(f"{path} is not an ONNX file that onnxruntime can run: {error}") from error


def open_onnx(path: Path) -> OnnxFile:
    """The network in the file. Raises ValueError for a file that is no such thing."""
    session = start_session(path)
    inputs = session.get_inputs()
    if "detection" in session.get_modelmeta().custom_metadata_map:
        raise ValueError(f"{path} holds a detector, which was compared with its run when it was made; give that run")
    if len(inputs) != 1 or inputs[0].type not in (PIXELS, FLOATS) or len(inputs[0].shape) != 4:
        found = ", ".join(f"{one.name}: {one.type} {one.shape}" for one in inputs)
        raise ValueError(f"{path} takes {found}; expected one input of images, (B, C, H, W) in float32 or uint8")
    sizes = tuple(size if isinstance(size, int) else None for size in inputs[0].shape)
    return OnnxFile(
        session=session,
        metadata=dict(session.get_modelmeta().custom_metadata_map),
        takes_pixels=inputs[0].type == PIXELS,
        batch_size=sizes[0],
        image_shape=sizes[1:],
    )
