"""A run before it starts, and what it makes of itself on a device."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from understudy.data import Dataset, TrainingBatches
from understudy.distiller import Distiller
from understudy.engine.narrow import find_narrow_convolution
from understudy.engine.rates import rates
from understudy.methods import Method
from understudy.precision import Precision, choose
from understudy.spec import Settings
from understudy.tasks import Objective, Task


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`epochs` has one count for each phase of the method; `sizes` what each network comes to.

    These are its "parameters", its "multiply_adds" for one image, and its "classes": how many numbers it answers with,
    or the data's classes where its answer is no tensor.

    `objective` is what the labels ask of the student. `whole_teacher` is what is measured of the teacher, with what its
    task adds; None where it knows other data. `left_random` names what the student's file of weights, or its teacher's,
    could not fill, such as a classifier of other classes. `shapes` has the (channels, height, width) at which each
    network sees the images: the teacher those of the data, the student `student.size`.
    """

    settings: Settings
    method: Method
    epochs: tuple[int, ...]
    data: Dataset
    student: nn.Module
    teacher: nn.Module | None
    whole_teacher: nn.Module | None
    other_classes: tuple[str, ...]
    left_random: list[str]
    task: Task
    objective: Objective
    sizes: dict[str, dict[str, int]]
    shapes: dict[str, tuple[int, int, int]]

    @property
    def batch_multiply_adds(self) -> float:
        """Of one batch through the larger network, forward."""
        return float(self.settings.batch_size * max(self._multiply_adds().values()))

    def _multiply_adds(self) -> dict[str, int]:
        """Of one image through each network."""
        return {role: size["multiply_adds"] for role, size in self.sizes.items()}

    @property
    def assembled(self) -> nn.Module:
        """What is measured, kept and exported: the student, with what its task adds."""
        return self.task.assemble(self.student, self.objective)

    @property
    def epoch_images(self) -> int:
        """How many images an epoch shows."""
        return self.settings.data.epoch_images or len(self.data.train)

    @property
    def batch_size(self) -> int:
        """How many images a step sees: no more than an epoch shows."""
        return min(self.settings.batch_size, self.epoch_images)

    def make_distiller(self, precision: Precision) -> Distiller:
        """Student, teacher and method on the device, with what the settings freeze."""
        example = torch.zeros(2, *self.data.image_shape, device=precision.device)
        distiller = Distiller(self.student, self.teacher, self.method, example, self.objective)
        try:
            rates.freeze(distiller, self.settings.optim.rates, example)
        except ValueError:
            distiller.remove_readers()  # another run may begin with the same networks
            raise
        precision.place(distiller)
        return distiller

    def make_batches(
        self, precision: Precision, *, batch_size: int | None = None, workers: int | None = None
    ) -> TrainingBatches:
        """What is trained on; `batch_size` and `workers` in place of the run's own."""
        wanted = self.settings.data
        return self.task.make_batches(
            self.data if workers is None else replace(self.data, workers=workers),
            batch_size=batch_size or self.settings.batch_size,
            seed=self.settings.run.seed,
            device=precision.device,
            augment=wanted.augment,
            channels_last=precision.channels_last,
            views=wanted.views,
            epoch_images=wanted.epoch_images,
        )

    def choose_precision(self) -> Precision:
        """What the settings' `auto` means for these networks on this machine.

        Raises ValueError for settings that cannot be carried out on it.
        """
        # Backward costs twice the forward; the teacher only goes forward.
        of_image = self._multiply_adds()
        per_image = 3 * of_image["student"]
        if self.method.needs_teacher:
            per_image += of_image["teacher"]
        found = choose(
            self.settings.run,
            multiply_adds=max(of_image.values()),
            phase_multiply_adds=float(max(self.epochs) * self.epoch_images * per_image),
        )
        found = self.without_narrow_convolutions(found)
        return found if self.task.compiles else replace(found, compile=False)

    def without_narrow_convolutions(self, found: Precision) -> Precision:
        """In float32 where a processor cannot compute the student's gradients in bfloat16."""
        if found.dtype != torch.bfloat16 or found.device.type != "cpu":
            return found
        reason = find_narrow_convolution(self.student, torch.zeros(1, *self.shapes["student"]))
        if reason is None:
            return found
        if self.settings.run.precision == "bfloat16":
            raise ValueError(
                f"run.precision=bfloat16: {reason} in the student, whose gradient the processor does not compute in "
                f"bfloat16; use run.precision=float32, a larger data.size, or a student with fewer strides"
            )
        return replace(found, dtype=torch.float32, channels_last=False)
