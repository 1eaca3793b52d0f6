"""What a student is to be good at: one task a file, and the choice between them by a run's settings."""

from understudy.spec import Settings
from understudy.tasks.classification import CLASSIFICATION
from understudy.tasks.retrieval import retrieval, search
from understudy.tasks.task import Objective, Task

__all__ = ["CLASSIFICATION", "Objective", "Task", "choose_task", "search"]


def choose_task(settings: Settings) -> Task:
    """The task whose section the settings have; classification where they have none."""
    if settings.detection is not None:
        # Detection takes seconds to import: only where it is asked for.
        from understudy.tasks.detection import detection

        return detection(settings.detection)
    return CLASSIFICATION if settings.retrieval is None else retrieval(settings.retrieval)
