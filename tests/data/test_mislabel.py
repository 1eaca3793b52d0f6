"""Wrong labels on purpose: how many, which, and that nothing else changes."""

import pytest
import torch

from understudy.data import Loading, load
from understudy.data.mislabel import mislabelled
from understudy.losses.selective import select


def wrong(found, whole):
    return (found.train.labels != whole.train.labels).nonzero()[:, 0].tolist()


def test_the_share_of_the_training_labels_is_another_class_and_the_right_ones_are_kept():
    whole, found = load("digits", per_class=30), load("digits", per_class=30, mislabel=0.2)
    assert wrong(found, whole) == list(found.mislabelled) and len(found.mislabelled) == 60
    assert [whole.train.labels[place] for place in found.mislabelled] == list(found.mislabelled.values())
    assert torch.equal(found.train.images, whole.train.images) and torch.equal(found.test.labels, whole.test.labels)
    assert found.fingerprint() != whole.fingerprint() and not whole.mislabelled


def test_only_the_seed_of_the_data_decides_which():
    whole = load("digits")
    found = [load("digits", mislabel=0.2, seed=seed) for seed in (0, 0, 1)]
    assert found[0].fingerprint() == found[1].fingerprint() and found[0].mislabelled == found[1].mislabelled
    shared = set(found[0].mislabelled) & set(found[2].mislabelled)
    # Of two draws of a fifth, a fifth of the fifth is in both.
    assert 30 < len(shared) < 90 and len(wrong(found[2], whole)) == 287


def test_every_wrong_class_is_as_likely():
    found = load("digits", mislabel=0.9)
    steps = [(int(found.train.labels[place]) - right) % 10 for place, right in found.mislabelled.items()]
    counts = torch.bincount(torch.tensor(steps), minlength=10)
    assert counts[0] == 0 and counts[1:].min() > 100  # 1293 in 9 classes: 144 on average


def test_what_is_held_out_to_choose_by_keeps_its_labels():
    whole, found = (load("digits", validation=0.2, mislabel=share) for share in (0.0, 0.5))
    assert torch.equal(found.validation.labels, whole.validation.labels)


def test_files_are_mislabelled_as_images_in_memory_are(data_folder):
    folder = data_folder("faces38")
    found = [
        load("faces38", folder=folder, mislabel=0.2, loading=Loading(how=how, size=64)) for how in ("memory", "workers")
    ]
    assert found[0].mislabelled == found[1].mislabelled and len(found[0].mislabelled) == 46
    assert torch.equal(found[0].train.labels, found[1].train.labels)


@pytest.mark.parametrize("share", [-1, 0, 2])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        mislabelled(load("digits", per_class=1), share=share, seed=0)


def test_a_share_of_no_image_is_refused():
    with pytest.raises(ValueError, match=r"data.mislabel=0.01 gives none of 10 images of 10 classes a wrong label"):
        load("digits", per_class=1, mislabel=0.01)


def test_the_selection_finds_mislabelled_faces_by_their_pixels(data_folder):
    faces = load("faces38", folder=data_folder("faces38"), mislabel=0.2, loading=Loading(size=16))
    pixels = faces.train.images[:, 0].flatten(1).double()
    dropped = (~select(pixels - pixels.mean(dim=0), faces.train.labels, keep=0.8)).nonzero()[:, 0].tolist()
    caught = set(dropped) & set(faces.mislabelled)
    assert len(caught) > 0.75 * len(dropped) and len(caught) > 0.75 * len(faces.mislabelled)
