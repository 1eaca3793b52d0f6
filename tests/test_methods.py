"""Methods as declarations: what is declared, how they combine, and what a user may change."""

import functools
import importlib
from dataclasses import replace

import pytest
import torch

from understudy.connectors import Conv1x1BN, MatchWidth
from understudy.losses import activation_boundary, kd
from understudy.methods import METHODS, Method, Phase, Term, adjust, combine, find
from understudy.methods.aspects import design_aspects


def term(method, name):
    return next(one for phase in method.phases for one in phase.terms if one.name == name)


def test_ab_with_kd_is_as_the_authors_trained():
    initialise, train = find("ab+kd").phases
    assert (initialise.name, initialise.labels, initialise.optim) == ("initialise", 0.0, {"sched": "constant"})
    assert (train.name, train.labels) == ("train", 0.0)
    (divergence,) = train.terms
    # Temperature 3 without the factor T^2.
    assert divergence.options == {"temperature": 3.0} and divergence.weight == pytest.approx(1 / 9)
    assert (initialise.share, train.share) == (20 / 120, 100 / 120)


def test_ab_halves_the_weight_of_each_earlier_layer():
    boundaries = term(find("ab"), "ab")
    assert boundaries.distance is activation_boundary and boundaries.tap == "before_relu"
    assert boundaries.layer_weights(3) == pytest.approx((0.75e-3, 1.5e-3, 3e-3))


def test_ofd_has_the_authors_weights():
    assert term(find("ofd"), "ofd").layer_weights(3) == pytest.approx((0.25e-3, 0.5e-3, 1e-3))


def test_ft_has_the_authors_six_epochs_before_their_164():
    paraphrase, train = find("ft").phases
    assert (paraphrase.share, train.share) == (6 / 170, 164 / 170)


def test_kd_alone_is_hintons():
    (phase,) = find("kd").phases
    (divergence,) = phase.terms
    assert phase.labels == 1.0 and divergence.distance is kd
    assert (divergence.weight, divergence.options) == (1.0, {"temperature": 4.0})


def test_a_published_combination_is_found_in_any_order():
    assert find("kd+ab") is find("ab+kd") is METHODS["ab+kd"]


@pytest.mark.parametrize("names", [("ab", "ft"), ("ab", "mhgd"), ("at", "rkd", "nst")])
def test_another_combination_is_the_same_in_any_order(names):
    assert find("+".join(names)) == find("+".join(names[::-1]))


def test_other_combinations_learn_phases_of_one_name_together_and_train_last():
    method = combine([METHODS["kd"], METHODS["ab"]])
    assert [phase.name for phase in method.phases] == ["initialise", "train"]
    assert [one.name for one in method.phases[1].terms] == ["kd"] and method.phases[1].labels == 1.0
    assert method.phases[0].share == 20 / 120 and method.phases[1].share == 100 / 120


@pytest.mark.parametrize("name", ["kd+kd", "kd+kd_only"])
def test_a_term_can_be_there_only_once(name):
    with pytest.raises(ValueError, match="term kd twice"):
        find(name)


@pytest.mark.parametrize("name", ["jacobian+at", "at+jacobian", "jacobian+at+kd_only"])
def test_what_two_methods_bring_under_two_names_counts_once(name):
    terms = [replace(term, name="") for term in find(name).terms]
    assert terms.count(replace(METHODS["at"].terms[0], name="")) == 1
    assert len(terms) == len(METHODS["jacobian"].terms) + ("kd" in name)


def test_terms_of_one_name_are_one_term():
    later = replace(METHODS["kd"].terms[0], weight=5.0)
    phases = (METHODS["kd"].phases[0], Phase(name="later", terms=(later,)))
    with pytest.raises(ValueError, match="Mine has two terms 'kd' that are not the same.*'kd_later'"):
        Method(title="Mine", paper="ours", phases=phases)


