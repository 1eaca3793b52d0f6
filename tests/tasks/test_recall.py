"""The rank of the nearest against brute force, an independent library, and cases done by hand."""

import pytest
import torch

from understudy.tasks import index, recall
from understudy.tasks.recall import ranks_of_nearest, recall_pct


def drawn(number: int, classes: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (number,), generator=generator)
    vectors = torch.randn(number, 6, generator=generator, dtype=torch.float64)
    return vectors + torch.eye(classes, 6, dtype=torch.float64)[labels], labels


def brute_force(queries, labels, k, gallery=None, gallery_labels=None):
    """One query after the other, all others sorted by their cosine."""
    found = []
    others, others_labels = (
        (queries, labels) if gallery is None or gallery_labels is None else (gallery, gallery_labels)
    )
    for place, (query, label) in enumerate(zip(queries, labels, strict=True)):
        pairs = [
            (float(torch.cosine_similarity(query, other, dim=0)), int(own))
            for number, (other, own) in enumerate(zip(others, others_labels, strict=True))
            if gallery is not None or number != place
        ]
        if any(own == int(label) for _, own in pairs):
            nearest = sorted(pairs, key=lambda pair: -pair[0])[:k]
            found.append(any(own == int(label) for _, own in nearest))
    return 100.0 * sum(found) / len(found)


@pytest.mark.parametrize("most", [1, 200, 2**24])
def test_recall_is_that_of_sorting_all_others_by_cosine_however_many_are_looked_at_at_once(most, monkeypatch):
    monkeypatch.setattr(recall, "MOST_SIMILARITIES", most)
    vectors, labels = drawn(60, 7)
    found = recall_pct(vectors, labels, (1, 2, 4, 59))
    assert found == {k: pytest.approx(brute_force(vectors, labels, k)) for k in (1, 2, 4, 59)}
    assert found[1] < found[4] < found[59] == 100.0


def test_queries_are_looked_for_in_the_gallery_alone():
    queries, labels = drawn(20, 4)
    gallery, gallery_labels = drawn(50, 4, seed=1)
    found = recall_pct(queries, labels, (1, 3), gallery, gallery_labels)
    assert found == {k: pytest.approx(brute_force(queries, labels, k, gallery, gallery_labels)) for k in (1, 3)}
    # Their own images stand in the gallery here, and are found.
    assert recall_pct(queries, labels, (1,), queries, labels) == {1: 100.0}


def test_recall_at_one_is_the_metric_learning_librarys_precision_at_one():
    metrics = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.inference import CustomKNN

    calculator = metrics.AccuracyCalculator(
        include=("precision_at_1",), k=1, knn_func=CustomKNN(CosineSimilarity()), device=torch.device("cpu")
    )
    vectors, labels = drawn(80, 9)
    expected = calculator.get_accuracy(vectors, labels)["precision_at_1"]
    assert recall_pct(vectors, labels, (1,))[1] == pytest.approx(100.0 * expected)


def test_classes_of_one_image_cannot_be_found_and_are_left_out():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    assert ranks_of_nearest(vectors, torch.tensor([0, 0, 1])).tolist() == [0, 0, -1]
    assert recall_pct(vectors, torch.tensor([0, 0, 1]), (1,)) == {1: 100.0}
    with pytest.raises(ValueError, match="none of 3 queries has another image of its class"):
        recall_pct(vectors, torch.tensor([0, 1, 2]), (1,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_that_maps_all_images_to_one_point_finds_nothing(dtype):
    vectors = torch.full((40, 33), 0.3, dtype=dtype) * torch.arange(1, 41, dtype=dtype)[:, None]
    labels = torch.arange(40) % 4
    assert ranks_of_nearest(vectors, labels).tolist() == [30] * 40
    assert recall_pct(vectors, labels, (1, 30, 31)) == {1: 0.0, 30: 0.0, 31: 100.0}


def test_length_and_a_rotation_of_the_embeddings_change_nothing():
    vectors, labels = drawn(40, 5)
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))[0]
    scale = torch.linspace(0.1, 9.0, 40, dtype=torch.float64)[:, None]
    assert torch.equal(ranks_of_nearest(vectors @ turn * scale, labels), ranks_of_nearest(vectors, labels))


@pytest.fixture
def through_the_index(monkeypatch):
    """All sets are large ones; how many queries the index left to be settled."""
    pytest.importorskip("faiss")
    monkeypatch.setattr(index, "FROM", 0)
    left, settle = [], recall.ranks_by_index

    def count(*given, **options):
        ranks, unsettled = settle(*given, **options)
        left.append(len(unsettled))
        return ranks, unsettled

    monkeypatch.setattr(recall, "ranks_by_index", count)
    return left


@pytest.mark.parametrize("ks", [(1,), (1, 2, 4), (1, 59), (1, 200)])
def test_the_index_finds_what_sorting_finds(ks, through_the_index):
    vectors, labels = drawn(60, 7)
    found = recall_pct(vectors.float(), labels, ks)
    assert found == {k: pytest.approx(brute_force(vectors, labels, min(k, 59))) for k in ks}
    queries, own = drawn(20, 9, seed=2)
    found = recall_pct(queries.float(), own, ks, vectors.float(), labels)
    assert found == {k: pytest.approx(brute_force(queries, own, min(k, 60), vectors, labels)) for k in ks}
    assert through_the_index == [0, 0]


def test_ranks_through_the_index_are_the_blocks_own(through_the_index):
    vectors, labels = drawn(300, 40)
    labels[7] = 40
    by_blocks = ranks_of_nearest(vectors.float(), labels)
    by_index = ranks_of_nearest(vectors.float(), labels, below=20)
    assert torch.equal(by_index.clamp(max=20), by_blocks.clamp(max=20)) and by_index[7] == -1
    assert len(through_the_index) == 1


def test_more_equals_than_the_index_looks_at_are_settled_by_brute_force(through_the_index):
    """Twelve of the own class and thirty others at one point: those of the own class may fill what is looked at."""
    vectors = torch.cat([torch.ones(42, 3), torch.randn(60, 3, generator=torch.Generator().manual_seed(0))])
    labels = torch.cat([torch.zeros(12), torch.ones(30), torch.arange(2, 62)]).long()
    ranks = ranks_of_nearest(vectors, labels, below=5)
    assert torch.equal(ranks[:12], torch.full((12,), 30)) and through_the_index[0] > 0
    assert recall_pct(vectors[:12].repeat(4, 1), torch.arange(48) % 4, (1, 5, 36, 37)) == {
        1: 0.0,
        5: 0.0,
        36: 0.0,
        37: 100.0,
    }


def test_doubles_and_small_sets_do_not_need_the_index(monkeypatch):
    vectors, labels = drawn(60, 7)
    assert not index.is_of_use(vectors.float(), vectors.float())
    monkeypatch.setattr(index, "FROM", 0)
    assert not index.is_of_use(vectors, vectors)
    monkeypatch.setattr(index.importlib.util, "find_spec", lambda name: None)
    assert not index.is_of_use(vectors.float(), vectors.float())


def test_misfits_and_broken_embeddings_are_said():
    vectors, labels = drawn(5, 2)
    with pytest.raises(ValueError, match=r"query embeddings of \(5, 6\) and labels of \(4,\)"):
        recall_pct(vectors, labels[:4], (1,))
    with pytest.raises(ValueError, match="give both or neither"):
        recall_pct(vectors, labels, (1,), vectors)
    with pytest.raises(ValueError, match="1 of 5 query embeddings are not finite"):
        recall_pct(vectors.index_fill(0, torch.tensor([2]), torch.nan), labels, (1,))
