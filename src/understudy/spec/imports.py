"""A user's own module."""

import importlib
import os
import sys
from types import ModuleType


def user_module(name: str) -> ModuleType:
    """The module of this name; the folder in which the command is run counts, as for `python -m`.

    ValueError where there is none; what goes wrong inside the module is its own.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        plain = os.path.basename(name).removesuffix(".py")
        raise ValueError(f"{name!r} is no module's name; give {plain}, from the folder that holds {plain}.py")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ValueError(f"there is no module {name!r} to import, here or installed") from error
