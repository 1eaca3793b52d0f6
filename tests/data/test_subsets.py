from collections import Counter

import pytest
import torch

from understudy.data import ImageSet
from understudy.data.subsets import per_class_subset, percent_subset, validation_split


def balanced(per_class: int, num_classes: int = 4) -> ImageSet:
    """Images that carry their own number in two pixels; labels go round the classes."""
    numbers = torch.arange(per_class * num_classes)
    images = torch.stack([numbers // 256, numbers % 256], dim=1).to(torch.uint8)
    return ImageSet(
        images=images.view(-1, 2, 1, 1),
        labels=numbers % num_classes,
        class_names=tuple("abcdefgh"[:num_classes]),
    )


def numbers_in(image_set: ImageSet) -> list[int]:
    return [256 * high + low for high, low in image_set.images.flatten(1).tolist()]


def counts_of(image_set: ImageSet) -> dict[int, int]:
    return dict(sorted(Counter(image_set.labels.tolist()).items()))


@pytest.mark.parametrize(("percent", "kept"), [(0.1, 1), (1, 10), (5, 50), (20, 200), (100, 1000)])
def test_percent_is_exactly_balanced_and_keeps_images_with_their_labels(percent, kept):
    subset = percent_subset(balanced(1000), percent=percent, seed=0)
    assert counts_of(subset) == dict.fromkeys(range(4), kept)
    assert [number % 4 for number in numbers_in(subset)] == subset.labels.tolist()
    assert numbers_in(subset) == sorted(set(numbers_in(subset)))


def test_percent_of_an_uneven_set_keeps_its_proportions(image_set):
    assert counts_of(percent_subset(image_set, percent=50, seed=0)) == {0: 5, 1: 10, 2: 15}
    assert percent_subset(image_set, percent=100, seed=0).fingerprint() == image_set.fingerprint()


def test_smaller_subsets_of_a_seed_lie_inside_larger_ones():
    whole = balanced(200)
    sets = [set(numbers_in(percent_subset(whole, percent=percent, seed=3))) for percent in (1, 5, 20, 60)]
    sets.insert(1, set(numbers_in(per_class_subset(whole, per_class=4, seed=3))))
    for smaller, larger in zip(sets, sets[1:], strict=False):
        assert smaller < larger


def test_another_seed_takes_other_images_and_the_same_seed_the_same():
    whole = balanced(200)
    first, again, other = (percent_subset(whole, percent=5, seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


def test_every_image_has_the_same_chance():
    whole = balanced(20, num_classes=2)
    taken = Counter()
    for seed in range(1000):
        taken.update(numbers_in(per_class_subset(whole, per_class=5, seed=seed)))
    assert len(taken) == 40 and min(taken.values()) > 180 and max(taken.values()) < 320


def test_per_class_takes_that_many_of_each_even_of_an_uneven_set(image_set):
    assert counts_of(per_class_subset(image_set, per_class=10, seed=0)) == {0: 10, 1: 10, 2: 10}


def test_impossible_subsets_are_refused_with_what_is_possible(image_set):
    with pytest.raises(ValueError, match="per_class is 11, but class 'ant' has only 10 images; take 10 or"):
        per_class_subset(image_set, per_class=11, seed=0)
    with pytest.raises(ValueError, match="1 or more, found 0"):
        per_class_subset(image_set, per_class=0, seed=0)
    with pytest.raises(ValueError, match="1 percent leaves no image of class 'ant', which has 10; take 10 "):
        percent_subset(image_set, percent=1, seed=0)
    for percent in (0, -1, 100.5, float("nan")):
        with pytest.raises(ValueError, match="above 0 and at most 100"):
            percent_subset(image_set, percent=percent, seed=0)


def test_validation_is_balanced_and_shares_no_image_with_what_remains():
    whole = balanced(50)
    remaining, validation = validation_split(whole, fraction=0.1, seed=0)
    assert counts_of(validation) == dict.fromkeys(range(4), 5)
    assert counts_of(remaining) == dict.fromkeys(range(4), 45)
    assert sorted(numbers_in(remaining) + numbers_in(validation)) == list(range(200))


def test_a_validation_split_without_images_on_one_side_is_refused(image_set):
    with pytest.raises(ValueError, match="0.01 takes 0 of the 10 images of class 'ant'"):
        validation_split(image_set, fraction=0.01, seed=0)
    with pytest.raises(ValueError, match="0.99 takes 10 of the 10 images"):
        validation_split(image_set, fraction=0.99, seed=0)
    for fraction in (-0.1, 1.0, 10, float("nan")):
        with pytest.raises(ValueError, match="fraction from 0 to below 1"):
            validation_split(image_set, fraction=fraction, seed=0)
