"""The folder of a run: what lies in it, and whether a command may go on there."""

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from understudy.data.addresses import kind_of_address
from understudy.engine import facts
from understudy.engine.records import checkpoint
from understudy.spec import Settings, StudentSettings, TeacherSettings, check_folder, read_object, write_whole
from understudy.spec.run_files import BEST, MAY_DIFFER, MISLABELLED, SETTINGS, SUMMARY, WEIGHTS

# There while a process carries the run out.
LOCK = ".lock"


class BusyError(ValueError):
    """Another process is carrying out the run."""


def is_finished(folder: Path, settings: Settings) -> bool:
    """True when this very run is finished in the folder; nothing is written.

    Raises ValueError where the folder holds something else, or a run with other settings, naming each difference.
    """
    path = folder / SETTINGS
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or any(not _is_of_a_start(one) for one in folder.iterdir())):
            raise ValueError(f"{folder} holds something else (no {SETTINGS}); give another folder with --out")
        check_folder(folder)
        return False
    if not any((folder / name).exists() for name in (checkpoint.FILE, SUMMARY)):
        return False  # refused or killed before anything was saved: there is nothing to lose, and nothing to go on with
    there = _settings_in(path)
    began_with = _read_json(folder / WEIGHTS)
    differences = _differences(there, flatten(as_plain(settings)), began_with) + _other_weights(
        there, settings, began_with
    )
    if differences:
        raise ValueError(
            f"{folder} holds a run with other settings: {'; '.join(differences)}. "
            f"Give another folder with --out, or remove this one"
        )
    return (folder / SUMMARY).exists()


def _settings_in(path: Path) -> dict[str, Any]:
    """Dotted key -> value; ValueError where the file holds something else."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path} is no valid YAML ({error}); give another folder with --out") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no settings but {found!r}; give another folder with --out")
    return flatten(found)


def _is_of_a_start(path: Path) -> bool:
    """Whether the file may be there of a run that was killed before its settings were written."""
    return path.name in (WEIGHTS, LOCK) or ".partial" in path.suffixes


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder is this process's own while in the block. Raises BusyError where another process holds it.

    It is held by a lock of the operating system, which frees it when its holder dies, however that happens.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BusyError(
            f"another process is carrying out the run in {folder}; wait for it, or give another folder with --out"
        ) from None
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()


def start(folder: Path, settings: Settings) -> None:
    """Make the folder, with the settings and the fingerprints of the files of weights in it.

    What a run left there that was killed before its first checkpoint is taken away: this one may be another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    began_with = {key: facts.sha256(path) for key, path in _weights(settings).items()}
    if not (folder / checkpoint.FILE).exists():
        for name in (WEIGHTS, BEST, MISLABELLED):
            (folder / name).unlink(missing_ok=True)
        if began_with:
            write_json(folder / WEIGHTS, began_with)
    write_whole(folder / SETTINGS, yaml.safe_dump(as_plain(settings), sort_keys=False))


def as_plain(settings: Settings) -> dict[str, Any]:
    """The settings as YAML and JSON know values."""
    return settings.model_dump(mode="json")


def write_json(path: Path, content: Any) -> None:
    write_whole(path, json.dumps(content, indent=2) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    return read_object(path) if path.exists() else {}


def _weights(settings: Settings) -> dict[str, Path]:
    """The files of weights that are there, by the settings that name them."""
    networks = {"student": settings.student, "teacher": settings.teacher}
    networks |= {f"more_teachers.{index}": teacher for index, teacher in enumerate(settings.more_teachers)}
    named = {f"{role}.weights": network.weights for role, network in networks.items() if network is not None}
    return {key: path for key, path in named.items() if path is not None and path.is_file()}


def _other_weights(there: dict[str, Any], settings: Settings, began_with: dict[str, str]) -> list[str]:
    """Files that are not those that the run began with, wherever they lie."""
    here = {key: (path, facts.sha256(path)) for key, path in _weights(settings).items() if key in began_with}
    return [
        f"{key} was {there.get(key)} with SHA-256 {began_with[key][:10]}, and is {path} with {digest[:10]}"
        for key, (path, digest) in here.items()
        if digest != began_with[key]
    ]


def _differences(old: dict[str, Any], new: dict[str, Any], began_with: Collection[str]) -> list[str]:
    """Of the settings' values; files and images whose fingerprints are known may lie anywhere."""
    # A folder from before there was a setting was made with what is its default now.
    defaults = flatten(as_plain(Settings(student=StudentSettings(model=""), teacher=TeacherSettings(model=""))))
    old = {**{key: defaults[key] for key in new if key in defaults}, **old}
    moved = [key for key in began_with if old.get(key) is not None and new.get(key) is not None]
    # Images are known by their fingerprint, wherever they lie.
    kinds = [kind_of_address(each.get("data.name")) for each in (old, new)]
    moved += ["data.name"] if kinds[0] == kinds[1] is not None else []
    keys = [key for key in {**old, **new} if key not in MAY_DIFFER and key not in moved]
    found = [
        f"{key} is {old.get(key)!r} there, {new.get(key)!r} here"
        for key in keys
        if _something(old.get(key)) != _something(new.get(key))
    ]
    orders = [[key for key in each if key.startswith("optim.rates.")] for each in (old, new)]
    # Of several patterns that match, the last one counts.
    return found or ["optim.rates are in another order"] * (orders[0] != orders[1])


def _something(value: Any) -> Any:
    """The value; None for a section without settings, which is as good as none."""
    return None if value in ({}, []) else value


def flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"optim": {"lr": 0.1}, "more_teachers": [{"model": M}]} -> {"optim.lr": 0.1, "more_teachers.0.model": M}."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = {str(index): each for index, each in enumerate(value)}
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat
