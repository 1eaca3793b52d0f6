"""Settings from a YAML file, options and `section.key=value` words, with errors that say where each came from."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from yaml.constructor import SafeConstructor

from understudy.spec.settings import Settings, TeacherSettings

# Of settings of one name in several sections the first of these is meant; and what others call ours.
MEANT = ("run.", "data.", "optim.", "student.")
# Below these the names are a method's or a loss's, and how a setting is given there.
FREE = {"terms": "kd.weight", "phases": "train.lr", "retrieval.options": "margin"}
ALIASES = {
    "learning_rate": "lr",
    "scheduler": "sched",
    "optimizer": "opt",
    "wd": "weight_decay",
    "bs": "batch_size",
}


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
        # Of a value that may be of several kinds there is a mistake for each: the first one tells it.
        mistakes = {(_given(one, values), one["type"] == "missing"): one for one in reversed(error.errors())}
        lines = [_explain(one, values, origins) for one in reversed(mistakes.values())]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None


def _parsed(key: str, text: str) -> Any:
    """The value as YAML reads it. Raises SettingsError."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # the latter of a date that is none
        raise SettingsError(
            f"{key}: found {text!r}, which is no whole value; quote one with spaces or brackets"
        ) from None


def known_keys() -> dict[str, str]:
    """Every dotted key and what it means; sections themselves are left out."""
    return {key: info.description or "" for key, info in _leaves()}


def setting_called(name: str) -> str | None:
    """The dotted key of the setting that an option of this name would mean; None where there is none of the name."""
    plain = name.lstrip("-").replace("-", "_").lower()
    if plain in known_keys():
        return plain
    last = ALIASES.get(plain, plain)
    return next((key for key in _most_meant_first() if key.rpartition(".")[2] == last), None)


def known_choices() -> dict[str, tuple[str, ...]]:
    """The words that may be given, for every dotted key that takes one of a few."""
    literals = ((key, one) for key, info in _leaves() for one in (info.annotation, *get_args(info.annotation)))
    return {key: tuple(map(str, get_args(one))) for key, one in literals if get_origin(one) is Literal}


