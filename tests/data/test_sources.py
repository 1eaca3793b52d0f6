import pytest
import torch

from understudy.data import load
from understudy.data.names import IN_MEMORY


def test_cifar_comes_from_its_shards_with_the_authors_constants(cifar_folder, pixels):
    cifar10 = load("cifar10", folder=cifar_folder)
    assert cifar10.train.labels.tolist() == list(range(10))
    assert cifar10.test.labels.tolist() == list(range(9, -1, -1))
    assert torch.equal(cifar10.test.images[0].permute(1, 2, 0), torch.from_numpy(pixels[9]))
    assert cifar10.train.class_names[::9] == ("airplane", "truck")
    assert cifar10.mean == (125.3, 123.0, 113.9) and cifar10.std == (63.0, 62.1, 66.7)
    assert (cifar10.augment.pad, cifar10.augment.flip) == (4, True)


def test_the_folder_is_that_of_the_environment_variable_else_data(cifar_folder, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_DATA", str(cifar_folder))
    assert len(load("cifar10").train) == 10
    monkeypatch.delenv("UNDERSTUDY_DATA")
    monkeypatch.chdir(cifar_folder)
    with pytest.raises(ValueError, match=f"not found in {cifar_folder / 'data'}"):
        load("cifar10")
    (cifar_folder / "data").symlink_to(cifar_folder)
    assert len(load("cifar10").train) == 10


def test_a_set_that_is_not_there_says_where_it_looked_and_the_ways_out(tmp_path):
    with pytest.raises(ValueError, match=rf"cifar100 was not found in {tmp_path}.*UNDERSTUDY_DATA.*download"):
        load("cifar100", folder=tmp_path)


def test_a_missing_test_file_and_a_missing_shard_are_never_replaced_by_a_download(cifar_folder):
    (cifar_folder / "cifar10-train-00000-of-00002.parquet").unlink()
    with pytest.raises(ValueError, match="cifar10 train in .*: 1 of 2 shards"):
        load("cifar10", folder=cifar_folder, download=True)
    (cifar_folder / "cifar10-train-00001-of-00002.parquet").unlink()
    with pytest.raises(ValueError, match=r"files to test with, but none named cifar10-train\.parquet"):
        load("cifar10", folder=cifar_folder, download=True)


@pytest.mark.parametrize(
    ("name", "hint"), [("cifar-10", "; did you mean cifar10"), ("digit", "; did you mean digits"), ("xyzzy", "")]
)
def test_an_unknown_name_gets_the_known_and_the_nearest(name, hint):
    with pytest.raises(ValueError) as caught:
        load(name)
    assert str(caught.value).startswith(f"unknown data set {name!r}; known are digits, cifar10, cifar100")
    assert hint in str(caught.value)
    assert ("did you mean" in str(caught.value)) == bool(hint)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"per_class": "5"}, "per_class is a str, '5'; expected a whole number of images"),
        ({"per_class": 2.5}, "per_class is a float, 2.5; expected a whole number"),
        ({"percent": "10"}, "percent is a str, '10'; expected a number"),
        ({"validation": True}, "validation is a bool, True; expected a share from 0 to 1"),
        ({"seed": 0.5}, "seed is a float, 0.5; expected a whole number"),
        ({"classes": "cat"}, "classes is a str, 'cat'; expected a list of names"),
        ({"loading": "memory"}, r"loading is a str, 'memory'; expected Loading\(how=...\)"),
    ],
)
def test_arguments_of_other_kinds_are_told(given, told):
    with pytest.raises(ValueError, match=told):
        load("digits", **given)


def test_every_known_name_has_a_description():
    assert set(IN_MEMORY) == {"digits", "cifar10", "cifar100"} and all(IN_MEMORY.values())


def test_a_part_of_the_train_images_leaves_the_test_images_and_constants_alone():
    whole, part = load("digits"), load("digits", percent=10, seed=1)
    counts = torch.bincount(whole.train.labels)
    assert torch.bincount(part.train.labels).tolist() == [round(count / 10) for count in counts.tolist()]
    assert part.test.fingerprint() == whole.test.fingerprint()
    assert part.mean == whole.mean and part.std == whole.std and part.validation is None
    few = load("digits", per_class=3)
    assert torch.bincount(few.train.labels).tolist() == [3] * 10


def test_validation_is_taken_out_before_the_subset():
    part = load("digits", validation=0.2, per_class=100, seed=1)
    assert part.validation is not None
    held_out = {image.numpy().tobytes() for image in part.validation.images}
    assert not held_out & {image.numpy().tobytes() for image in part.train.images}
    assert len(part.validation) == 287 and len(part.train) == 1000
    with pytest.raises(ValueError, match="has only 11"):
        load("digits", validation=0.2, per_class=138)


def test_percent_and_per_class_together_are_refused():
    with pytest.raises(ValueError, match=r"percent \(5\) and per_class \(10\) are both given"):
        load("digits", percent=5, per_class=10)


@pytest.mark.parametrize(
    ("name", "num_train", "num_test", "num_classes"),
    [("cifar10", 50_000, 10_000, 10), ("cifar100", 20_000, 5_000, 100)],
)
@pytest.mark.slow
def test_the_real_images_have_the_stated_statistics(data_folder, name, num_train, num_test, num_classes):
    cifar = load(name, folder=data_folder(name))
    assert (len(cifar.train), len(cifar.test), cifar.num_classes) == (num_train, num_test, num_classes)
    assert cifar.image_shape == (3, 32, 32)
    assert torch.bincount(cifar.train.labels).unique().tolist() == [num_train // num_classes]
    pixels = cifar.train.images.float()
    # The sample of CIFAR-100 is a subset and compressed again, so its statistics are close, not equal.
    torch.testing.assert_close(pixels.mean(dim=(0, 2, 3)), torch.tensor(cifar.mean), rtol=0, atol=0.4)
    torch.testing.assert_close(pixels.std(dim=(0, 2, 3)), torch.tensor(cifar.std), rtol=0, atol=0.4)
