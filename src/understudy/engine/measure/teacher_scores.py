"""The teacher's own numbers on the test images, taken once for all runs of a process that have the same teacher."""

import json

from understudy.engine import facts
from understudy.engine.measure.scores import scores_on
from understudy.engine.plan import Plan
from understudy.precision import Precision

# What was measured in this process: all that the numbers depend on -> the numbers.
_measured: dict[str, dict[str, float]] = {}


def teacher_scores(plan: Plan, precision: Precision) -> dict[str, float] | None:
    """The numbers by name; None where the teacher knows other classes than these.

    A network that was given as a module is measured each time: its weights do not say what it does with them.
    """
    if plan.whole_teacher is None:
        return None
    key = _key(plan, precision)
    if key in _measured:
        return dict(_measured[key])
    scores = scores_on(plan.task, plan.whole_teacher, plan.data.test, plan.data, precision)
    if key is not None:
        _measured[key] = dict(scores)
    return scores


def is_known(plan: Plan, precision: Precision) -> bool:
    """Whether nothing has to be computed for the numbers."""
    return plan.whole_teacher is None or _key(plan, precision) in _measured


def _key(plan: Plan, precision: Precision) -> str | None:
    settings, data = plan.settings, plan.data
    if plan.whole_teacher is None or settings.teacher is None or settings.teacher.weights is None:
        return None
    tasks = settings.model_dump(mode="json", include={"teacher", "more_teachers", "retrieval", "detection"})
    seen = [data.image_shape, data.mean, data.std, repr(data.augment), data.test.fingerprint()]
    found_in = data.gallery.fingerprint() if data.gallery is not None else None
    weights = facts.state_sha256(plan.whole_teacher)
    return json.dumps([tasks, weights, seen, found_in, plan.task.name, precision.facts()], sort_keys=True)
