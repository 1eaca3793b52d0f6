"""Each published table's recipe and weights as the papers and their code have them, written down a second time."""

import functools

import pytest
import torch

from understudy.distiller import Distiller
from understudy.experiments import TABLES
from understudy.experiments.overhaul_cifar100 import NETWORKS
from understudy.methods import METHODS, chosen
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

# Table and row -> what each phase's optimiser has of its own, phase by phase.
PHASES = {
    ("ab_table1", "ab+kd/20+100"): [{"sched": "constant"}, {}],
    ("ab_table4", "ab+dtl/5"): [{"sched": "constant"}, {"lr": 0.01}],
    ("overhaul_cifar100", "a/ft"): [{"sched": "constant"}, {}],
}
# Row of a table -> the learning rates that its papers print for some layers; the rest has the run's.
RATES = {
    ("finetune_layer_pruning", "original/recall@1"): {"objective": 1e-2},
    ("hdhe_retrieval", "hdhe/cub_200/recall@1"): {"objective.losses.0": 5e-3, "objective.losses.1": 4e-2},
}


def run_of(table, row):
    settings = read_settings(options=TABLES[table].rows[row].settings)
    return settings, chosen(settings)[0]


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


@pytest.mark.parametrize(("table", "row"), PHASES)
def test_phases_have_the_rates_that_the_papers_give_them(table, row):
    assert [dict(phase.optim) for phase in run_of(table, row)[1].phases] == PHASES[table, row]


@pytest.mark.parametrize(("table", "row"), RATES)
def test_layers_have_the_rates_that_the_papers_give_them(table, row):
    optim = run_of(table, row)[0].optim
    assert {name: factor * optim.lr for name, factor in (optim.rates or {}).items()} == pytest.approx(RATES[table, row])


# Method -> its phases' shares of the epochs, and what each term or guide weighs where no table says so.
DECLARED = {
    "ft": ((6, 164), {"ft": 500.0}),
    "kd_svd": ((1,), {"kd_svd": 128.0}),
    "mhgd": ((2, 5), {"mhgd": 128.0}),
    "rkd": ((1,), {"rkd_distance": 25.0, "rkd_angle": 50.0}),
    "fsp": ((1, 5), {"fsp": 5e-4}),
    "jacobian": ((1,), {"jacobian": 1.0, "jacobian_at": 1e3}),
    "ab+dtl": ((3, 2), {"ab": 1e-3, "dtl": 10.0}),
}


@pytest.mark.parametrize("name", DECLARED)
def test_weights_and_shares_of_methods_stand_here_a_second_time(name):
    shares, weights = DECLARED[name]
    method = METHODS[name]
    assert [phase.share for phase in method.phases] == pytest.approx([share / sum(shares) for share in shares])
    assert {term.name: term.weight for term in method.terms if term.name in weights} == weights


def test_clipping_and_decay_are_those_of_the_authors():
    assert [METHODS[name].phases[-1].terms[0].clip for name in ("kd_svd", "mhgd", "rkd", "ofd")] == [
        True,
        True,
        False,
        False,
    ]
    assert METHODS["mhgd"].phases[0].optim == {"weight_decay": 0.0}


def test_the_overhaul_always_has_a_connector_and_boundaries_none_at_equal_widths():
    torch.manual_seed(0)
    images = torch.zeros(2, 1, 8, 8)
    for name, term, kinds in (("ofd", "ofd", {"Conv2d", "BatchNorm2d"}), ("ab", "ab", set())):
        networks = [build("digits-2x4", num_classes=10, in_channels=1) for _ in range(2)]
        connectors = Distiller(*networks, name, images).comparison(term).students
        leaves = {
            type(module).__name__ for module in connectors.modules() if next(module.parameters(False), None) is not None
        }
        assert leaves == kinds


@pytest.mark.parametrize(("table", "most"), [("ab_table4", 80), ("ab_table5", 30)])
def test_the_largest_number_of_images_of_a_class_is_all_of_them(table, most):
    """CUB's official part has a class of 29: nobody can take 30 of it."""
    asked = {row.keys["samples_per_class"]: row.settings.get("data.per_class") for row in TABLES[table].rows.values()}
    assert asked.pop(most) is None and all(asked[count] == count for count in asked) and len(asked) == 4
