"""One loss, forward and backward: the library's, compiled as the engine compiles it, against the plain definition.

    python -m benchmarks losses

Float32 on the three positions that WRN 22-4 and WRN 16-2 have in batches of 128 (NST: 2048 and 1024 channels of 7x7),
in alternating blocks of one process in which freed memory is reused, as in a run. `mb` is the most that a loss takes
beyond its inputs, its gradient included. The floor is the memory traffic of a forward and a backward pass that do
next to nothing: each input read in either, the gradient written once; with connectors, their own passes as torch has
them. It is no proof: a single pass, where the gradient that comes back is known in advance, would move less.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks import reference
from benchmarks.timing import alternate, figures, ratios, spread
from understudy import losses
from understudy.connectors import Conv1x1BN
from understudy.engine.memory.kept import keep_freed_memory
from understudy.losses.ab import signs
from understudy.precision import can_compile

Loss = Callable[..., Tensor]
Compiler = Callable[[Callable[..., Any]], Callable[..., Any]]
# Channels of the teacher and height of the three positions; the student's are half as wide.
LAYERS = ((64, 32), (128, 16), (256, 8))
LADDER = (0.25, 0.5, 1.0)
# How many channels are enough to see whether everything runs, where a plain definition compares each with each.
WIDEST = 256


@dataclass(frozen=True, kw_only=True)
class Case:
    """Two ways to compute one number from the same tensors, and what is asked of the second.

    `make(batch)` answers student's tensors and teacher's. `goal` is the plain time over ours, `goal_mb` our memory over
    the plain one. `prepared` turns the teacher's tensors into what our loss is given in a run. `floor` makes the step
    that is measured beside both, None where products, not memory, are what takes the time.
    """

    plain: Loss
    ours: Loss
    make: Callable[[int], tuple[list[Tensor], list[Tensor]]]
    goal: float
    goal_mb: float | None = None
    batch: int = 128
    compiles: bool = True
    prepared: Callable[[Tensor], Tensor] | None = None
    floor: Callable[[list[Tensor], list[Tensor], Compiler], Callable[[], object]] | None = None
    pairs: int = 7


def maps(batch: int, *, share: int = 1, positive: bool = False) -> tuple[list[Tensor], list[Tensor]]:
    """A map for each layer; the student's have 1/share of the teacher's channels."""
    generator = torch.Generator().manual_seed(0)
    own = [torch.randn(batch, width // share, size, size, generator=generator) for width, size in LAYERS]
    wanted = [torch.randn(batch, width, size, size, generator=generator) for width, size in LAYERS]
    return ([m.relu() for m in own], [m.relu() for m in wanted]) if positive else (own, wanted)


def last(batch: int) -> tuple[list[Tensor], list[Tensor]]:
    own, wanted = maps(batch)
    return own[-1:], wanted[-1:]


def vectors(batch: int) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, 128, generator=generator)], [torch.randn(batch, 256, generator=generator)]


def logits(batch: int) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, 10, generator=generator)], [torch.randn(batch, 10, generator=generator)]


def wide(batch: int) -> tuple[list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, 1024, 7, 7, generator=generator)], [torch.randn(batch, 2048, 7, 7, generator=generator)]


def over_layers(loss: Loss, *constants: Sequence[Any]) -> Loss:
    """The sum over the layers, each earlier one at half the weight of the next."""

    def total(*tensors: Tensor) -> Tensor:
        half = len(tensors) // 2
        parts = zip(tensors[:half], tensors[half:], *constants, strict=True)
        return torch.stack([w * loss(*part) for w, part in zip(LADDER, parts, strict=True)]).sum()

    return total


def over_pairs(loss: Loss) -> Loss:
    """The sum over consecutive layers."""

    def total(*t: Tensor) -> Tensor:
        return loss(t[0], t[1], t[3], t[4]) + loss(t[1], t[2], t[4], t[5])

    return total


def traffic(own: list[Tensor], given: list[Tensor], compiled: Compiler) -> Callable[[], object]:
    """Reads student and teacher to one number, then again to write as many numbers as the gradient has."""
    pairs = [(student.detach(), teacher) for student, teacher in zip(own, given, strict=True)]
    forward = compiled(lambda: torch.stack([(s * t).sum() for s, t in pairs]).sum())
    backward = compiled(lambda: [s + t for s, t in pairs])
    return lambda: (forward(), backward())


def bare_connectors(own: list[Tensor], given: list[Tensor], compiled: Compiler) -> Callable[[], object]:
    """The connectors' forward and backward passes, the gradient of their outputs being there already."""
    connectors = [Conv1x1BN((2, width // 2, size, size), (2, width, size, size)) for width, size in LAYERS]
    forward = compiled(lambda tensors: [c(t) for c, t in zip(connectors, tensors, strict=True)])

    def step() -> None:
        for tensor in own:
            tensor.grad = None
        torch.autograd.backward(forward(own), given)

    return step


def behind_connectors(loss: Loss) -> Loss:
    """The loss on what 1x1 convolutions with BatchNorm make of the student's maps."""
    connectors = nn.ModuleList(Conv1x1BN((2, width // 2, size, size), (2, width, size, size)) for width, size in LAYERS)

    def total(*tensors: Tensor) -> Tensor:
        return over_layers(loss)(*(c(t) for c, t in zip(connectors, tensors[:3], strict=True)), *tensors[3:])

    return total


def overhaul(student: Tensor, teacher: Tensor, margin_C: Tensor) -> Tensor:
    return losses.partial_l2(student, torch.maximum(teacher, margin_C[:, None, None]))


def relational(student: Tensor, teacher: Tensor) -> Tensor:
    return losses.rkd_distance(student, teacher) + 2.0 * losses.rkd_angle(student, teacher)


def nst_gaussian(student: Tensor, teacher: Tensor) -> Tensor:
    return losses.nst(student, teacher, kernel="gaussian")


def cases() -> dict[str, Case]:
    margins = [torch.linspace(-1.0, -0.1, width) for width, _ in LAYERS]
    plain_ab, ours_ab = over_layers(reference.ab), over_layers(losses.activation_boundary)
    return {
        "KD": Case(plain=reference.kd, ours=losses.kd, make=logits, goal=1.0),
        "AB": Case(plain=plain_ab, ours=ours_ab, make=maps, goal=18.0, goal_mb=0.2, floor=traffic),
        "AB, signs kept": Case(
            plain=plain_ab, ours=ours_ab, make=maps, goal=18.0, goal_mb=0.2, prepared=signs, floor=traffic
        ),
        "AB, connectors": Case(
            plain=behind_connectors(reference.ab),
            ours=behind_connectors(losses.activation_boundary),
            make=lambda batch: maps(batch, share=2),
            goal=6.0,
            goal_mb=1 / 3,
            floor=bare_connectors,
        ),
        "OFD": Case(
            plain=over_layers(reference.ofd, margins),
            ours=over_layers(overhaul, margins),
            make=maps,
            goal=6.0,
            goal_mb=0.5,
            floor=traffic,
        ),
        "AT": Case(
            plain=over_layers(reference.at),
            ours=over_layers(losses.attention),
            make=maps,
            goal=2.8,
            goal_mb=0.4,
            floor=traffic,
        ),
        "RKD": Case(plain=reference.rkd, ours=relational, make=vectors, goal=3.5, goal_mb=0.5),
        "NST, polynomial": Case(
            plain=reference.nst_polynomial, ours=losses.nst, make=wide, goal=10.0, batch=2, pairs=3
        ),
        "NST, Gaussian": Case(plain=reference.nst_gaussian, ours=nst_gaussian, make=wide, goal=10.0, batch=2, pairs=3),
        "FSP": Case(plain=over_pairs(reference.fsp), ours=over_pairs(losses.fsp), make=maps, goal=1.2),
        "KD-SVD": Case(
            plain=over_pairs(reference.kd_svd),
            ours=over_pairs(losses.kd_svd),
            make=lambda batch: maps(batch, positive=True),
            goal=3.5,
            compiles=False,
            pairs=3,
        ),
        "FT factors": Case(plain=reference.ft, ours=losses.factor, make=last, goal=1.7, floor=traffic),
        "FitNet": Case(plain=reference.fitnet, ours=losses.hint, make=last, goal=1.7, floor=traffic),
    }


def measure(name: str | None = None, *, quick: bool = False) -> dict[str, Any]:
    """Name -> times, ratio and memory of one case, or of all."""
    keep_freed_memory()
    wanted = {key: case for key, case in cases().items() if name in (None, key)}
    return {key: measure_one(case, quick=quick) for key, case in wanted.items()}


def measure_one(case: Case, *, quick: bool) -> dict[str, Any]:
    own, wanted = case.make(2 if quick else case.batch)
    if quick and own[0].shape[1] > WIDEST:
        own, wanted = ([tensor[:, :WIDEST].clone() for tensor in tensors] for tensors in (own, wanted))
    given = wanted if case.prepared is None else [case.prepared(tensor) for tensor in wanted]
    for tensor in own:
        tensor.requires_grad_()
    compiles = case.compiles and not quick and can_compile(torch.device("cpu"))
    torch.compiler.reset()
    compiled: Compiler = partial(torch.compile, dynamic=False) if compiles else (lambda function: function)
    ours = compiled(case.ours)
    steps: dict[str, Callable[[], object]] = {
        "plain": step_of(case.plain, own, wanted),
        "ours": step_of(ours, own, given),
        **({} if case.floor is None else {"floor": case.floor(own, given, compiled)}),
    }
    for step in steps.values():
        step()
        step()
    num_steps = 1 if quick or case.pairs < 5 else 5
    times = alternate(steps, blocks=2 if quick else case.pairs, num_steps=num_steps, device=torch.device("cpu"))
    plain_mb, ours_mb = (extra_mb(steps[name], own) for name in ("plain", "ours"))
    return {
        "plain_ms": in_ms(times["plain"]),
        "ours_ms": in_ms(times["ours"]),
        "times_faster": ratios(times["plain"], times["ours"]),
        "goal": case.goal,
        **_beside_floor(times),
        "plain_mb": figures(plain_mb, 3),
        "ours_mb": figures(ours_mb, 3),
        "memory": figures(ours_mb / plain_mb, 3) if plain_mb else math.nan,
        **({} if case.goal_mb is None else {"memory_goal": figures(case.goal_mb, 3)}),
    }


def _beside_floor(times: dict[str, list[float]]) -> dict[str, Any]:
    """The floor's time, ours over it, and how many times faster than the plain definition it would be."""
    if "floor" not in times:
        return {}
    return {
        "floor_ms": in_ms(times["floor"]),
        "over_floor": ratios(times["ours"], times["floor"]),
        "most_times_faster": ratios(times["plain"], times["floor"]),
    }


def step_of(loss: Loss, own: list[Tensor], wanted: list[Tensor]) -> Callable[[], None]:
    def step() -> None:
        for tensor in own:
            tensor.grad = None
        loss(*own, *wanted).backward()

    return step


def in_ms(times_s: list[float]) -> dict[str, float | int]:
    return spread([1e3 * time for time in times_s], digits=3)


def extra_mb(step: Callable[[], object], own: list[Tensor]) -> float:
    """The largest sum of what is allocated during a step, in units of 2^20 bytes."""
    for tensor in own:
        tensor.grad = None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        step()
    assert found.profiler is not None and found.profiler.kineto_results is not None
    events = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    most = current = 0
    for event in sorted(events, key=lambda one: one.start_ns()):
        current += event.nbytes()  # pyright: ignore[reportAttributeAccessIssue]
        most = max(most, current)
    return most / 2**20
