"""A run's detector as an ONNX file: pixels in, boxes out."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.transforms.v2.functional import pil_to_tensor

from understudy.data import BoxedImages
from understudy.engine import facts
from understudy.engine.evaluate.detecting import is_detector
from understudy.engine.evaluate.onnx_file import require_onnx, start_session
from understudy.engine.measure.latency import Latency, measure_latency
from understudy.export.card import write_detector_card
from understudy.export.exported import Exported
from understudy.export.onnx_file import NAME
from understudy.export.same_answers import told
from understudy.export.same_boxes import Detections, compare_boxes
from understudy.export.student import NUM_IMAGES, Opened, metadata_of_run, told_name
from understudy.spec import whole_path
from understudy.tasks.detection import load_detector

__all__ = ["export_detector", "is_detector"]

FORMAT = "onnx"
INPUT, OUTPUTS = "pixels", ("boxes", "labels", "scores")
# The newest set of operators that the exporter by tracing is sure of.
OPSET = 17


def export_detector(
    opened: Opened,
    model: str | None,
    formats: Sequence[str],
    out: Path,
    tolerance: float,
    say: Callable[[str], None],
) -> list[Exported]:
    """Write the detector as ONNX, with a card, after comparing it with the detector on as many images as a student.

    Raises ValueError for other formats, ExportError for a file that does not find what the detector finds.
    """
    file = opened.found.file
    if [*formats] != [FORMAT]:
        raise ValueError(
            f"{file} holds a detector, and detectors are exported to {FORMAT} alone, found {', '.join(formats)}: "
            f"understudy.tasks.detection.load_detector reads {file.name} as torchvision's own module"
        )
    require_onnx("export to ONNX")
    out.mkdir(parents=True, exist_ok=True)
    path, example = out / NAME, next(_pixels(opened))
    network = _FromPixels(load_detector(file, model)).eval()
    with whole_path(path) as partial, told(opened.found.model, path):
        _write(network, example, partial, _metadata(opened, network))
        other = _read(partial)
        comparison = compare_boxes(network, other, _pixels(opened), tolerance=tolerance)
    exported = Exported(
        format=FORMAT, file=path, num_bytes=path.stat().st_size, sha256=facts.sha256(path), comparison=comparison
    )
    say(f"{path}: {comparison.in_words()}")
    say("measuring how long an answer takes ...")
    latencies = {"PyTorch": [_latency(network, example)], "ONNX Runtime": [_latency(other, example)]}
    write_detector_card(opened, exported, latencies, tuple(example.shape), facts.num_parameters(network))
    return [exported]


class _FromPixels(nn.Module):
    """Pixels (3, H, W) in uint8 -> boxes (N, 4) in these pixels, labels (N,) from 0 and scores (N,)."""

    def __init__(self, detector: GeneralizedRCNN):
        super().__init__()
        self.detector = detector

    def forward(self, pixels: Tensor) -> Detections:
        (found,) = self.detector([pixels.float() / 255])
        # torchvision's label 0 is the background.
        return found["boxes"], found["labels"] - 1, found["scores"]


def _pixels(opened: Opened) -> Iterator[Tensor]:
    """The first test images as they are, in any sizes; one at a time, since photographs are large."""
    images = opened.data.test
    assert isinstance(images, BoxedImages)
    return (pil_to_tensor(images.read(index)) for index in range(min(NUM_IMAGES, len(images))))


def _metadata(opened: Opened, network: nn.Module) -> dict[str, str]:
    return {
        **opened.found.metadata,
        "data": told_name(opened.data.name),
        "model": opened.found.model,
        "input": "uint8 pixels (3, height, width) of one image in RGB, in any size",
        "output": "boxes [xmin, ymin, xmax, ymax] in pixels, labels as places in class_names, scores, surest first",
        **metadata_of_run(opened.run, opened.data, network),
    }


def _write(network: nn.Module, pixels: Tensor, path: Path, metadata: Mapping[str, str]) -> None:
    """By tracing, which torchvision's detectors are made for; torch.export stops at the number of boxes."""
    import onnx

    with warnings.catch_warnings():
        # The exporter warns of its own parts; what counts is whether the file finds what the detector finds.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (pixels,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[*OUTPUTS],
            dynamic_axes={INPUT: {1: "height", 2: "width"}, **{name: {0: "detections"} for name in OUTPUTS}},
        )
    written = onnx.load(str(path))
    onnx.helper.set_model_props(written, dict(metadata))
    onnx.save(written, str(path))


def _read(path: Path) -> Callable[[Tensor], Detections]:
    session = start_session(path)

    def detect(pixels: Tensor) -> Detections:
        boxes, labels, scores = (torch.from_numpy(one) for one in session.run([*OUTPUTS], {INPUT: pixels.numpy()}))
        return boxes, labels, scores

    return detect


@torch.inference_mode()
def _latency(detect: Callable[[Tensor], Detections], pixels: Tensor) -> Latency:
    return measure_latency(lambda: detect(pixels), batch_size=1, threads=torch.get_num_threads())
