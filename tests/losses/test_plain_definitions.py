"""The losses against the plain definitions that the benchmarks time them with: equal values, equal gradients."""

import pytest
import torch
from torch import Tensor

from benchmarks.losses import Case, cases

CASES = {name: case for name, case in cases().items() if name != "AB, connectors"}


def smaller(tensors: list[Tensor], size: int) -> list[Tensor]:
    """The first channels of each, in float64."""
    return [tensor[:, : max(2, tensor.shape[1] // size)].double() for tensor in tensors]


def answer(loss, own: list[Tensor], wanted: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    own = [tensor.clone().requires_grad_() for tensor in own]
    value = loss(*own, *wanted)
    return value.detach(), list(torch.autograd.grad(value, own))


@pytest.mark.parametrize("name", CASES)
def test_a_loss_is_its_plain_definition(name: str):
    case: Case = CASES[name]
    own, wanted = case.make(3)
    own = [tensor.double() for tensor in own]
    wanted = [tensor.double() for tensor in wanted]
    if name.startswith("NST"):
        own, wanted = smaller(own, 64), smaller(wanted, 64)
    given = wanted if case.prepared is None else [case.prepared(tensor) for tensor in wanted]
    plain, gradients = answer(case.plain, own, wanted)
    value, found = answer(case.ours, own, given)
    torch.testing.assert_close(value, plain, rtol=1e-10, atol=1e-10)
    for one, other in zip(found, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("NST")])
def test_in_float32_it_is_as_near_to_float64_as_the_plain_one(name: str):
    case: Case = CASES[name]
    own, wanted = case.make(3)
    truth, gradients = answer(case.plain, [t.double() for t in own], [t.double() for t in wanted])
    plain, plain_gradients = answer(case.plain, own, wanted)
    value, found = answer(case.ours, own, wanted if case.prepared is None else [case.prepared(t) for t in wanted])
    # Ten roundings of slack: a sum in another order is as good.
    slack = 10 * torch.finfo(torch.float32).eps
    assert abs(value - truth) <= 2 * abs(plain - truth) + slack * abs(truth)
    for one, other, right in zip(found, plain_gradients, gradients, strict=True):
        assert (one - right).abs().max() <= 2 * (other - right).abs().max() + slack * right.abs().max()
