"""constraints.txt pins all that the package and its extras need, nothing else, and without addresses."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13")


def pins() -> dict[str, str]:
    """The version that constraints.txt gives to every name."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    wrong = [line for line in lines if line and not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)]
    assert not wrong, f"not of the form name==version: {wrong}"
    return dict(line.split("==") for line in lines if line)


def direct_requirements() -> list[Requirement]:
    """What pyproject.toml asks for, with all its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    return [Requirement(line) for line in project["dependencies"] + extras]


def needed_on(python: str) -> set[str]:
    """The names of all distributions that pip brings for one Python on Linux, as their metadata says."""
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in direct_requirements()]
    while waiting:
        requirement, extra = waiting.pop()
        place = {"python_version": python, "python_full_version": f"{python}.0", "extra": extra}
        if requirement.marker and not requirement.marker.evaluate(place):
            continue
        for wanted in {"", *requirement.extras}:
            if (key := (canonicalize_name(requirement.name), wanted)) in seen:
                continue
            seen.add(key)
            waiting += [(Requirement(line), wanted) for line in requirements_of(requirement.name)]
    return {name for name, _ in seen}


def requirements_of(name: str) -> list[str]:
    """What an installed distribution requires; nothing for one that only another Python needs."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def test_every_distribution_that_pip_would_bring_is_pinned_and_no_other():
    needed = set().union(*(needed_on(python) for python in PYTHONS))
    assert needed == set(pins())


def test_the_pins_satisfy_what_pyproject_asks_for():
    pinned = pins()
    for requirement in direct_requirements():
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), str(requirement)
