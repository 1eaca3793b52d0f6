"""Each published table's recipe and weights as the papers and their code have them, written down a second time."""

import functools

import pytest
import torch

from understudy.experiments import TABLES
from understudy.experiments.overhaul_cifar100 import NETWORKS
from understudy.methods import adjust, find
from understudy.models import build
from understudy.spec import epochs_per_phase, read_settings

# Table and row -> epochs of each phase, images a step, rate, shares of the steps after which it falls, to what,
# weight decay.
RECIPES = {
    ("ab_table1", "ab+kd/20+100"): ((20, 100), 128, 0.1, (0.3, 0.6, 0.8), 0.2, 5e-4),
    ("ab_table1", "at+kd/20+100"): ((120,), 128, 0.1, (0.3, 0.6, 0.8), 0.2, 5e-4),
    ("ab_table4", "ab+dtl/5"): ((60, 40), 32, 0.1, (0.5,), 0.1, 1e-4),
    ("ab_table5", "at+dtl/1"): ((100,), 32, 0.1, (0.6, 0.8), 0.1, 1e-4),
    ("overhaul_cifar100", "a/overhaul"): ((200,), 128, 0.1, (0.5, 0.75), 0.1, 5e-4),
    ("overhaul_cifar100", "a/ft"): ((7, 200), 128, 0.1, (0.5, 0.75), 0.1, 5e-4),
    ("overhaul_cifar100", "e/overhaul"): ((200,), 64, 0.1, (0.5, 0.75), 0.1, 5e-4),
    ("overhaul_cifar100", "e/cross_entropy"): ((200,), 128, 0.1, (0.5, 0.75), 0.1, 5e-4),
    ("overhaul_imagenet", "mobilenet/overhaul/top1"): ((100,), 256, 0.1, (0.3, 0.6, 0.9), 0.1, 1e-4),
    ("overhaul_imagenet", "mobilenet/ft/top1"): ((4, 100), 256, 0.1, (0.3, 0.6, 0.9), 0.1, 1e-4),
    ("nst_table1", "kd/cifar10"): ((400,), 128, 0.2, (0.5, 0.75), 0.1, 1e-4),
    ("nst_table3", "kd/top1"): ((100,), 512, 0.1, (0.3, 0.6, 0.9), 0.1, 1e-4),
    ("finetune_layer_pruning", "original/recall@1"): ((50,), 40, 1e-3, (0.8,), 0.2, 5e-4),
    ("hdhe_retrieval", "hdhe/cub_200/recall@1"): ((40,), 40, 1e-3, (0.5,), 0.1, 5e-4),
}

# Table, row and term -> the weights of the layers, first layer first, and over what a distance is averaged.
WEIGHTS = {
    ("ab_table1", "ab+kd/1+1", "ab"): ((0.75e-3, 1.5e-3, 3e-3), "image"),
    ("ab_table1", "ab+kd/1+1", "kd"): ((1 / 9,), "image"),
    ("ab_table1", "at+kd/1+1", "at"): ((1e3, 1e3, 1e3), "positions"),
    ("ab_table4", "ab+dtl/5", "ab"): ((0.125e-3, 0.25e-3, 0.5e-3, 1e-3), "image"),
    ("ab_table4", "ab+dtl/5", "dtl"): ((10.0,), "image"),
    ("ab_table4", "at+dtl/5", "dtl"): ((10.0,), "image"),
    ("overhaul_cifar100", "a/overhaul", "ofd"): ((0.25e-3, 0.5e-3, 1e-3), "image"),
    ("overhaul_imagenet", "mobilenet/overhaul/top1", "ofd"): ((0.125e-4, 0.25e-4, 0.5e-4, 1e-4), "image"),
    ("nst_table1", "kd/cifar10", "kd"): ((1.0,), "image"),
    # 100 times the mean square, where FitNet's has a half.
    ("nst_table1", "fitnet/cifar10", "fitnet"): ((200.0,), "elements"),
    ("nst_table1", "at/cifar10", "at"): ((1e3,), "image"),
    ("nst_table1", "nst_linear/cifar10", "nst"): ((25.0,), "image"),
    ("nst_table1", "nst_polynomial/cifar10", "nst"): ((25.0,), "image"),
    ("nst_table1", "nst_gaussian/cifar10", "nst"): ((50.0,), "image"),
    ("nst_table3", "at+kd/top1", "at"): ((1e3,), "image"),
    ("nst_table3", "nst_polynomial/top1", "nst"): ((50.0,), "image"),
}


def run_of(table, row):
    settings = read_settings(options=TABLES[table].rows[row].settings)
    method = adjust(
        find(settings.method.name),
        terms=settings.terms,
        labels=settings.method.labels,
        teacher_mode=settings.method.teacher_mode,
    )
    return settings, method


@pytest.mark.parametrize(("table", "row"), RECIPES)
def test_the_recipe_is_the_papers(table, row):
    settings, method = run_of(table, row)
    optim = settings.optim
    epochs = epochs_per_phase(settings.epochs, tuple(phase.share for phase in method.phases))
    found = (epochs, settings.batch_size, optim.lr, optim.milestones, optim.decay_rate, optim.weight_decay)
    assert found == RECIPES[table, row]
    assert (optim.opt, optim.momentum, optim.nesterov) == ("sgd", 0.9, not table.startswith("nst_table1"))


@pytest.mark.parametrize(("table", "row", "name"), WEIGHTS)
def test_a_terms_weights_are_the_papers(table, row, name):
    (term,) = {repr(term): term for term in run_of(table, row)[1].terms if term.name == name}.values()
    expected, over = WEIGHTS[table, row, name]
    assert term.layer_weights(len(expected)) == pytest.approx(expected) and term.over == over
    assert name not in ("at", "fitnet", "nst") or (term.layers == "last") == (len(expected) == 1)


@functools.cache
def num_parameters(model):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(model, num_classes=100).parameters())


@pytest.mark.parametrize("setup", "abcdef")
def test_students_have_the_printed_share_of_their_teachers_parameters(setup):
    keys = TABLES["overhaul_cifar100"].rows[f"{setup}/overhaul"].keys
    teacher, student = (num_parameters(NETWORKS[keys[role]]) for role in ("teacher", "student"))
    assert 100 * student / teacher == pytest.approx(keys["size_ratio_percent"], abs=0.3)