def test_the_teachers_mode_is_that_of_the_one_method_that_asks_for_one():
    assert combine([METHODS["ofd"], METHODS["kd"], METHODS["ab"]]).teacher_mode == "batch"


def test_methods_that_want_the_teacher_in_different_modes_do_not_combine_by_themselves():
    phases = (Phase(name="train", terms=(Term(name="other", tap="logits", distance=kd),)),)
    other = Method(title="Other", paper="", phases=phases, teacher_mode="train")
    with pytest.raises(ValueError, match="different modes"):
        combine([METHODS["ofd"], other])


@pytest.mark.parametrize(("name", "words"), [("kdd", "nearest: kd"), ("ab+fitnett", "'fitnett'.*there are none, kd")])
def test_an_unknown_method_is_answered_with_the_known(name, words):
    with pytest.raises(ValueError, match=words):
        find(name)


def test_labels_can_be_added_to_the_second_phase():
    changed = adjust(find("ab+kd"), labels=True)
    assert [phase.labels for phase in changed.phases] == [0.0, 1.0]
    with pytest.raises(ValueError, match="nothing to learn"):
        adjust(find("none"), labels=False)


def test_a_terms_numbers_can_be_changed():
    changed = adjust(find("ab+kd"), terms={"ab": {"margin": 2.0, "weight": 1.0}, "kd": {"temperature": 5.0}})
    assert term(changed, "ab").options == {"margin": 2.0} and term(changed, "ab").weight == 1.0
    assert term(changed, "kd").options == {"temperature": 5.0}
    assert term(find("ab+kd"), "ab").options == {"margin": 1.0}


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (
            {"ab": {"margn": 2.0}},
            "terms.ab.margn: allowed are weight, ladder, over, layers, clip, positions, margin; nearest: margin",
        ),
        ({"at": {"power": 2.0}}, "terms.at: AB . KD has no such term; it has ab, kd"),
    ],
)
def test_a_number_that_a_term_does_not_have_is_an_error(terms, words):
    with pytest.raises(ValueError, match=words):
        adjust(find("ab+kd"), terms=terms)


