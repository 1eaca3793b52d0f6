"""Two processes with half of the batch each learn what one learns from all of it, by every method, in every phase.

As a program, `test_two_processes.py FOLDER RANK` is one of the two processes.
"""

import copy
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from understudy.distiller import Distiller
from understudy.losses.bss import choose_bases
from understudy.methods import METHODS, adjust, find
from understudy.models import build
from understudy.processes import (
    average_gradients,
    is_first,
    is_true_anywhere,
    mean_over_processes,
    of_all_processes,
    own_part,
)

NAMES = (*METHODS, "kd+nst", "ofd+ab", "ft+mhgd", "rkd+at")
PHASES = [(name, index) for name in NAMES for index in range(len(find(name).phases))]
# Class 0 is what both networks often see, so these are the images that boundary samples start from: as many in each
# half of the batch, or not.
LABELS = {"even": (0, 1, 2, 3, 0, 4), "uneven": (0, 0, 2, 3, 0, 4)}

pytestmark = pytest.mark.slow  # two processes, each of which loads torch

Answers = dict[str, dict[str, Tensor]]


def settled_pair():
    """A student and a teacher with running statistics of their own, both with a liking for class 0."""
    torch.manual_seed(0)
    networks = [build(name, num_classes=5, in_channels=1).double() for name in ("digits-1x4", "digits-2x6")]
    for network in networks:
        for _ in range(10):
            network(torch.randn(8, 1, 8, 8, dtype=torch.float64))
        with torch.no_grad():
            network.fc.bias[0] += 1.0
    return networks[0], networks[1]


def batch(labels="even"):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(6, 1, 8, 8, generator=generator, dtype=torch.float64), torch.tensor(LABELS[labels])


def learn(name: str, index: int, images: Tensor, labels: Tensor, **options) -> dict[str, Tensor]:
    """The terms and all gradients, by name. BatchNorm has its running statistics: the batch's own are not exchanged."""
    student, teacher = copy.deepcopy(PAIR)
    torch.manual_seed(1)
    fixed = {"bss": options} if name == "bss" else {}
    method = adjust(find(name), terms=fixed, teacher_mode="eval")
    distiller = Distiller(student, teacher, method, torch.zeros(2, 1, 8, 8).double()).double()
    distiller.enter(index)
    distiller.at(0.3, 2.0)
    distiller.eval()
    answer = distiller(images, labels)
    answer["loss"].backward()
    values = {key: value.detach() for key, value in answer.items()}
    for key, parameter in distiller.named_parameters():
        if parameter.grad is not None:
            values[f"gradient of {key}"] = parameter.grad
    return values


def exchanged() -> dict[str, Tensor]:
    """What `understudy.processes` makes of numbers that tell the processes apart."""
    own = torch.arange(3.0) + 10.0 * dist.get_rank()
    other = own.clone()
    everyone = of_all_processes(own.requires_grad_())
    # The gradients of a sum's two parts are one tensor, which neither may overwrite.
    ((everyone + of_all_processes(other.requires_grad_())) * torch.arange(1.0, 7.0)).sum().backward()
    mean, none = mean_over_processes([own.detach().clone(), None])
    assert own.grad is not None and other.grad is not None and mean is not None and none is None
    # Maps with the channels last lie in another order than their numbers are read.
    weights = [torch.nn.Parameter(torch.zeros(shape)) for shape in ((2, 2, 1, 2), (3,), (1,))]
    weights[0].grad = (torch.arange(8.0) + dist.get_rank()).view(2, 2, 1, 2).to(memory_format=torch.channels_last)
    weights[1].grad = torch.full((3,), 4.0 * dist.get_rank())
    average_gradients(weights)
    assert weights[0].grad is not None and weights[1].grad is not None and weights[2].grad is None
    part, asked = own_part(7), [is_true_anywhere(dist.get_rank() == 1), is_true_anywhere(False)]
    return {
        "everyone": everyone.detach(),
        "own": own.grad,
        "other": other.grad,
        "mean": mean,
        "averaged": torch.cat([weights[0].grad.flatten(), weights[1].grad]),
        "part": torch.tensor([part.start, part.stop]),
        "asked": torch.tensor(asked),
        "first": torch.tensor(is_first()),
    }


def main(folder: Path, rank: int) -> None:
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    images, labels = (values[3 * rank : 3 * rank + 3] for values in batch())
    answers = {f"{name} {index}": learn(name, index, images, labels) for name, index in PHASES}
    answers["bss few"] = learn("bss", 0, images, labels, most=1)
    answers["bss uneven"] = learn("bss", 0, images, batch("uneven")[1][3 * rank : 3 * rank + 3])
    torch.save({**answers, "exchanged": exchanged()}, folder / f"{rank}.pt")
    dist.destroy_process_group()


PAIR = settled_pair()
if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))


