"""Imports point one way, and what reads run folders does not need torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import understudy

PACKAGE = Path(understudy.__file__).parent

LAYERS = [  # the lowest first; modules on one layer do not know each other
    {"modes", "ops", "spec", "processes"},
    {"gradients", "precision", "twice"},
    {"taps", "connectors", "losses", "models", "data"},
    {"methods", "teachers"},
    {"distiller"},
    {"tasks"},
    {"engine"},
    {"experiments", "report"},
    {"table_pages"},
    {"demo", "export", "reproduce"},
    {"cli"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
ONLY_SPEC = {"experiments", "report"}


def modules_imported_by(path: Path, package: Path = PACKAGE) -> set[str]:
    """The package's own modules and subpackages that a file imports, by their first name below the package.

    Counts imports inside functions too. A name taken from the package itself, `from understudy import X`,
    counts as X.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = (package.name, *path.relative_to(package).parent.parts)
            start = ".".join(above[: len(above) + 1 - node.level]) if node.level else ""
            origin = ".".join(part for part in (start, node.module) if part)
            names = [f"{origin}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith(f"{package.name}.")}
    return found


def wrong_imports(package: Path) -> list[str]:
    """One line for every import that points up or sideways, or past spec from the reading side."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).parts[0].removesuffix(".py")
        if own.startswith("__"):
            continue
        assert own in RANK, f"{path}: say in LAYERS which layer {own} belongs to"
        for other in sorted(modules_imported_by(path, package) - {own}):
            if other not in RANK:
                wrong.append(f"{path} imports {other} from the package: import it from where it lives")
            elif RANK[other] >= RANK[own]:
                wrong.append(f"{path} imports {other}, which is not below {own}")
            elif own in ONLY_SPEC and other != "spec":
                wrong.append(f"{path} imports {other}; {own} may know only spec")
    return wrong


def test_every_name_in_a_layer_is_there():
    gone = {
        name for name in RANK if not any((PACKAGE / file).is_file() for file in (f"{name}.py", f"{name}/__init__.py"))
    }
    assert not gone, f"LAYERS names {', '.join(sorted(gone))}, and there is no such module"


def test_imports_point_down():
    wrong = wrong_imports(PACKAGE)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("losses/kd.py", "from understudy.methods import Method"),
        ("losses/kd.py", "from ..distiller import Distiller"),
        ("losses/kd.py", "from .. import engine"),
        ("losses/kd.py", "import understudy.models.wide_resnet"),
        ("engine/deep/run.py", "from ...cli import main"),
        ("engine/run.py", "def run():\n    from understudy import cli"),
        ("engine/run.py", "from understudy import METHODS"),
        ("report/page.py", "from understudy.ops import gram"),
    ],
)
def test_an_import_that_points_up_is_found(tmp_path, file, line):
    path = tmp_path / "understudy" / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert len(wrong_imports(tmp_path / "understudy")) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("losses/kd.py", "from ..ops import gram"),
        ("losses/__init__.py", "from .kd import kd"),
        ("losses/kd.py", "import torch.nn.functional as F"),
        ("report/page.py", "from understudy.spec import Run"),
        ("__init__.py", "from understudy.cli import main"),
    ],
)
def test_an_import_that_points_down_is_not_held_against_it(tmp_path, file, line):
    path = tmp_path / "understudy" / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert wrong_imports(tmp_path / "understudy") == []


WITHOUT_TORCH = sorted(
    ".".join(("understudy", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for name in ("__init__.py", "spec/*.py", "cli/*.py", "report/**/*.py", "experiments/**/*.py", "table_pages.py")
    for path in PACKAGE.glob(name)
    if path.name != "__main__.py"  # it runs the program
)


def test_nothing_that_reads_run_folders_imports_torch():
    program = "\n".join(
        ["import importlib, sys"]
        + [f"importlib.import_module({name!r}); assert 'torch' not in sys.modules, {name!r}" for name in WITHOUT_TORCH]
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert {"understudy", "understudy.report"} <= set(WITHOUT_TORCH)


def test_every_public_name_is_there():
    missing = [name for name in understudy.__all__ if getattr(understudy, name, None) is None]
    assert not missing, f"understudy promises {missing}"
    assert set(understudy.__all__) <= set(dir(understudy))


def test_an_unknown_public_name_is_answered_with_the_nearest_one():
    with pytest.raises(AttributeError, match="'Distiler'.*Distiller"):
        understudy.Distiler  # noqa: B018