def test_a_method_of_ones_own_is_found_by_its_module(tmp_path, monkeypatch):
    (tmp_path / "own_methods.py").write_text(
        "from understudy import METHODS\nfrom dataclasses import replace\n"
        "MINE = replace(METHODS['kd'], title='Mine')\nNUMBER = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    assert find("own_methods:MINE").title == "Mine"
    with pytest.raises(ValueError, match="own_methods:NUMBER: expected an understudy.Method, found int"):
        find("own_methods:NUMBER")
    with pytest.raises(ValueError, match="has no 'MIEN'; its methods are MINE"):
        find("own_methods:MIEN")
    with pytest.raises(ValueError, match="no_such_module:MINE: there is no module 'no_such_module'"):
        find("no_such_module:MINE")


def test_the_fingerprint_follows_what_is_learnt_and_not_the_words():
    kd_method = find("kd")
    changed = adjust(kd_method, terms={"kd": {"temperature": 3.0}})
    assert replace(kd_method, title="Other", notes="other").fingerprint() == kd_method.fingerprint()
    prints = {method.fingerprint() for method in METHODS.values()} | {changed.fingerprint()}
    assert len(prints) == len(METHODS) + 1


class Scaled:
    """A distance with a number of its own; it says of itself where it lies in memory."""

    def __call__(self, student, teacher):
        return kd(student, teacher)


def test_the_fingerprint_follows_what_a_distance_is_made_of_and_not_where_it_lies():
    def fingerprint(distance):
        return Method(
            title="", paper="", phases=(Phase(name="p", terms=(replace(one, distance=distance, options={}),)),)
        ).fingerprint()

    one = find("kd").terms[0]
    kept = [Scaled(), Scaled()]
    assert fingerprint(kept[0]) == fingerprint(kept[1]) != fingerprint(kd)
    warm, hot, hot_again = (functools.partial(kd, temperature=t) for t in (2.0, 4.0, 4.0))
    assert fingerprint(hot) == fingerprint(hot_again)
    assert len({fingerprint(each) for each in (warm, hot, kd, functools.partial(activation_boundary))}) == 4
    # `kept` and a partial of it differ, though both say the same of themselves.
    assert fingerprint(functools.partial(kept[0])) == fingerprint(functools.partial(kept[1])) != fingerprint(kept[0])


def test_positions_by_hand_change_the_fingerprint_and_none_leaves_it():
    at = find("at")
    changed = adjust(at, terms={"at": {"positions": "layer1=features.3, before:layer2.1.relu#2=features.6"}})
    assert changed.terms[0].positions == (("layer1", "features.3"), ("before:layer2.1.relu#2", "features.6"))
    assert changed.fingerprint() != at.fingerprint() == adjust(at, terms={"at": {"weight": 1000.0}}).fingerprint()


def test_a_comparison_of_logits_has_no_positions():
    with pytest.raises(ValueError, match="terms.kd.positions: kd compares the networks' answers"):
        adjust(find("kd"), terms={"kd": {"positions": "layer1=layer1"}})


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"nst": {"over": "channels"}}, "terms.nst.over=channels: expected image or positions or elements"),
        ({"nst": {"layers": "first"}}, "expected all or last"),
        ({"nst": {"weight": "much"}}, "terms.nst.weight=much: expected a finite number"),
        ({"nst": {"weight": float("inf")}}, "terms.nst.weight=inf: expected a finite number"),
        ({"nst": {"ladder": -0.5}}, "terms.nst.ladder=-0.5: every other layer would unlearn"),
        ({"nst": {"clip": "often"}}, "terms.nst.clip=often: expected true or false"),
        ({"nst": {"kernel": 3.0}}, "terms.nst.kernel=3.0: expected a word"),
        ({"nst": {"positions": 3.0}}, "terms.nst.positions=3.0: expected a word"),
        (
            {"nst": {"positions": "layer1:layer2"}},
            "found 'layer1:layer2', expected STUDENT=TEACHER, .*understudy layers",
        ),
        ({"nst": {"positions": "a=b,"}}, "found '', expected STUDENT=TEACHER"),
    ],
)
def test_a_choice_that_does_not_exist_is_an_error(terms, words):
    with pytest.raises(ValueError, match=words):
        adjust(METHODS["nst"], terms=terms)


def test_every_term_says_where_its_weight_comes_from():
    assert [term.name for method in METHODS.values() for term in method.terms if not term.source] == []


# Heo et al., ICCV 2019, table 1: teacher transform, student transform, distance, missing information.
OVERHAUL_TABLE = {
    "fitnet": ("none", "1x1 conv", "L2", "none"),
    "at": ("attention", "attention", "L2", "channel dims"),
    "fsp": ("correlation", "correlation", "L2", "spatial dims"),
    "jacobian": ("gradient", "gradient", "L2", "channel dims"),
    "ft": ("auto encoder", "auto encoder", "L1", "auto encoded"),
    "ab": ("binarization", "1x1 conv", "marginal L2", "feature values"),
    "ofd": ("margin ReLU", "1x1 conv", "partial L2", "negative features"),
}


@pytest.mark.parametrize("name", OVERHAUL_TABLE)
def test_the_design_aspects_are_those_of_the_overhaul_papers_table(name):
    row = next(row for row in design_aspects() if row.method == name)
    teacher, student, distance, missing = OVERHAUL_TABLE[name]
    assert (row.teacher, row.distance, row.missing) == (teacher, distance, missing)
    assert student in row.student


def test_the_aspects_name_a_connector_exactly_where_the_declaration_has_one():
    for method in METHODS.values():
        for one in method.terms:
            assert ("1x1 conv" in one.aspects.student) == (one.student in (Conv1x1BN, MatchWidth)), one.name
            assert bool(one.aspects.distance)