@pytest.fixture(scope="module")
def halves(tmp_path_factory) -> list[Answers]:
    """The answers of both processes; all methods in one pair of them, for the start takes longer than the rest."""
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "-W", "error", __file__, str(folder)]
    with open(folder / "errors.txt", "w") as errors:
        processes = [subprocess.Popen([*command, str(rank)], stderr=errors) for rank in (0, 1)]
        try:
            codes = [process.wait(timeout=200) for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()
    assert codes == [0, 0], (folder / "errors.txt").read_text()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def mean(halves: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """What averaging gradients over processes makes of both; the logits one after the other."""
    assert halves[0].keys() == halves[1].keys()
    means = {key: torch.stack([half[key] for half in halves]).mean(dim=0) for key in halves[0] if key != "output"}
    return {**means, **({"output": torch.cat([half["output"] for half in halves])} if "output" in halves[0] else {})}


# One test for all methods: the workers of pytest-xdist would each start the two processes for their part of many.
def test_the_mean_of_both_halves_is_the_loss_and_the_gradient_of_the_whole(halves):
    wrong = []
    for name, index in PHASES:
        try:
            both = mean([half[f"{name} {index}"] for half in halves])
            torch.testing.assert_close(both, learn(name, index, *batch()), rtol=1e-9, atol=1e-12)
        except AssertionError as error:
            wrong.append(f"{name}, phase {index}: {error}")
    assert not wrong, "\n\n".join(wrong)


def test_clipped_gradients_are_the_same_in_both_processes(halves):
    """They are averaged before they are clipped: the mean of clipped ones would be another gradient."""
    for phase in ("kd_svd 0", "mhgd 1", "ft+mhgd 2"):
        first, second = (half[phase] for half in halves)
        keys = [key for key in first if key.startswith("gradient of student")]
        assert keys and all(torch.equal(first[key], second[key]) for key in keys)


def test_relations_between_images_are_the_same_in_both_processes(halves):
    relations = [("rkd 0", "rkd_distance"), ("rkd 0", "rkd_angle"), ("mhgd 0", "mhgd_guide"), ("mhgd 1", "mhgd")]
    for phase, term in relations:
        first, second = (half[phase][term] for half in halves)
        assert first > 0
        torch.testing.assert_close(first, second, rtol=1e-12, atol=0.0)


def num_bases(images: Tensor, labels: Tensor) -> int:
    student, teacher = (network.eval() for network in copy.deepcopy(PAIR))
    return len(choose_bases(student(images), teacher(images), labels))


def test_boundary_samples_count_alike_however_they_fall_to_the_processes(halves):
    """Their mean is over the images that both networks classify correctly: each process has another number of them."""
    images, labels = batch()
    assert num_bases(images[:3], labels[:3]) == num_bases(images[3:], labels[3:]) > 0
    images, labels = batch("uneven")
    counts = [num_bases(images[:3], labels[:3]), num_bases(images[3:], labels[3:])]
    assert counts[0] != counts[1] and min(counts) > 0
    whole, found = learn("bss", 0, images, labels), mean([half["bss uneven"] for half in halves])
    for name in found:
        torch.testing.assert_close(found[name], whole[name], rtol=1e-9, atol=1e-12)


def test_of_the_images_of_all_processes_so_many_are_moved_to_the_boundary(halves):
    images, labels = batch()
    assert num_bases(images, labels) > 1
    whole, found = learn("bss", 0, images, labels, most=1), mean([half["bss few"] for half in halves])
    for name in found:
        torch.testing.assert_close(found[name], whole[name], rtol=1e-9, atol=1e-12)


def test_images_of_all_processes_stand_in_the_processes_order(halves):
    expected = torch.tensor([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
    for half in halves:
        assert torch.equal(half["exchanged"]["everyone"], expected)


def test_each_process_gets_what_all_want_of_its_own_images(halves):
    # Both processes weigh the images by 1 to 6.
    for rank, expected in enumerate(([2.0, 4.0, 6.0], [8.0, 10.0, 12.0])):
        assert halves[rank]["exchanged"]["own"].tolist() == halves[rank]["exchanged"]["other"].tolist() == expected


def test_gradients_are_averaged_and_those_that_are_none_stay_none(halves):
    for half in halves:
        assert half["exchanged"]["mean"].tolist() == [5.0, 6.0, 7.0]


def test_the_parameters_gradients_are_averaged_whatever_their_layout(halves):
    for half in halves:
        assert half["exchanged"]["averaged"].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 2.0, 2.0, 2.0]


def test_processes_share_a_batch_and_ask_each_other(halves):
    assert [half["exchanged"]["part"].tolist() for half in halves] == [[0, 3], [3, 6]]
    assert [half["exchanged"]["first"].item() for half in halves] == [True, False]
    assert all(half["exchanged"]["asked"].tolist() == [True, False] for half in halves)


def test_a_single_process_exchanges_nothing():
    values = torch.ones(3, requires_grad=True)
    assert of_all_processes(values) is values
    gradient, none = mean_over_processes([values, None])
    assert gradient is values and none is None
    assert own_part(7) == slice(0, 7) and is_first() and is_true_anywhere(True) and not is_true_anywhere(False)
