"""Knowledge distillation for PyTorch: every method as four declared choices.

The public names are imported when they are first used: `import understudy` does not load torch.
"""

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from understudy import data, losses, models, taps
    from understudy.data import load as load_data
    from understudy.distiller import Distiller
    from understudy.engine.distil import distil, doctor
    from understudy.methods import METHODS, Method, Phase, Term

__version__ = "0.1.0"
__all__ = [
    "METHODS",
    "Distiller",
    "Method",
    "Phase",
    "Term",
    "data",
    "distil",
    "doctor",
    "load_data",
    "losses",
    "models",
    "taps",
]

# Where a public name lives; one that is not here is a module of its own.
_HOMES = {
    "Distiller": "distiller",
    "METHODS": "methods",
    "distil": "engine.distil",
    "doctor": "engine.distil",
    "load_data": "data",
    "Method": "methods",
    "Phase": "methods",
    "Term": "methods",
}
_INNER_NAMES = {"load_data": "load"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        near = get_close_matches(name, __all__, n=1)
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; "
            + (f"did you mean {near[0]}?" if near else f"it has {', '.join(__all__)}")
        )
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), _INNER_NAMES.get(name, name))
    return import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
