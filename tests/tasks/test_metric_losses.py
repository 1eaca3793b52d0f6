import sys

import pytest
import torch
import torch.nn.functional as F

from understudy.tasks.metric_losses import LOSSES, MINERS, Classifier, OfParts, make_loss, needs_pairs


def batch(length=8):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(12, length, generator=generator, requires_grad=True), torch.arange(12) % 3


@pytest.mark.parametrize("name", ["cross_entropy", *LOSSES])
def test_every_loss_is_a_scalar_whose_gradient_reaches_embeddings_and_its_own_weights(name):
    embeddings, labels = batch()
    loss = make_loss(name, {}, num_classes=3, length=8)
    value = loss(embeddings, labels)
    assert value.shape == () and value.isfinite()
    value.backward()
    assert embeddings.grad.isfinite().all() and embeddings.grad.any()
    own = [*loss.parameters()]
    assert bool(own) == (name == "cross_entropy" or LOSSES[name].by_class)
    assert all(parameter.grad is not None for parameter in own)


def test_contrastive_is_the_papers_sum_over_pairs():
    """Distances of unit vectors: squared for pairs of a class in the paper, plain and averaged in the library."""
    embeddings, labels = batch()
    unit = F.normalize(embeddings, dim=1)
    same, other = [], []
    for i in range(12):
        for j in range(12):
            distance = (unit[i] - unit[j]).norm()
            if i != j and labels[i] == labels[j]:
                same.append(distance)
            elif labels[i] != labels[j] and distance < 1.0:
                other.append(1.0 - distance)
    expected = torch.stack(same).mean() + torch.stack(other).mean()
    found = make_loss("contrastive", {}, num_classes=3, length=8)(embeddings, labels)
    torch.testing.assert_close(found, expected)


def test_options_change_the_loss_and_unknown_ones_are_refused():
    embeddings, labels = batch()
    values = [make_loss("triplet", options, 3, 8)(embeddings, labels) for options in ({}, {"margin": 0.9})]
    assert values[0] < values[1]
    assert make_loss("soft_triple", {"centers_per_class": 2.0}, 3, 8).loss.fc.shape == (8, 6)
    assert make_loss("cross_entropy", {"width": 16, "dropout": 0.0}, 3, 8).reduce.weight.shape == (16, 8)
    with pytest.raises(ValueError, match=r"retrieval.options: triplet has no margins; it has margin=0.2$"):
        make_loss("triplet", {"margins": 1.0}, 3, 8)


def test_an_unknown_loss_gets_the_nearest():
    with pytest.raises(ValueError, match="there is no loss 'tripplet'; .*; nearest: triplet"):
        make_loss("tripplet", {}, 3, 8)


def test_losses_of_pairs_say_that_they_need_them():
    assert needs_pairs("triplet") and not needs_pairs("proxy_anchor") and not needs_pairs("cross_entropy")


def test_each_part_of_an_embedding_learns_by_itself():
    embeddings, labels = batch(length=10)
    losses = [make_loss("contrastive", {}, 3, length) for length in (4, 6)]
    whole = OfParts(losses, (4, 6))(embeddings, labels)
    torch.testing.assert_close(whole, losses[0](embeddings[:, :4], labels) + losses[1](embeddings[:, 4:], labels))
    with pytest.raises(ValueError, match="leave out data.mixup"):
        OfParts(losses, (4, 6))(embeddings, F.one_hot(labels).float())


def test_half_precision_embeddings_are_compared_in_float32():
    embeddings, labels = batch()
    half = embeddings.detach().bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = make_loss("multi_similarity", {}, 3, 8)(half, labels)
    torch.testing.assert_close(found, make_loss("multi_similarity", {}, 3, 8)(half.float(), labels), rtol=0, atol=0)


def test_losses_of_the_library_need_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    with pytest.raises(ValueError, match="triplet needs pytorch-metric-learning: pip install pytorch-metric-learning"):
        make_loss("triplet", {}, 3, 8)
    make_loss("cross_entropy", {}, 3, 8)


def test_the_classifier_starts_without_an_opinion():
    embeddings, labels = batch()
    torch.manual_seed(0)
    assert Classifier(8, 3)(embeddings, labels).item() == pytest.approx(torch.tensor(3.0).log().item(), abs=0.05)


# Which pairs count --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("miner", MINERS)
def test_every_miner_chooses_some_of_the_pairs(miner):
    embeddings, labels = batch()
    torch.manual_seed(0)
    value = make_loss("triplet", {}, 3, 8, miner)(embeddings, labels)
    value.backward()
    assert value.isfinite() and embeddings.grad.isfinite().all() and embeddings.grad.any()
    with torch.no_grad():
        assert value != make_loss("triplet", {}, 3, 8)(embeddings, labels)


@pytest.mark.parametrize("margin", [0.2, 0.5])
def test_semihard_triplets_are_those_within_the_losss_margin(margin):
    embeddings, labels = batch()
    distance = torch.cdist(F.normalize(embeddings, dim=1), F.normalize(embeddings, dim=1))
    counted = []
    for a in range(12):
        for p in range(12):
            for n in range(12):
                if a != p and labels[a] == labels[p] != labels[n]:
                    gap = distance[a, n] - distance[a, p]
                    counted += [margin - gap] if 0 < gap < margin else []
    found = make_loss("triplet", {"margin": margin}, 3, 8, "semihard")(embeddings, labels)
    torch.testing.assert_close(found, torch.stack(counted).mean())


def test_a_loss_may_count_all_pairs_in_place_of_its_own_choice():
    embeddings, labels = batch()
    own, same, every = (
        make_loss("multi_similarity", {}, 3, 8, miner)(embeddings, labels)
        for miner in (None, "multi_similarity", "none")
    )
    assert own == same and own != every


def test_nothing_to_choose_is_no_error():
    """All images in one point: no negative is farther than a positive, and none as near as a sampler takes."""
    embeddings, labels = torch.ones(12, 8, requires_grad=True), torch.arange(12) % 3
    for miner in MINERS:
        value = make_loss("triplet", {}, 3, 8, miner)(embeddings, labels)
        value.backward()
        assert value.isfinite() and embeddings.grad.isfinite().all()
    # Every image of one class: no negatives at all.
    for miner in MINERS:
        value = make_loss("triplet", {}, 3, 8, miner)(batch()[0], torch.zeros(12, dtype=torch.long))
        assert value == 0.0


def test_an_unknown_miner_and_one_without_pairs_are_refused():
    with pytest.raises(ValueError, match="retrieval.miner: there is no miner 'semi_hard'; .*; nearest: semihard"):
        make_loss("triplet", {}, 3, 8, "semi_hard")
    with pytest.raises(ValueError, match="miner=hard chooses pairs of images, and proxy_anchor compares none"):
        make_loss("proxy_anchor", {}, 3, 8, "hard")
