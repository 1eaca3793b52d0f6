"""What is true of every row of every table: its run can be carried out, or it says what is missing."""

import functools

import pytest
import torch

from understudy.data.names import IN_MEMORY, OFFICIAL
from understudy.experiments import TABLES, TEACHERS
from understudy.methods import adjust, find
from understudy.models import NAMES, build
from understudy.spec import epochs_per_phase, read_settings

# Sets that lie in Parquet files, for our own tables.
OTHERS = {"scenes15", "faces38", "cars32", "voc07mini", "voc0712"}
DATA = {*IN_MEMORY, *OFFICIAL, *OTHERS}


@functools.cache
def is_known(model):
    """A listed name, or another size of a family: that is found out by building it, without memory."""
    if model in NAMES or model.startswith(("torchvision:", "timm:")):
        return True
    with torch.device("meta"):
        return build(model, num_classes=10) is not None


def distinct(rows):
    """The rows' settings, each once."""
    return {repr(row.settings): row.settings for row in rows}.values()


@pytest.mark.parametrize("name", TABLES)
def test_every_row_is_a_run_or_says_what_is_missing(name):
    rows = TABLES[name].rows.values()
    assert all(row.missing for row in rows if not row.settings)
    for options in distinct(row for row in rows if not row.missing):
        settings = read_settings(options=options)
        method = adjust(
            find(settings.method.name),
            labels=settings.method.labels,
            teacher_mode=settings.method.teacher_mode,
            terms=settings.terms,
            phases=settings.phases,
        )
        assert min(epochs_per_phase(settings.epochs, tuple(phase.share for phase in method.phases))) > 0
        assert method.needs_teacher <= (settings.teacher is not None)
        assert settings.data.name.removesuffix("-disjoint") in DATA
        for network in (settings.student, settings.teacher):
            assert network is None or is_known(network.model)
            assert network is None or network.weights is None


@pytest.mark.parametrize("name", TABLES)
def test_a_rows_teacher_is_a_recipe_for_its_network(name):
    for row in TABLES[name].rows.values():
        if row.teacher is not None:
            assert TEACHERS[row.teacher].settings["student.model"] == row.settings["teacher.model"]
        elif row.settings:
            assert "teacher.model" not in row.settings


@pytest.mark.parametrize("name", TABLES)
def test_what_a_row_begins_with_is_a_network_of_its_kind(name):
    for row in TABLES[name].rows.values():
        if row.start is not None:
            table, _, other = row.start.partition("/")
            begun = TABLES[table].rows[other].settings if other else TEACHERS[row.start].settings
            assert begun["student.model"] == row.settings["student.model"].partition("@")[0]


@pytest.mark.parametrize("name", TEACHERS)
def test_a_teachers_recipe_is_a_run(name):
    recipe = TEACHERS[name]
    settings = read_settings(options=recipe.settings)
    assert (
        settings.task == "train"
        and is_known(settings.student.model)
        and settings.data.name.removesuffix("-disjoint") in DATA
    )
    assert recipe.start is None or recipe.start in TEACHERS


@pytest.mark.parametrize("name", TABLES)
def test_names_are_paths_and_a_page_has_one_row_at_each_place(name):
    table = TABLES[name]
    assert table.name == name and table.title and table.citation
    places = [
        (row.title, *(row.metric if key == "metric" else row.keys[key] for key in table.across))
        for row in table.rows.values()
    ]
    assert len(set(places)) == len(places)
