"""What a run is, and how its settings are read. No torch below here."""

from understudy.spec.errors import RunFailedError
from understudy.spec.files import read_object, whole_file, whole_path, write_whole
from understudy.spec.imports import user_module
from understudy.spec.near import did_you_mean, nearest
from understudy.spec.places import check_file, check_folder, expanded
from understudy.spec.reading import SettingsError, known_choices, known_keys, read_settings, setting_called
from understudy.spec.retrieval import RetrievalSettings
from understudy.spec.settings import (
    DataSettings,
    DetectionSettings,
    MethodSettings,
    NetworkSettings,
    OptimSettings,
    RunSettings,
    Settings,
    StudentSettings,
    TeacherSettings,
    epochs_per_phase,
)
from understudy.spec.words import as_word, few, kind_of

__all__ = [
    "DataSettings",
    "DetectionSettings",
    "MethodSettings",
    "NetworkSettings",
    "OptimSettings",
    "RetrievalSettings",
    "RunFailedError",
    "RunSettings",
    "Settings",
    "StudentSettings",
    "SettingsError",
    "TeacherSettings",
    "as_word",
    "check_file",
    "check_folder",
    "did_you_mean",
    "expanded",
    "epochs_per_phase",
    "few",
    "kind_of",
    "known_choices",
    "known_keys",
    "nearest",
    "read_object",
    "read_settings",
    "setting_called",
    "user_module",
    "whole_file",
    "write_whole",
    "whole_path",
]
