"""What changes the parameters in a phase: its optimiser, and the rates over its steps."""

from typing import Any

from understudy.distiller import Distiller
from understudy.engine.rates.auto import AutoRates
from understudy.engine.rates.rates import groups
from understudy.engine.rates.schedule import make_optimizer, make_schedule, milestones
from understudy.processes import average_gradients
from understudy.spec import OptimSettings


class Updates:
    """Fresh ones for the distiller's phase, of `num_steps` steps; what the phase itself declares goes before `wanted`.

    `auto_rates` has rates of its own for the student's blocks, where the run adjusts them.
    """

    def __init__(self, distiller: Distiller, wanted: OptimSettings, num_steps: int, auto_rates: AutoRates | None):
        optim = wanted.model_copy(update=dict(distiller.phase.optim))
        self.optimizer = make_optimizer(groups(distiller, optim, auto_rates), optim)
        self.schedule = make_schedule(self.optimizer, optim, num_steps)
        self._num_steps = num_steps
        self._fresh_at = milestones(optim, num_steps) if optim.reset_momentum_at_milestones else []
        self.optimizer.zero_grad(set_to_none=True)

    def put_back(self, saved: dict[str, Any]) -> None:
        """The state that a checkpoint has of them. ValueError where other parameters learnt before."""
        there, here = (
            sum(len(group["params"]) for group in of["param_groups"])
            for of in (saved["optimizer"], self.optimizer.state_dict())
        )
        if there != here:
            raise ValueError(
                f"{there} tensors learnt in the run so far, {here} would from now on: parts of the networks were "
                f"frozen, or set free, since it began; give them as they were, or another folder with --out"
            )
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])

    def step(self, done: int) -> None:
        """One update by the gradients there are, which makes `done` in the phase."""
        average_gradients(parameter for group in self.optimizer.param_groups for parameter in group["params"])
        self.optimizer.step()
        # Not kept for the next forward, nor for measuring and saving.
        self.optimizer.zero_grad(set_to_none=True)
        if done < self._num_steps:
            self.schedule.step()
        if done in self._fresh_at:
            self.optimizer.state.clear()
