"""What the stored answers of a teacher save: whole training steps with them and with the live teacher.

Both ways take the engine's own step (batches in two fixed views, augmentation, forward, backward, optimiser, record) in
one process, in alternating blocks with two floors: the student alone in the same precision, and both networks in
float32. Filling is timed by itself.

    python -m benchmarks cached [cached:ab]
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.pair import PAPER, QUICK, float32, floor, network, random_data, settings_for
from benchmarks.timing import alternate, figures, ratios, spread
from understudy.data import Batches, training_batches
from understudy.distiller import Distiller
from understudy.engine.display import silent
from understudy.engine.memory.kept import keep_freed_memory
from understudy.engine.plan import Plan, make_plan
from understudy.engine.rates.schedule import make_optimizer
from understudy.engine.records.record import Record
from understudy.engine.teacher_cache.cache import TeacherCache
from understudy.precision import Precision

BATCHES, VIEWS, BLOCKS, WARM_UP = 10, 2, 5, 2


def measure(method: str = "kd", *, steps: int = 3, quick: bool = False) -> dict[str, Any]:
    """Images/s of the method's first phase, with the live teacher and with stored answers, in blocks of `steps`."""
    keep_freed_memory()
    pair, blocks = (QUICK, 1) if quick else (PAPER, BLOCKS)
    words = (f"data.views={VIEWS}", "method.teacher_mode=eval")
    settings = settings_for(pair, method, *words, compiles=False if quick else None)
    data = random_data(pair, BATCHES * pair.batch_size)
    plan = make_plan(settings, teacher=network(pair.teacher), data=data)
    precision = plan.choose_precision()
    with tempfile.TemporaryDirectory() as folder:
        cache, fill_s = _filled(plan, precision, Path(folder))
        num_bytes = sum(path.stat().st_size for path in Path(folder).rglob("*.npy"))
        takes = {
            "live": _step(plan, precision, Path(folder), None),
            "stored": _step(
                make_plan(settings, teacher=network(pair.teacher), data=data), precision, Path(folder), cache
            ),
            "student_floor": floor(pair, precision, with_teacher=False),
            "float32_floor": floor(pair, float32(precision.device)),
        }
        for _ in range(WARM_UP):
            for take in takes.values():
                take()
        times = alternate(takes, blocks=blocks, num_steps=steps, device=precision.device)
    num_answers = VIEWS * len(data.train)
    return {
        "method": method,
        "phase": plan.method.phases[0].name,
        "student": pair.student,
        "teacher": pair.teacher,
        "batch_size": pair.batch_size,
        **{f"{name}_images_per_s": spread([pair.batch_size / one for one in found]) for name, found in times.items()},
        "live_over_stored": ratios(times["live"], times["stored"]),
        "stored_over_student_floor": ratios(times["stored"], times["student_floor"]),
        "float32_floor_over_stored": ratios(times["float32_floor"], times["stored"]),
        "fill_images_per_s": figures(len(data.train) / fill_s),
        "bytes_per_image_and_view": figures(num_bytes / num_answers),
        "precision": precision.facts(),
    }


def _parts(plan: Plan, precision: Precision) -> tuple[Distiller, Batches]:
    assert plan.teacher is not None
    for one in (plan.student, plan.teacher):
        precision.place(one)
    example = torch.zeros(2, *plan.data.image_shape, device=precision.device)
    distiller = Distiller(plan.student, plan.teacher, plan.method, example)
    precision.place(distiller)
    distiller.make_teacher_lean(example, precision.dtype)
    batches = training_batches(
        plan.data,
        batch_size=plan.settings.batch_size,
        seed=0,
        device=precision.device,
        channels_last=precision.channels_last,
        views=plan.settings.data.views,
    )
    assert isinstance(batches, Batches)
    return distiller, batches


def _filled(plan: Plan, precision: Precision, folder: Path) -> tuple[TeacherCache, float]:
    """The answers of a first phase of as many epochs as there are views, all stored; seconds for the last view."""
    distiller, batches = _parts(plan, precision)
    cache = TeacherCache(
        folder,
        100.0,
        distiller=distiller,
        batches=batches,
        data=plan.data,
        epochs=(VIEWS,) * len(plan.method.phases),
        precision=precision,
        display=silent(),
    )
    started = 0.0
    for view in range(VIEWS):
        started = time.perf_counter()
        cache.open(view)
    return cache, time.perf_counter() - started


def _step(plan: Plan, precision: Precision, folder: Path, cache: TeacherCache | None) -> Callable[[], None]:
    """A step as the engine takes it, with the cache's answers where there is one."""
    distiller, batches = _parts(plan, precision)
    if precision.compile:
        distiller.compile(dynamic=False)
    optimizer, record = make_optimizer(distiller.phase_parameters(), plan.settings.optim), Record(folder)
    steps = _endless(batches)

    def step() -> None:
        epoch, number, images, labels = next(steps)
        view = batches.view(epoch)
        known = None
        if cache is not None and view is not None:
            known = cache.rows(view, batches.chosen(epoch, number))
        with precision.autocast():
            losses = distiller(images, labels, None, known)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        optimizer.step()
        record.add(losses)

    return step


def _endless(batches: Batches) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """Epoch, step in it, images and labels."""
    for epoch in itertools.count(1):
        for number, (images, labels) in enumerate(batches.epoch(epoch)):
            yield epoch, number, images, labels
