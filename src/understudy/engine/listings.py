"""What `understudy list` shows: the tables that the code itself works from."""

from collections.abc import Callable

from rich.table import Table

from understudy import data, models
from understudy.methods import LOGITS, METHODS, Method
from understudy.spec import known_keys


def methods() -> Table:
    """Each method's four aspects and phases."""
    table = _table("method", "phases", "position", "student transform", "distance", "paper")
    for name, method in METHODS.items():
        terms = [term for phase in method.phases for term in phase.terms]
        table.add_row(
            name,
            _phases(method),
            _each(term.tap for term in terms),
            _each("-" if term.tap == LOGITS else getattr(term.connector, "__name__", "none") for term in terms),
            _each(term.distance.__name__ for term in terms),
            f"{method.paper}{': ' + method.notes if method.notes else ''}",
        )
    return table


def _phases(method: Method) -> str:
    """'initialise: ab, then train: labels'."""
    parts = []
    for phase in method.phases:
        learnt = [term.name for term in phase.terms] + ["labels"] * bool(phase.labels)
        parts.append(f"{phase.name}: {', '.join(learnt)}")
    return ", then ".join(parts)


def _each(values) -> str:
    return ", ".join(dict.fromkeys(values)) or "-"


def model_names() -> Table:
    table = _table("model", "what it is")
    for name, meaning in models.NAMES.items():
        table.add_row(name, meaning)
    table.add_row("timm:NAME", "any network of timm, as in timm:resnet18")
    table.add_row("torchvision:NAME", "any classifier of torchvision, as in torchvision:resnet18")
    table.add_row("package.module:function", "your own function, called with num_classes, that returns an nn.Module")
    return table


def data_names() -> Table:
    table = _table("data", "what it is")
    for name, meaning in data.NAMES.items():
        table.add_row(name, meaning)
    return table


def settings() -> Table:
    table = _table("setting", "meaning")
    for key, meaning in known_keys().items():
        table.add_row(key, meaning)
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


LISTINGS: dict[str, Callable[[], Table]] = {
    "methods": methods,
    "models": model_names,
    "data": data_names,
    "settings": settings,
}