def test_a_phases_optimiser_has_its_own_numbers():
    changed = adjust(find("ab+kd"), phases={"train": {"lr": 0.01, "milestones": [0.5]}})
    first, last = changed.phases
    assert first.optim == {"sched": "constant"} and last.optim == {"lr": 0.01, "milestones": (0.5,)}
    for phases, said in (
        ({"trian": {"lr": 1.0}}, "no such phase; it has initialise, train"),
        ({"train": {"rate": 1.0}}, "phases.train.rate: allowed are"),
        ({"train": {"auto_rates": True}}, "phases.train.auto_rates: all phases share it; give optim.auto_rates"),
        ({"train": {"lr": -1.0}}, r"phases.train.lr: found -1.0, expected"),
    ):
        with pytest.raises(ValueError, match=said):
            adjust(find("ab+kd"), phases=phases)


@pytest.mark.parametrize(
    ("optim", "words"),
    [
        ({"learning_rate": 0.01}, "phases.train.learning_rate: allowed are opt, lr"),
        ({"lr": "much"}, "found 'much'"),
    ],
)
def test_a_phases_own_numbers_are_checked_too(optim, words):
    method = find("kd")
    with pytest.raises(ValueError, match=words):
        adjust(replace(method, phases=(replace(method.phases[0], optim=optim),)))


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match=r"terms\.kd\.weight=-1: a weight below 0 would unlearn"):
        adjust(METHODS["kd"], terms={"kd": {"weight": -1.0}})


def difference(student, teacher, power=2.0):
    return (student - teacher).abs().pow(power).mean()


def declared(**changes):
    return Term(**{"name": "mine", "tap": "logits", "distance": difference, **changes})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "task"}, "a term is called 'task'; .* none of task, loss, output"),
        ({"name": "a.b"}, "a term is called 'a.b'; give it a name without dots"),
        ({"over": "element"}, "term 'mine': over is 'element'; expected .*; nearest: elements"),
        ({"layers": "first"}, "term 'mine': layers is 'first'; expected all or last"),
        ({"needs": ("lables",)}, "term 'mine': needs is 'lables'; .*; nearest: labels"),
        ({"options": {"powr": 1.0}}, "none of its functions has the option 'powr'; they have power; nearest: power"),
        ({"weight": -1.0}, "term 'mine': weight is -1, expected 0 or more"),
        ({"student": torch.nn.Linear(2, 2)}, "student is a Linear that is made already, and would never be trained"),
        ({"distance": torch.nn.Bilinear(2, 2, 1)}, "distance is a Bilinear that is made already"),
        ({"distance": lambda own: own.mean()}, r"its distance takes \(own\) and is called with \(student, teacher\)"),
        ({"distance": lambda a, b, margin: a.mean()}, "missing a required argument: 'margin'; an option has a default"),
        ({"select": torch.nn.functional.relu}, r"select chooses images .* add needs=\('keep',\)"),
        ({"needs": ("guide",)}, "term 'mine' needs a guide and has none"),
        ({"tap": "group_end", "inputs": torch.add}, "makes images of its own with inputs, and reads 'group_end'"),
        ({"tap": "logits", "inputs": torch.add, "needs": ("labels",)}, "and needs labels: of made images there are"),
        ({"span": 2}, r"is called with \(student0, student1, teacher0, teacher1\)"),
    ],
)
def test_a_term_that_cannot_be_meant_is_told_where_it_is_declared(changes, told):
    with pytest.raises(ValueError, match=told):
        declared(**changes)
    assert declared(student=torch.nn.ReLU(), distance=torch.nn.MSELoss()).student is not None  # nothing to train


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"phases": ()}, "Mine has no phases"),
        ({"phases": Phase(name="train")}, "Mine: phases has a Phase; expected a tuple of Phases, with a comma"),
        ({"phases": [Phase(name="train")]}, "Mine: phases has a list; expected a tuple of Phases"),
        ({"teacher_mode": "trian"}, "Mine: teacher_mode is 'trian'; .*; nearest: train"),
    ],
)
def test_a_method_that_cannot_be_meant_is_told_where_it_is_declared(changes, told):
    with pytest.raises(ValueError, match=told):
        Method(**{"title": "Mine", "paper": "ours", "phases": (Phase(name="train"),), **changes})


