"""How others load the exported files: programs for the card, without understudy."""

from understudy.export.source import is_ours
from understudy.export.student import Student
from understudy.models import cut_of, end_of, torchvision_options, user_arguments


def how_to_load(student: Student, file_format: str, with_normalisation: bool) -> str:
    """A short program that answers one image with a class name, run in the folder of the files.

    For an embedding network with its vector. Empty for its weights alone, and for those of a network cut after a block:
    they need understudy.
    """
    if file_format == "safetensors" and cut_of(student.network) is not None:
        return ""
    if end_of(student.network) is not None:
        return _embedding(student, file_format, with_normalisation)
    shape = ", ".join(str(size) for size in student.image_shape)
    template = {
        "safetensors": SAFETENSORS,
        "onnx": ONNX_PIXELS if with_normalisation else ONNX,
        "torch": TORCH_PIXELS if with_normalisation else TORCH,
    }[file_format]
    imported, built = _construction(student)
    return template.format(shape=shape, imported=imported, built=built).strip()


def _embedding(student: Student, file_format: str, with_normalisation: bool) -> str:
    """The program of a classifier, its end replaced by one that prints the vector."""
    shape = ", ".join(str(size) for size in student.image_shape)
    template = {
        "safetensors": "",
        "onnx": ONNX_PIXELS if with_normalisation else ONNX,
        "torch": TORCH_PIXELS if with_normalisation else TORCH,
    }[file_format]
    lines = [line for line in template.format(shape=shape).strip().splitlines() if not line.startswith("print(")]
    return "\n".join([*lines, "print(logits[0])  # the vector"]) if template else ""


def _construction(student: Student) -> tuple[str, str]:
    """The line that imports the network's class, and the lines that make it with its weights."""
    source, _, name = student.model.partition(":")
    classes, channels = student.data.num_classes, student.data.image_shape[0]
    if is_ours(student):
        return "from model import load  # model.py, beside this", "network = load()"
    weights = 'network.load_state_dict(load_file("model.safetensors"))\nnetwork.eval()'
    loader = "from safetensors.torch import load_file"
    if source == "timm":
        built = f'network = timm.create_model("{name}", num_classes={classes}, in_chans={channels})\n{weights}'
        return f"import timm\n{loader}", built
    if source == "torchvision":
        alone = "".join(f", {key}={value}" for key, value in torchvision_options(name).items())
        built = f'network = get_model("{name}", weights=None, num_classes={classes}{alone})\n{weights}'
        return f"{loader}\nfrom torchvision.models import get_model", built
    given = ", ".join(f"{key}={value}" for key, value in user_arguments(student.model, classes, channels).items())
    return f"{loader}\nfrom {source} import {name}", f"network = {name}({given})\n{weights}"


SAFETENSORS = """
import json

import torch
from safetensors import safe_open
{imported}

with safe_open("model.safetensors", "pt") as file:
    facts = file.metadata()
{built}
mean, std = (torch.tensor(json.loads(facts[name])).view(-1, 1, 1) for name in ("mean", "std"))
pixels = torch.zeros(1, {shape})  # your images, 0..255
with torch.no_grad():
    logits = network((pixels - mean) / std)
print(json.loads(facts["class_names"])[logits[0].argmax()])
"""

ONNX = """
import json

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
facts = session.get_modelmeta().custom_metadata_map
mean, std = (np.array(json.loads(facts[name]), dtype=np.float32).reshape(-1, 1, 1) for name in ("mean", "std"))
pixels = np.zeros((1, {shape}), dtype=np.float32)  # your images, 0..255
(logits,) = session.run(["logits"], {{"images": (pixels - mean) / std}})
print(json.loads(facts["class_names"])[logits[0].argmax()])
"""

ONNX_PIXELS = """
import json

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
facts = session.get_modelmeta().custom_metadata_map
pixels = np.zeros((1, {shape}), dtype=np.uint8)  # your images, 0..255
(logits,) = session.run(["logits"], {{"pixels": pixels}})
print(json.loads(facts["class_names"])[logits[0].argmax()])
"""

TORCH = """
import json

import torch

words = {{"facts.json": ""}}
network = torch.export.load("model.pt2", extra_files=words).module()  # runs what is in the file
facts = json.loads(words["facts.json"])
mean, std = (torch.tensor(json.loads(facts[name])).view(-1, 1, 1) for name in ("mean", "std"))
pixels = torch.zeros(1, {shape})  # your images, 0..255
with torch.no_grad():
    logits = network((pixels - mean) / std)
print(json.loads(facts["class_names"])[logits[0].argmax()])
"""

TORCH_PIXELS = """
import json

import torch

words = {{"facts.json": ""}}
network = torch.export.load("model.pt2", extra_files=words).module()  # runs what is in the file
pixels = torch.zeros(1, {shape}, dtype=torch.uint8)  # your images, 0..255
with torch.no_grad():
    logits = network(pixels)
print(json.loads(json.loads(words["facts.json"])["class_names"])[logits[0].argmax()])
"""
