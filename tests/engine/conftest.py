"""A small teacher, settings for runs that take a second, and a network that is only an ONNX file."""

import pytest
import torch

from understudy.models import build, save_weights
from understudy.spec import read_settings

METADATA = {"model": "digits-2x6", "data": "digits"}


@pytest.fixture(scope="session")
def teacher_file(tmp_path_factory):
    """An untrained teacher: enough to have activation boundaries."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_weights(build("digits-2x6", num_classes=10, in_channels=1), path, METADATA)
    return path


@pytest.fixture
def settings(teacher_file):
    """A function from a method and words (section.key=value) to the settings of a short run on some digits."""

    def make(method="ab+kd", *words, **options):
        teacher = {"teacher.model": "digits-2x6", "teacher.weights": str(teacher_file)} if method != "none" else {}
        wanted = {
            "student.model": "digits-1x4",
            "method.name": method,
            "data.name": "digits",
            "data.percent": 20,
            "epochs": "1+2",
            "batch_size": 32,
            **teacher,
            **options,
        }
        return read_settings(options=wanted, words=words)

    return make


@pytest.fixture
def write_sums():
    """A function that writes an ONNX file whose logits are an image's sums over channels and rows, one for a column."""
    import onnx
    from onnx import TensorProto, helper

    def write(path, *, shape=("batch", 1, 8, 8), kind=TensorProto.FLOAT, inputs=1, metadata=None):
        given = [helper.make_tensor_value_info(f"in{index}", kind, shape) for index in range(inputs)]
        nodes = [
            helper.make_node("Cast", ["in0"], ["cast"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["cast", "axes"], ["logits"], keepdims=0),
        ]
        axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
        answered = helper.make_tensor_value_info("logits", TensorProto.FLOAT, (shape[0], shape[3]))
        graph = helper.make_graph(nodes, "sums", given, [answered], [axes])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        for key, value in (metadata or {"model": "sums"}).items():
            model.metadata_props.add(key=key, value=value)
        onnx.save(model, path)
        return path

    return write
