"""What a network takes in memory, so that students can be compared by it as by their parameters."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from understudy.engine.memory.live_bytes import LiveBytes, peak_bytes
from understudy.modes import evaluating, tensors_of
from understudy.spec.sizes import size_in_words

CPU = torch.device("cpu")
PARTS = ("weights_bytes", "answer_bytes", "training_bytes")
FEW = 2  # the fewest images that BatchNorm learns from


def student_memory(network: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    """Bytes in float32 on the processor, for images of `shape` (channels, height, width).

    - `weights_bytes`: parameters and buffers
    - `answer_bytes`: what the answer to one image takes beyond them at its worst moment
    - `training_bytes`: what each image of a batch leaves for the backward pass, which is most of what training takes

    What a kernel takes and frees within one operator is in none of them. The network stays as it is, and so does the
    state of the random generator. Raises what the network raises.
    """
    image, few = torch.zeros(1, *shape), torch.zeros(FEW, *shape)
    with torch.random.fork_rng(devices=[]), evaluating(network):
        answer = peak_bytes(lambda: _answer(network, image), CPU)
        training = _kept(network, few)
    weights = sum(value.numel() * value.element_size() for value in tensors_of(network).values())
    return dict(zip(PARTS, (weights, answer, training // FEW), strict=True))


@torch.no_grad()
def _answer(network: nn.Module, image: Tensor) -> None:
    network(image)


def _kept(network: nn.Module, images: Tensor) -> int:
    """Alive after a forward pass, on copies of the buffers: BatchNorm's statistics do not move."""
    network.train()
    for module in network.modules():
        # In training it refuses the processor; resting it keeps as much for the backward pass.
        if isinstance(module, nn.SyncBatchNorm):
            module.eval()
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    with LiveBytes() as live:
        output = functional_call(network, buffers, (images,))
        kept = live.now  # as long as there is the output, through which backward would go
    del output
    return kept


def in_words(memory: dict[str, int] | None) -> str | None:
    """'memory in float32: weights 2.66 MiB, an image's answer 1.13 MiB, ...'; None for runs from before."""
    if memory is None:
        return None
    weights, answer, training = (size_in_words(memory[key]) for key in PARTS)
    return f"memory in float32: weights {weights}, an image's answer {answer}, an image of a training batch {training}"
