"""What a measurement is told of the images and networks beyond what their files say of themselves."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from understudy.spec import DataSettings, SettingsError, read_settings
from understudy.spec.section import Section

# How images are read, what they show, and how the network is made ready for them.
OF_DATA = ("size", "crop_pct", "mean", "std", "classes", "loading", "workers", "memory_gb", "download")
OF_NETWORK = ("class_names", "rename")
NAMES = "student.class_names="
OF_TEACHER = ("mean", "std", "size", "class_names", "rename")


@dataclass(frozen=True, kw_only=True)
class Told:
    """The settings that were given: of the data, those of OF_DATA that are set in it; of the two networks, by name."""

    data: DataSettings = field(default_factory=DataSettings)
    network: dict[str, Any] = field(default_factory=dict)
    teacher: dict[str, Any] = field(default_factory=dict)

    @property
    def of_data(self) -> dict[str, Any]:
        """By name."""
        return _said(self.data)


def told_by(words: Iterable[str], *, has_teacher: bool) -> Told:
    """From words as a run takes them: data.mean=..., student.rename.linear=fc, teacher.size=64.

    Raises SettingsError for a setting that changes nothing in a measurement.
    """
    words = list(words)
    if not words:
        return Told()
    if not has_teacher and any(word.startswith("teacher.") for word in words):
        raise SettingsError("settings of a teacher, and no teacher: give --teacher as well")
    named = {"student.model": "any"} | ({"teacher.model": "any"} if has_teacher else {})
    names = [word for word in words if word.startswith(NAMES)]
    settings = read_settings(options=named, words=[word for word in words if word not in names])
    allowed = {"data": OF_DATA, "student": OF_NETWORK, "teacher": OF_TEACHER}
    for section in settings.model_fields_set:
        others = [key for key in _said(getattr(settings, section)) if key not in allowed.get(section, ())]
        if others or section not in allowed:
            known = ", ".join(f"{name}.{key}" for name, keys in allowed.items() for key in keys)
            raise SettingsError(f"{'.'.join([section, *others[:1]])}: a measurement takes {known}")
    of_data, of_network = _said(settings.data), _said(settings.student)
    # The network is to see the pixels as the images are prepared, whatever its file says.
    of_network |= {key: of_data[key] for key in ("mean", "std", "size") if key in of_data}
    if names:
        of_network["class_names"] = _class_names(names[-1])
    return Told(data=settings.data, network=of_network, teacher=_said(settings.teacher))


def _class_names(word: str) -> tuple[str, ...] | None:
    """A run's student has the classes of its data; one that is measured may know others, as a teacher does."""
    as_teacher = {"student.model": "any", "teacher.model": "any"}
    try:
        teacher = read_settings(options=as_teacher, words=[word.replace("student.", "teacher.", 1)]).teacher
    except SettingsError as error:
        raise SettingsError(str(error).replace("teacher.", "student.")) from None
    assert teacher is not None
    return teacher.class_names


def _said(section: object) -> dict[str, Any]:
    """What was set of a section; nothing of what is none. A model's name stands here for any."""
    names = section.model_fields_set if isinstance(section, Section) else ()
    return {name: getattr(section, name) for name in sorted(names) if name != "model"}