def test_phases_are_of_terms_and_weights_of_0_or_more():
    with pytest.raises(ValueError, match="phase 'train': terms has a Term; expected a tuple of Terms"):
        Phase(name="train", terms=declared())
    with pytest.raises(ValueError, match="phase 'train': labels is -1, expected 0 or more"):
        Phase(name="train", labels=-1.0)


def test_the_fingerprint_follows_what_a_function_of_ones_own_does_and_not_its_comments(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    prints = []
    for number, body in enumerate(("a.mean() - b.mean()", "a.mean()  -  b.mean()  # the same", "a.std() - b.std()")):
        (tmp_path / f"own{number}.py").write_text(f"def distance(a, b):\n    return {body}\n")
        own = importlib.import_module(f"own{number}").distance
        prints.append(
            Method(title="M", paper="", phases=(Phase(name="t", terms=(declared(distance=own),)),)).fingerprint()
        )
    assert prints[0] == prints[1] != prints[2]


def test_a_method_of_ones_own_joins_others(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_method.py").write_text(
        "from understudy import Method, Phase, Term\n"
        "def distance(a, b):\n    return (a - b).pow(2).mean()\n"
        "TERM = Term(name='mine', tap='logits', distance=distance)\n"
        "METHOD = Method(title='Mine', paper='ours', phases=(Phase(name='train', terms=(TERM,)),))\n"
    )
    joined = find("own_method:METHOD+ab+kd")
    assert [phase.name for phase in joined.phases] == ["initialise", "train"]
    assert [term.name for term in joined.phases[-1].terms] == ["kd", "mine"]
    assert find("own_method:METHOD").title == "Mine"


def test_a_whole_number_may_come_as_a_float():
    (term,) = [term for term in adjust(find("bss"), terms={"bss": {"steps": 3.0}}).terms if term.name == "bss"]
    assert term.options["steps"] == 3 and isinstance(term.options["steps"], int)


def test_guides_are_trained_somewhere_and_a_phase_selects_once():
    class Guide(torch.nn.Module):
        def forward(self, wanted):
            return wanted.sum()

    term = declared(guide=Guide)
    with pytest.raises(ValueError, match="the guide of term 'mine' is trained in no phase; list the term"):
        Method(title="Mine", paper="ours", phases=(Phase(name="train", terms=(term,)),))

    def distance(student, teacher, keep):
        return (student - teacher)[keep].square().mean()

    def chosen(name, select):
        return declared(name=name, distance=distance, needs=("keep",), select=select)

    low, high = chosen("low", torch.nn.functional.relu), chosen("high", torch.nn.functional.gelu)
    with pytest.raises(ValueError, match="low and high select by different functions in phase 'train'"):
        Method(title="Mine", paper="ours", phases=(Phase(name="train", terms=(low, high)),))
    same = chosen("other", torch.nn.functional.relu)
    Method(title="Mine", paper="ours", phases=(Phase(name="train", terms=(low, same)),))


def test_what_a_function_was_made_with_is_part_of_its_declaration():
    def made(factor):
        return lambda student, teacher: factor * (student - teacher).square().mean()

    def fingerprint(factor):
        phase = Phase(name="train", terms=(declared(distance=made(factor)),))
        return Method(title="Mine", paper="ours", phases=(phase,)).fingerprint()

    assert fingerprint(1.0) == fingerprint(1.0) != fingerprint(2.0)
