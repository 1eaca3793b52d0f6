"""Selective distillation: the cut against all labellings and a linear programme, its terms by hand, the regression."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.sparse import csr_array

from understudy.losses import selective
from understudy.losses.selective import cut, neighbour_graph, regression, select, unary_costs


def random_graph(random, size, density):
    upper = np.triu(random.random((size, size)) * (random.random((size, size)) < density), 1)
    return csr_array(upper + upper.T)


def energy(kept, costs, graph, threshold, smoothness):
    """One image and one pair at a time."""
    total, weights = 0.0, graph.toarray()
    for i in range(len(costs)):
        total += (costs[i] - threshold) if kept[i] else 0.0
        for j in range(i):
            total += smoothness * weights[i, j] * (bool(kept[i]) != bool(kept[j]))
    return total


@pytest.mark.parametrize("smoothness", [0.0, 0.1, 0.5, 2.0])
@pytest.mark.parametrize(("seed", "size"), [(0, 1), (1, 5), (2, 9), (3, 9)])
def test_cut_has_the_least_energy_of_all_labellings(seed, size, smoothness):
    random = np.random.default_rng(seed)
    costs, graph = random.normal(size=size), random_graph(random, size, 0.4)
    for threshold in (-0.7, 0.0, 0.3):
        every = itertools.product((False, True), repeat=size)
        least = min(energy(kept, costs, graph, threshold, smoothness) for kept in every)
        found = energy(cut(costs, graph, threshold, smoothness), costs, graph, threshold, smoothness)
        assert found == pytest.approx(least, abs=1e-9)


def test_cut_has_the_least_energy_of_twelve_images():
    random = np.random.default_rng(4)
    costs, graph = random.normal(size=12), random_graph(random, 12, 0.3)
    least = min(energy(kept, costs, graph, 0.1, 0.3) for kept in itertools.product((False, True), repeat=12))
    found = cut(costs, graph, 0.1, 0.3)
    assert 0 < found.sum() < 12 and not np.array_equal(found, costs < 0.1)
    assert energy(found, costs, graph, 0.1, 0.3) == pytest.approx(least, abs=1e-9)


def test_cut_reaches_the_optimum_of_the_linear_programme():
    random = np.random.default_rng(5)
    costs, graph = random.normal(size=120), random_graph(random, 120, 0.03)
    pairs = [(i, j) for i, j in zip(*graph.nonzero(), strict=True) if i < j]
    objective = np.concatenate([costs - 0.2, [0.4 * graph[i, j] for i, j in pairs]])
    rows = []  # difference_ij >= alpha_i - alpha_j and >= alpha_j - alpha_i
    for number, (i, j) in enumerate(pairs):
        for sign in (1.0, -1.0):
            row = np.zeros(len(objective))
            row[[i, j, 120 + number]] = sign, -sign, -1.0
            rows.append(row)
    least = linprog(objective, A_ub=np.array(rows), b_ub=np.zeros(len(rows)), bounds=(0, 1)).fun
    assert energy(cut(costs, graph, 0.2, 0.4), costs, graph, 0.2, 0.4) == pytest.approx(least, abs=1e-6)


def test_cut_without_smoothing_or_without_neighbours_is_a_threshold():
    random = np.random.default_rng(0)
    costs, graph = random.normal(size=300), random_graph(random, 300, 0.05)
    costs[:2] = 0.2, np.nextafter(0.2, 0)  # at the threshold: dropped; one bit below: kept
    expected = np.array([cost < 0.2 for cost in costs.tolist()])
    assert np.array_equal(cut(costs, graph, 0.2, 0.0), expected)
    assert np.array_equal(cut(costs, csr_array((300, 300)), 0.2, 5.0), expected)


@pytest.mark.parametrize("smoothness", [1e3, 1e12])
@pytest.mark.parametrize("threshold", [-0.01, 0.01])
def test_strong_smoothing_of_a_connected_graph_keeps_all_or_none(smoothness, threshold):
    random = np.random.default_rng(1)
    costs, ring = random.normal(size=30), np.roll(np.eye(30), 1, axis=1)
    costs -= costs.mean()
    kept = cut(costs, csr_array(ring + ring.T), threshold, smoothness)
    assert kept.sum() == (30 if threshold > 0 else 0)


def test_a_higher_threshold_keeps_the_same_images_and_more():
    random = np.random.default_rng(2)
    costs, graph = random.normal(size=60), random_graph(random, 60, 0.05)
    kept = [cut(costs, graph, threshold, 0.4) for threshold in np.linspace(-3, 3, 61)]
    assert all((lower <= higher).all() for lower, higher in itertools.pairwise(kept))
    assert len({int(k.sum()) for k in kept}) > 10 and kept[0].sum() == 0 and kept[-1].all()


def test_images_that_all_lie_on_the_threshold_are_dropped():
    assert not cut(np.full(4, 0.5), csr_array(np.ones((4, 4)) - np.eye(4)), 0.5, 1.0).any()


def test_an_image_on_the_threshold_follows_its_neighbour():
    pair = csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert cut(np.array([0.0, 1.0]), pair, 1.0, 0.5).all()


def test_capacities_of_many_images_do_not_overflow():
    costs = np.repeat([-1.0, 1.0], 3000)
    ring = csr_array((np.ones(6000), (np.arange(6000), (np.arange(6000) + 1) % 6000)), shape=(6000, 6000))
    kept = cut(costs, csr_array(ring + ring.T), 0.0, 10.0)
    assert kept[:3000].all() and not kept[3000:].any()


@pytest.mark.parametrize("difference", [-1e-7, 1e-7])
def test_cut_tells_sums_of_costs_apart_to_seven_digits(difference):
    pair = csr_array(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    kept = cut(np.array([-0.7, 0.7 + difference, 1.0]), pair, 0.0, 1e9)
    assert kept.tolist() == [difference < 0, difference < 0, False]


def test_cut_bears_the_smallest_of_differences():
    assert cut(np.zeros(2), csr_array((2, 2)), 5e-324, 1.0).all()


def test_cut_refuses_a_negative_smoothness():
    with pytest.raises(ValueError, match="needs 0 or more"):
        cut(np.zeros(2), csr_array((2, 2)), 0.5, -1.0)


def unit(values):
    length = math.sqrt(sum(v * v for v in values))
    return [v / length for v in values] if length else list(values)


def costs_by_hand(features, labels):
    """One image at a time, the centre of its class computed without it."""
    points, costs = [unit(f) for f in features.tolist()], []
    for i, own in enumerate(labels.tolist()):
        distance = {}
        for y in set(labels.tolist()):
            group = [p for j, (p, z) in enumerate(zip(points, labels.tolist(), strict=True)) if z == y and j != i]
            if group:
                distance[y] = math.dist(points[i], [sum(axis) / len(group) for axis in zip(*group, strict=True)])
        inside = distance.pop(own, 0.0)
        costs.append(inside - min(distance.values(), default=0.0))
    return costs


@pytest.mark.parametrize("rows", [1024, 4])
def test_costs_compare_the_own_centre_left_one_out_with_the_nearest_other(generator, monkeypatch, rows):
    monkeypatch.setattr(selective, "ROWS_AT_ONCE", rows)
    features = torch.randn(15, 6, generator=generator, dtype=torch.float64)
    features[3] = 0.0
    labels = torch.randint(0, 3, (15,), generator=generator) * 7 - 5  # any numbers are labels
    labels[9] = 100  # alone in its class
    assert unary_costs(features, labels).tolist() == pytest.approx(costs_by_hand(features, labels), abs=1e-12)


def test_costs_of_a_single_class_are_the_distances_to_it(generator):
    features, labels = torch.randn(5, 3, generator=generator, dtype=torch.float64), torch.zeros(5, dtype=torch.long)
    costs = unary_costs(features, labels)
    assert (costs > 0).all() and costs.tolist() == pytest.approx(costs_by_hand(features, labels), abs=1e-12)
    assert unary_costs(features[:1], labels[:1]).tolist() == [0.0]


def graph_by_hand(features, neighbours):
    points = [unit(f) for f in features.tolist()]
    near = []
    for i in range(len(points)):
        others = [j for j in range(len(points)) if j != i]
        near.append(sorted(others, key=lambda j: math.dist(points[i], points[j]))[:neighbours])  # noqa: B023
    squares = [math.dist(points[i], points[j]) ** 2 for i, row in enumerate(near) for j in row]
    variance = sum(squares) / len(squares)
    weights = np.zeros((len(points), len(points)))
    for i, j in itertools.product(range(len(points)), repeat=2):
        if j in near[i] and i in near[j]:
            weights[i, j] = math.exp(-(math.dist(points[i], points[j]) ** 2) / (2 * variance))
    return weights


@pytest.mark.parametrize("rows", [1024, 4])
@pytest.mark.parametrize("neighbours", [1, 3, 50])
def test_graph_joins_mutual_neighbours_by_their_distance(generator, monkeypatch, rows, neighbours):
    monkeypatch.setattr(selective, "ROWS_AT_ONCE", rows)
    features = torch.randn(14, 5, generator=generator, dtype=torch.float64)
    weights = neighbour_graph(features, neighbours).toarray()
    np.testing.assert_allclose(weights, graph_by_hand(features, min(neighbours, 13)), rtol=0, atol=1e-12)
    assert np.array_equal(weights, weights.T) and not weights.diagonal().any()


def test_graph_of_coinciding_images_has_weights_of_one():
    weights = neighbour_graph(torch.ones(4, 3), 3).toarray()
    assert np.array_equal(weights, np.ones((4, 4)) - np.eye(4))
    assert neighbour_graph(torch.ones(1, 3), 5).toarray().tolist() == [[0.0]]


@pytest.fixture
def clusters(generator):
    """Five well separated classes of 24 images; every eighth image carries a wrong label."""
    centres = torch.eye(5, 16)
    true = torch.arange(5).repeat_interleave(24)
    features = centres[true] + 0.05 * torch.randn(120, 16, generator=generator)
    wrong = torch.arange(120) % 8 == 0
    labels = torch.where(wrong, (true + 1 + torch.arange(120) // 8 % 4) % 5, true)
    return features, labels, wrong


@pytest.mark.parametrize("smoothness", [0.0, 0.02, 0.2])
def test_mislabelled_images_among_clusters_are_the_ones_dropped(clusters, smoothness):
    features, labels, wrong = clusters
    assert (labels != torch.arange(5).repeat_interleave(24)).equal(wrong)
    kept = select(features, labels, keep=105 / 120, smoothness=smoothness)
    assert kept.dtype == torch.bool and kept.equal(~wrong)


def test_without_smoothing_exactly_the_fraction_is_kept_and_with_it_at_least(generator):
    features = torch.randn(60, 8, generator=generator)
    labels = torch.randint(0, 4, (60,), generator=generator)
    for keep in (0.1, 0.5, 0.75, 1.0):
        assert select(features, labels, keep, smoothness=0.0).sum() == round(60 * keep)
        counts = [select(features, labels, keep, smoothness=s).sum().item() for s in (0.05, 1.0, 1e6)]
        assert min(counts) >= round(60 * keep)
    assert select(features, labels, 1e-9, smoothness=0.0).sum() == 1


def test_selection_is_the_smallest_cut_that_is_large_enough(generator):
    features, labels = torch.randn(40, 4, generator=generator), torch.randint(0, 3, (40,), generator=generator)
    costs, graph = unary_costs(features, labels), neighbour_graph(features, 4)
    kept = select(features, labels, 0.6, smoothness=0.2, neighbours=4).numpy()
    tried = [cut(costs, graph, threshold, 0.2) for threshold in np.linspace(costs.min(), costs.max(), 500)]
    assert np.array_equal(kept, next(k for k in tried if k.sum() >= 24))


def test_selection_ignores_scale_rotation_and_order_and_repeats_itself(clusters, generator):
    features, labels, _ = clusters
    expected = select(features, labels, 0.6)
    rotation = torch.linalg.qr(torch.randn(16, 16, generator=generator, dtype=torch.float64)).Q
    scale = torch.rand(120, 1, generator=generator) + 0.5
    order = torch.randperm(120, generator=generator)
    assert select(features, labels, 0.6).equal(expected) and 72 <= expected.sum() < 120
    assert select(features * scale, labels, 0.6).equal(expected)
    assert select(features.double() @ rotation, labels, 0.6).equal(expected)
    assert select(features[order], labels[order], 0.6).equal(expected[order])


def test_one_image_and_low_precision_can_be_selected(clusters):
    for keep in (0.1, 1.0):
        assert select(torch.ones(1, 3), torch.tensor([4]), keep).tolist() == [True]
    features, labels, wrong = clusters
    with torch.autocast("cpu", torch.bfloat16):
        kept = select(features.bfloat16().requires_grad_(), labels, keep=105 / 120, smoothness=0.0)
    assert kept.equal(~wrong)


def test_errors_say_what_to_give():
    good, labels = torch.ones(3, 2), torch.zeros(3, dtype=torch.long)
    for keep in (-0.1, 0.0, 75.0, math.nan):
        with pytest.raises(ValueError, match="fraction of the images"):
            select(good, labels, keep=keep)
    for features in (torch.ones(3, 2, 2), torch.ones(0, 2), good * math.nan):
        with pytest.raises(ValueError, match="one vector an image"):
            select(features, labels)
    with pytest.raises(ValueError, match="3 features came with 2 labels"):
        select(good, labels[:2])
    with pytest.raises(ValueError, match="project the student"):
        regression(torch.ones(3, 2), torch.ones(3, 4))
    with pytest.raises(ValueError, match="one value an image"):
        regression(good, good, torch.ones(3, 1))


@pytest.fixture
def embeddings(generator):
    return torch.randn(2, 5, 7, generator=generator, dtype=torch.float64)


def regression_by_hand(student, teacher, keep):
    total = 0.0
    for s, t, k in zip(student.tolist(), teacher.tolist(), keep, strict=True):
        total += k * sum((a - b) ** 2 for a, b in zip(s, t, strict=True))
    return total / len(student)


def test_regression_sums_the_kept_images_and_divides_by_the_batch(embeddings):
    keep = [True, False, False, True, True]
    expected = regression_by_hand(*embeddings, keep)
    for given in (torch.tensor(keep), torch.tensor(keep).float()):
        assert regression(*embeddings, given).item() == pytest.approx(expected, rel=1e-12)
    weights = [0.5, 2.0, 0.0, 1.0, 0.25]
    weighted = regression(*embeddings, torch.tensor(weights))
    assert weighted.item() == pytest.approx(regression_by_hand(*embeddings, weights), rel=1e-12)
    assert weighted.dtype == torch.float64


def test_regression_that_keeps_all_is_the_plain_one_and_the_mean_over_images(embeddings):
    plain = regression(*embeddings)
    assert plain.item() == pytest.approx(regression_by_hand(*embeddings, [1] * 5), rel=1e-12)
    assert regression(*embeddings, torch.ones(5, dtype=torch.bool)) == plain
    single = [regression(s[None], t[None]) for s, t in zip(*embeddings, strict=True)]
    torch.testing.assert_close(plain, torch.stack(single).mean(), rtol=1e-12, atol=0)


def test_regression_that_keeps_none_is_zero_with_a_zero_gradient(embeddings):
    student = embeddings[0].clone().requires_grad_()
    loss = regression(student, embeddings[1], torch.zeros(5, dtype=torch.bool))
    loss.backward()
    assert loss == 0 and student.grad.eq(0).all()


def test_regression_passes_gradcheck_and_spares_the_teacher(embeddings):
    student, teacher = embeddings[0].clone().requires_grad_(), embeddings[1].clone().requires_grad_()
    keep = torch.tensor([True, False, True, True, False])
    assert torch.autograd.gradcheck(lambda s: regression(s, teacher.detach(), keep), (student,))
    regression(student, teacher, keep).backward()
    assert teacher.grad is None and student.grad[~keep].eq(0).all() and student.grad[keep].ne(0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_regression_computes_low_precision_in_float32(embeddings, dtype):
    low, keep = embeddings.to(dtype), torch.tensor([True, False, True, True, False])
    with torch.autocast("cpu", torch.bfloat16):
        loss = regression(low[0], low[1], keep)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(regression_by_hand(*low.double(), keep.tolist()), rel=1e-6)


def test_regression_compiles(embeddings):
    keep = torch.tensor([True, False, True, True, False])
    compiled = torch.compile(regression, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*embeddings, keep), regression(*embeddings, keep), rtol=1e-12, atol=0)
