"""Settings from a YAML file, options and `section.key=value` words, with errors that say where each came from."""

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import SafeConstructor

from understudy.spec.settings import Settings

# Of settings of one name in several sections the first of these is meant; and what others call ours.
MEANT = ("run.", "data.", "optim.", "student.")
ALIASES = {"learning_rate": "lr", "scheduler": "sched", "optimizer": "opt"}


class SettingsError(ValueError):
    """What was found, where, and what is allowed: one line for each mistake."""


def read_settings(
    *, file: Path | None = None, options: Mapping[str, Any] | None = None, words: Iterable[str] = ()
) -> Settings:
    """The settings of a run. Later sources win: the YAML file, then `options` (dotted keys), then `words`.

    Options whose value is None were not given. Raises SettingsError.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None:
        for key, (value, line) in _read_file(file).items():
            _put(values, origins, key, value, f"{file}, line {line}, ")
    for key, value in (options or {}).items():
        if value is not None:
            _put(values, origins, key, value, "")
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise SettingsError(f"found {word!r}, expected section.key=value, as in optim.lr=0.05")
        _put(values, origins, key, _parsed(key, text), "")
    try:
        return Settings.model_validate(_nest(values))
    except ValidationError as error:
        lines = [_explain(one, values, origins) for one in error.errors()]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None


def _parsed(key: str, text: str) -> Any:
    """The value as YAML reads it. Raises SettingsError."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise SettingsError(
            f"{key}: found {text!r}, which is no whole value; quote one with spaces or brackets"
        ) from None


def known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> dict[str, str]:
    """Every dotted key and what it means; sections themselves are left out."""
    keys: dict[str, str] = {}
    for name, info in model.model_fields.items():
        section = _section(info.annotation)
        if section is not None:
            keys.update(known_keys(section, f"{prefix}{name}."))
        else:
            keys[f"{prefix}{name}"] = info.description or ""
    return keys


def known_choices(model: type[BaseModel] = Settings, prefix: str = "") -> dict[str, tuple[str, ...]]:
    """The words that may be given, for every dotted key that takes one of a few."""
    found: dict[str, tuple[str, ...]] = {}
    for name, info in model.model_fields.items():
        section = _section(info.annotation)
        if section is not None:
            found.update(known_choices(section, f"{prefix}{name}."))
        for one in (info.annotation, *get_args(info.annotation)):
            if get_origin(one) is Literal:
                found[f"{prefix}{name}"] = tuple(map(str, get_args(one)))
    return found


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, also where the field may be empty."""
    if get_origin(annotation) is tuple:
        return None
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _read_file(file: Path) -> dict[str, tuple[Any, int]]:
    """Dotted key -> value and line, counted from 1."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror})") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise SettingsError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise SettingsError(f"{file}: expected keys with values, found a {root.id}")
    found: dict[str, tuple[Any, int]] = {}
    _walk(file, root, "", found)
    return found


def _walk(file: Path, node: yaml.MappingNode, prefix: str, found: dict[str, tuple[Any, int]]) -> None:
    for key_node, value_node in node.value:
        key, line = f"{prefix}{key_node.value}", key_node.start_mark.line + 1
        if key in found:
            raise SettingsError(f"{file}, line {line}, {key}: found twice, first in line {found[key][1]}")
        if isinstance(value_node, yaml.MappingNode) and value_node.value:
            _walk(file, value_node, f"{key}.", found)
        else:
            found[key] = (SafeConstructor().construct_document(value_node), line)


def _put(values: dict[str, Any], origins: dict[str, str], key: str, value: Any, origin: str) -> None:
    """Set a key, after those set before; what an earlier source said of it, or of a part of it, is forgotten."""
    parts = _parts(key)
    for old in [*values]:
        others = _parts(old)
        if all(one == other for one, other in zip(parts, others, strict=False)):
            del values[old]
    values[key] = value
    origins[key] = origin


def _nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"optim.lr": 0.1} -> {"optim": {"lr": 0.1}}."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *sections, last = _parts(key)
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return nested


def _parts(key: str) -> list[str]:
    """optim.lr -> optim, lr. Below a mapping all is one name: optim.rates.layer1.0 -> optim, rates, layer1.0."""
    for mapping in _mappings():
        if key.startswith(f"{mapping}."):
            return [*mapping.split("."), key.removeprefix(f"{mapping}.")]
    return key.split(".")


@cache
def _mappings(model: type[BaseModel] = Settings, prefix: str = "") -> tuple[str, ...]:
    """The dotted keys of the settings whose values go by names that are free: names of layers, which may have dots."""
    found: tuple[str, ...] = ()
    for name, info in model.model_fields.items():
        section = _section(info.annotation)
        if section is not None:
            found += _mappings(section, f"{prefix}{name}.")
        elif _is_plain_mapping(info.annotation):
            found += (f"{prefix}{name}",)
    return found


def _is_plain_mapping(annotation: Any) -> bool:
    """Whether it is a dict whose values are none themselves, or such a dict or nothing."""
    if get_origin(annotation) is dict:
        return get_origin(get_args(annotation)[1]) is not dict
    return any(_is_plain_mapping(one) for one in get_args(annotation) if one is not annotation)


def _explain(error: Any, values: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """One mistake as 'file, line, key: found, expected; nearest'."""
    parts = [str(part) for part in error["loc"]]
    key = next((k for k in (".".join(parts[:n]) for n in range(len(parts), 0, -1)) if k in values), ".".join(parts))
    origin = next((origins[k] for k in (key, *origins) if k in origins and (k == key or k.startswith(f"{key}."))), "")
    if error["type"] == "extra_forbidden":
        return f"{origin}{key}: there is no such setting{_nearest(key)}"
    if error["type"] == "missing":
        inside = next((one for one in known_keys() if one.startswith(f"{key}.")), key)
        return f"{origin}{inside}: missing; give {known_keys()[inside]}"
    if not key:
        return error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error" and key not in values:
        # Of several settings of a section together.
        return f"{origin}{key}: {error['msg'].removeprefix('Value error, ')}"
    expected = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    expected = expected if expected.startswith("expected") else f"expected {expected}"
    return f"{origin}{key}: found {values.get(key, error['input'])!r}, {expected}"


def _nearest(key: str) -> str:
    """The known key that is meant, most likely: the same last word in another section, or a similar spelling."""
    known = sorted(known_keys(), key=lambda one: next((n for n, name in enumerate(MEANT) if one.startswith(name)), 9))
    last = ALIASES.get(key.rpartition(".")[2], key.rpartition(".")[2])
    near = [one for one in known if one.rpartition(".")[2] == last] or difflib.get_close_matches(
        key, known, n=1, cutoff=0.6
    )
    if not near:
        by_last = difflib.get_close_matches(last, [one.rpartition(".")[2] for one in known], n=1, cutoff=0.6)
        near = [one for one in known if by_last and one.rpartition(".")[2] == by_last[0]]
    section = key.rpartition(".")[0]
    allowed = [one.rpartition(".")[2] for one in known if one.rpartition(".")[0] == section]
    listed = f"; {section or 'settings'} has {', '.join(allowed)}" if allowed and not near else ""
    return f"; nearest: {near[0]}" if near else listed
