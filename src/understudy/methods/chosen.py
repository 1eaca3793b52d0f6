"""What settings make of a method."""

from understudy.methods.combine import adjust, find
from understudy.methods.declare import Method
from understudy.spec import Settings, epochs_per_phase


def chosen(settings: Settings, method: Method | None = None) -> tuple[Method, tuple[int, ...]]:
    """The method that the settings name, or the one given, with the settings' changes; and the epochs of its phases.

    Raises ValueError for what the method does not have.
    """
    method = adjust(
        method or find(settings.method.name),
        labels=settings.method.labels,
        teacher_mode=settings.method.teacher_mode,
        terms=settings.terms,
        phases=settings.phases,
    )
    return method, epochs_per_phase(settings.epochs, tuple(phase.share for phase in method.phases))