def _leaves(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting that is no section, by its dotted key."""
    for name, info in model.model_fields.items():
        section = _section(info.annotation)
        if section is None:
            yield f"{prefix}{name}", info
        else:
            yield from _leaves(section, f"{prefix}{name}.")


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
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: no text in UTF-8 (byte {error.start}); save it as UTF-8") from None
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
            found[key] = (_constructed(file, key, value_node, line), line)


def _constructed(file: Path, key: str, node: yaml.Node, line: int) -> Any:
    """The value of a node. An empty section is one without settings. Raises SettingsError."""
    try:
        value = SafeConstructor().construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        said = " ".join(str(getattr(error, "problem", error)).split())
        raise SettingsError(f"{file}, line {line}, {key}: cannot be read as a value ({said})") from None
    is_empty = value is None and node.value == ""
    return [] if is_empty and key == "more_teachers" else {} if is_empty and _is_section(key) else value


def _is_section(key: str) -> bool:
    """Whether settings stand below the key. An empty teacher is none: it has to have a model."""
    head, _, rest = key.partition(".")
    if rest or head not in Settings.model_fields:
        return key in FREE or (head in FREE and "." not in rest)
    annotation = Settings.model_fields[head].annotation
    return head in FREE or (head != "teacher" and _section(annotation) is not None)


def _put(values: dict[str, Any], origins: dict[str, str], key: str, value: Any, origin: str) -> None:
    """Set a key, after those set before; what an earlier source said of it, or of a part of it, is forgotten."""
    parts = _parts(key)
    for old in [*values]:
        others = _parts(old)
        if all(one == other for one, other in zip(parts, others, strict=False)):
            del values[old]
    flat = dict(_leaves_of(key, value))
    values.update(flat)
    origins.update(dict.fromkeys(flat, origin))


def _leaves_of(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The settings in a section, or in a list of teachers, each for itself, so that a later word can change one."""
    if (
        key == "more_teachers"
        and isinstance(value, list)
        and value
        and all(isinstance(one, dict) and one for one in value)
    ):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or not value:
        yield key, value
        return
    for name, each in value.items():
        yield from _leaves_of(f"{key}.{name}", each)


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
def _mappings() -> tuple[str, ...]:
    """The dotted keys of the settings whose values go by names that are free: names of layers, which may have dots."""
    return tuple(key for key, info in _leaves() if _is_plain_mapping(info.annotation))


def _is_plain_mapping(annotation: Any) -> bool:
    """Whether it is a dict whose values are none themselves, or such a dict or nothing."""
    if get_origin(annotation) is dict:
        return get_origin(get_args(annotation)[1]) is not dict
    return any(_is_plain_mapping(one) for one in get_args(annotation) if one is not annotation)


def _explain(error: Any, values: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    """One mistake as 'file, line, key: found, expected; nearest'."""
    key = _given(error, values)
    origin = next((origins[k] for k in (key, *origins) if k in origins and (k == key or k.startswith(f"{key}."))), "")
    if error["type"] == "extra_forbidden":
        place = ".".join(str(part) for part in error["loc"]) if key in Settings.model_fields else key
        return f"{origin}{place}: there is no such setting{_nearest(place)}"
    if error["type"] in ("model_type", "dict_type"):
        found = values.get(key, error["input"])
        return f"{origin}{key}: found {found!r}, expected a section, as in {_inside(key)}={_in_yaml(found)}"
    place = ".".join(str(part) for part in error["loc"])
    above = key.rpartition(".")[0]
    if key in values and place != key and not place.startswith(f"{key}.") and place.startswith(above):
        return f"{origin}{key}: found {values[key]!r} below {above}, which takes one value"
    if error["type"] == "missing" and isinstance(error["loc"][-1], int) and key in values:
        return f"{origin}{key}: found {values[key]!r}, expected a longer list"
    if error["type"] == "missing":
        inside = next((one for one in known_keys() if one.startswith(f"{key}.")), key)
        # Of every teacher the same is wanted.
        meaning = known_keys()[re.sub(r"^more_teachers\.\d+\.", "teacher.", inside)]
        return f"{origin}{inside}: missing; give {meaning}"
    if not key:
        return error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error" and key not in values:
        # Of several settings of a section together.
        return f"{origin}{key}: {error['msg'].removeprefix('Value error, ')}"
    expected = _expected(error, key, values)
    if place.startswith(f"{key}.") and error["loc"][-1] in ("bool", "float"):  # the first of several kinds
        expected = "one number or word"
    expected = expected if expected.startswith("expected") else f"expected {expected}"
    return f"{origin}{key}: found {values.get(key, error['input'])!r}, {expected}"


def _expected(error: Any, key: str, values: Mapping[str, Any]) -> str:
    """What would be right, in words for people who do not know Python's types."""
    kind = error["type"]
    if kind in ("tuple_type", "list_type"):
        return f"a list, as in {key}=[{_in_yaml(values.get(key, error['input']))}]"
    if kind in ("too_short", "too_long"):
        wanted = error["ctx"].get("min_length", error["ctx"].get("max_length"))
        return f"a list of {wanted}"
    if kind == "path_type":
        return f"a path; quote one that looks like a number: {key}='\"2024\"'"
    return error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")


def _in_yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _given(error: Any, values: Mapping[str, Any]) -> str:
    """The key that was given of the setting that a mistake is about, or its own."""
    parts = [str(part) for part in error["loc"]]
    heads = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    exact = next((head for head in heads if head in values), None)
    # Below a section that there is not, or a value that is none, only its head is known.
    below = next((key for head in heads for key in values if key.startswith(f"{head}.")), None)
    if exact is None and below is not None and error["type"] != "missing" and error["type"] != "value_error":
        return below
    return exact or ".".join(parts)


def _inside(section: str) -> str:
    """How a setting of the section is given."""
    for free, example in FREE.items():
        if section == free:
            return f"{free}.{example}"
        if section.startswith(f"{free}."):
            return f"{section}.{example.rpartition('.')[2]}"
    keys = [key for key in known_keys() if key.startswith(f"{section}.")]
    return next((key for key in keys if key.rpartition(".")[2] in ("name", "model")), keys[0] if keys else section)


def _most_meant_first() -> list[str]:
    return sorted(known_keys(), key=lambda one: next((n for n, name in enumerate(MEANT) if one.startswith(name)), 9))


def _nearest(key: str) -> str:
    """The known key that is meant, most likely: the same last word in another section, or a similar spelling."""
    key = key.lower()
    if key.startswith("more_teachers."):
        near = difflib.get_close_matches(key.rpartition(".")[2], TeacherSettings.model_fields, n=1, cutoff=0.4)
        return f"; nearest: {near[0]}" if near else f"; a teacher has {', '.join(TeacherSettings.model_fields)}"
    known = _most_meant_first()
    last = ALIASES.get(key.rpartition(".")[2], key.rpartition(".")[2])
    near = [one for one in known if one.rpartition(".")[2] == last] or difflib.get_close_matches(
        key, known, n=1, cutoff=0.75
    )
    if not near:
        by_last = difflib.get_close_matches(last, [one.rpartition(".")[2] for one in known], n=1, cutoff=0.75)
        near = [one for one in known if by_last and one.rpartition(".")[2] == by_last[0]]
    if near:
        return f"; nearest: {near[0]}"
    section = key.rpartition(".")[0]
    allowed = [one.rpartition(".")[2] for one in known if section and one.rpartition(".")[0] == section]
    if allowed:
        return f"; {section} has {', '.join(allowed)}"
    heads = ", ".join(dict.fromkeys(one.partition(".")[0] for one in known))
    return f"; there are {heads}; a number of a method's term is given as terms.NAME.{last}=..."
