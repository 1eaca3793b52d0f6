"""What a measurement is told of the images and networks beyond what their files say of themselves."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from understudy.spec import DataSettings, SettingsError, read_settings

# How images are read, what they show, and how the network is made ready for them.
OF_DATA = ("size", "crop_pct", "mean", "std", "classes", "loading", "workers", "memory_gb")
OF_NETWORK = ("rename",)
OF_TEACHER = ("mean", "std", "size", "class_names", "num_classes", "rename")


@dataclass(frozen=True, kw_only=True)
class Told:
    """The settings that were given: of the data those named in `of_data`; of the two networks, by name."""

    data: DataSettings = field(default_factory=DataSettings)
    of_data: tuple[str, ...] = ()
    network: dict[str, Any] = field(default_factory=dict)
    teacher: dict[str, Any] = field(default_factory=dict)


def told_by(words: Iterable[str], *, has_teacher: bool) -> Told:
    """From words as a run takes them: data.mean=..., student.rename.linear=fc, teacher.size=64.

    Raises SettingsError for a setting that changes nothing in a measurement.
    """
    words = list(words)
    if not words:
        return Told()
    named = {"student.model": "any"} | ({"teacher.model": "any"} if has_teacher else {})
    settings = read_settings(options=named, words=words)
    allowed = {"data": OF_DATA, "student": ("model", *OF_NETWORK), "teacher": ("model", *OF_TEACHER)}
    for section in settings.model_fields_set:
        own = getattr(settings, section)
        others = own.model_fields_set - {*allowed[section]} if section in allowed else {""}
        if others:
            known = [f"{name}.{key}" for name, keys in allowed.items() for key in keys if key != "model"]
            raise SettingsError(
                f"{'.'.join(filter(None, (section, *sorted(others)[:1])))}: a measurement takes {', '.join(known)}"
            )
    data = settings.data
    of_data = tuple(key for key in OF_DATA if key in data.model_fields_set)
    seen = {key: getattr(data, key) for key in ("mean", "std", "size") if key in of_data}
    teacher = settings.teacher
    return Told(
        data=data,
        of_data=of_data,
        network=seen | {key: getattr(settings.student, key) for key in settings.student.model_fields_set - {"model"}},
        teacher={} if teacher is None else {key: getattr(teacher, key) for key in teacher.model_fields_set - {"model"}},
    )
