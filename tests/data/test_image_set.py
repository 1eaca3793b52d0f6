from dataclasses import replace

import pytest
import torch

from understudy.data import Augment, Dataset, ImageSet


def dataset(image_set: ImageSet, **changes) -> Dataset:
    settings = {
        "name": "made",
        "train": image_set,
        "test": image_set.subset([0, 1]),
        "mean": (1.0, 2.0, 3.0),
        "std": (1.0, 1.0, 1.0),
        "augment": Augment(pad=0, flip=False),
    }
    return Dataset(**(settings | changes))


def test_a_subset_has_the_images_in_the_order_asked_for(image_set):
    subset = image_set.subset([5, 2, 2])
    assert len(subset) == 3
    assert torch.equal(subset.images[0], image_set.images[5])
    assert torch.equal(subset.images[2], image_set.images[2])
    assert subset.labels.tolist() == [image_set.labels[5], image_set.labels[2], image_set.labels[2]]


def test_fingerprint_sees_one_pixel_one_label_a_class_name_and_the_shape(image_set):
    pixel = image_set.images.clone()
    pixel[-1, -1, -1, -1] ^= 1
    label = image_set.labels.clone()
    label[-1] = (label[-1] + 1) % 3
    others = [
        replace(image_set, images=pixel),
        replace(image_set, labels=label),
        replace(image_set, class_names=("ant", "bee", "dog")),
        replace(image_set, images=image_set.images.reshape(60, 3, 7, 9)),
        image_set.subset(range(59)),
    ]
    prints = {made.fingerprint() for made in [image_set, *others]}
    assert len(prints) == 6 and all(len(made) == 64 for made in prints)


def test_fingerprint_does_not_depend_on_how_memory_is_laid_out(image_set):
    turned = image_set.images.contiguous(memory_format=torch.channels_last)
    copied = ImageSet(images=turned, labels=image_set.labels.clone(), class_names=image_set.class_names)
    assert copied.fingerprint() == image_set.fingerprint()


def test_images_must_be_uint8_and_labels_one_for_each_within_the_classes(image_set):
    with pytest.raises(ValueError, match=r"uint8.*found torch.float32"):
        replace(image_set, images=image_set.images.float())
    with pytest.raises(ValueError, match=r"\(60,\).*found torch.int64 of shape \(59,\)"):
        replace(image_set, labels=image_set.labels[1:])
    with pytest.raises(ValueError, match=r"30 of 60 labels are outside 0\.\.1; the first is 2"):
        replace(image_set, class_names=("ant", "bee"))


def test_what_is_no_tensor_or_tuple_is_told(image_set):
    with pytest.raises(ValueError, match=r"images is a ndarray; expected a tensor: torch.as_tensor\(images\)"):
        replace(image_set, images=image_set.images.numpy())
    with pytest.raises(ValueError, match=r"labels is a list; expected a tensor: torch.as_tensor\(labels\)"):
        replace(image_set, labels=image_set.labels.tolist())
    for names in ("abc", 3):
        with pytest.raises(ValueError, match=r"class_names is (a str|an int); expected a tuple of names"):
            replace(image_set, class_names=names)


def test_dataset_knows_its_shape_and_number_of_classes(image_set):
    made = dataset(image_set)
    assert made.image_shape == (3, 9, 7) and made.num_classes == 3


def test_dataset_fingerprint_sees_every_part_and_the_normalisation(image_set):
    made = dataset(image_set)
    others = [
        replace(made, train=image_set.subset([0])),
        replace(made, test=image_set.subset([2, 3])),
        replace(made, validation=image_set.subset([4])),
        replace(made, mean=(1.0, 2.0, 3.5)),
    ]
    assert len({one.fingerprint() for one in [made, *others]}) == 5
    assert replace(made, name="renamed").fingerprint() == made.fingerprint()


def test_parts_of_a_dataset_must_agree(image_set):
    with pytest.raises(ValueError, match="test has the classes ant, bee, dog"):
        dataset(image_set, test=replace(image_set, class_names=("ant", "bee", "dog")))
    with pytest.raises(ValueError, match=r"validation has images of \(3, 7, 9\)"):
        dataset(image_set, validation=replace(image_set, images=image_set.images.reshape(60, 3, 7, 9)))
    with pytest.raises(ValueError, match="each of the 3 channels, found 1 and 3"):
        dataset(image_set, mean=(1.0,))


@pytest.mark.parametrize("part", ["train", "test", "validation"])
def test_a_part_without_images_is_told_before_anything_is_trained(image_set, part):
    with pytest.raises(ValueError, match=f"made: {part} has no images"):
        dataset(image_set, **{part: image_set.subset([])})
