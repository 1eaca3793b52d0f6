"""The folder of a run: what lies in it, and whether a command may go on there."""

import difflib
import json
import os
from pathlib import Path
from typing import Any

import yaml

from understudy.spec import NetworkSettings, Settings, TeacherSettings

SETTINGS, FACTS, SUMMARY, STUDENT = "settings.yaml", "run.json", "summary.json", "student.safetensors"
# Only where data.mislabel gave some images a wrong label: which.
MISLABELLED = "mislabelled.json"
# These change where files lie or how often something is written, never a bit of the result.
MAY_DIFFER = (
    "data.folder",
    "data.download",
    "data.workers",
    "run.log_every",
    "run.gradients_every",
    "run.eval_every",
    "run.checkpoint_every",
)


def is_finished(folder: Path, settings: Settings) -> bool:
    """True when this very run is finished in the folder; nothing is written.

    Raises ValueError where the folder holds something else, or a run with other settings, naming each difference.
    """
    path = folder / SETTINGS
    if not path.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} holds something else (no {SETTINGS}); give another folder with --out")
        return False
    differences = _differences(yaml.safe_load(path.read_text(encoding="utf-8")), as_plain(settings))
    if differences:
        raise ValueError(
            f"{folder} holds a run with other settings: {'; '.join(differences)}. "
            f"Give another folder with --out, or remove this one"
        )
    return (folder / SUMMARY).exists()


def start(folder: Path, settings: Settings) -> None:
    """Make the folder, with the settings in it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / SETTINGS, yaml.safe_dump(as_plain(settings), sort_keys=False))


def as_plain(settings: Settings) -> dict[str, Any]:
    """The settings as YAML and JSON know values."""
    return settings.model_dump(mode="json")


def write_json(path: Path, content: Any) -> None:
    write_whole(path, json.dumps(content, indent=2) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that it is there whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _differences(there: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    old, new = flatten(there), flatten(wanted)
    # A folder from before there was a setting was made with what is its default now.
    defaults = flatten(as_plain(Settings(student=NetworkSettings(model=""), teacher=TeacherSettings(model=""))))
    old = {**{key: defaults[key] for key in new if key in defaults}, **old}
    keys = [key for key in {**old, **new} if key not in MAY_DIFFER]
    found = [f"{key} is {old.get(key)!r} there, {new.get(key)!r} here" for key in keys if old.get(key) != new.get(key)]
    orders = [[key for key in each if key.startswith("optim.rates.")] for each in (old, new)]
    # Of several patterns that match, the last one counts.
    return found or ["optim.rates are in another order"] * (orders[0] != orders[1])


def flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"optim": {"lr": 0.1}} -> {"optim.lr": 0.1}."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def nearest(name: str, known: list[str]) -> str:
    """'; nearest: NAME' for the closest known name, or nothing."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; nearest: {near[0]}" if near else ""
