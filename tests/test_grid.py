"""Grids: which shapes are pictures of the images, tokens and channels-last as maps, and maps of one size."""

import pytest
import torch

from understudy.taps import as_map, grid, to_size


@pytest.mark.parametrize(
    ("shape", "image_size", "expected"),
    [
        ((2, 7, 8, 8), (32, 32), (8, 8)),
        ((2, 7, 12, 8), (24, 16), (12, 8)),
        ((2, 7, 1, 1), (32, 32), (1, 1)),
        # Strides that do not divide: 25 x 17 at stride 4, rounded up.
        ((2, 7, 7, 5), (25, 17), (7, 5)),
    ],
)
def test_a_map_has_the_proportions_of_the_image_up_to_rounding(shape, image_size, expected):
    assert grid(shape, image_size) == expected


@pytest.mark.parametrize(
    ("shape", "image_size"),
    [
        ((2, 8, 4, 6), (8, 8)),
        ((2, 3, 12), (24, 16)),
        ((2, 7, 8, 12), (24, 16)),
        ((2, 7), (8, 8)),
        ((2, 7, 8, 8, 8), (8, 8)),
        # Queries of 17 tokens with 16 numbers each, in two heads: of a square image maps are square.
        ((2, 2, 17, 16), (32, 32)),
    ],
)
def test_vectors_and_other_proportions_are_no_maps(shape, image_size):
    assert grid(shape, image_size) is None


@pytest.mark.parametrize("num_prefix_tokens", [0, 1, 2, 5, 8])
@pytest.mark.parametrize(("image_size", "size"), [((32, 32), (4, 4)), ((48, 16), (6, 2)), ((16, 48), (2, 6))])
def test_tokens_are_a_grid_in_the_images_proportions_after_those_in_front(num_prefix_tokens, image_size, size):
    num_tokens = size[0] * size[1] + num_prefix_tokens
    assert grid((2, num_tokens, 3), image_size) == size


@pytest.mark.parametrize("num_tokens", [1, 2, 3])
def test_fewer_than_four_tokens_are_no_grid(num_tokens):
    assert grid((2, num_tokens, 3), (32, 32)) is None


def test_tokens_that_fill_no_grid_are_no_map():
    # Between 36 = 6x6 with eight in front and 49 = 7x7.
    for num_tokens in range(45, 49):
        assert grid((2, num_tokens, 3), (32, 32)) is None
    # No grid twice as high as wide has 64 patches, or up to eight fewer.
    assert grid((2, 64, 3), (64, 32)) is None


def test_tokens_become_a_map_row_by_row_without_those_in_front(generator):
    tokens = torch.randn(2, 2 + 3 * 2, 5, generator=generator)
    made = as_map(tokens, (24, 16))
    assert made.shape == (2, 5, 3, 2)
    for image in range(2):
        for channel in range(5):
            for row in range(3):
                for column in range(2):
                    assert made[image, channel, row, column] == tokens[image, 2 + 2 * row + column, channel]


def test_channels_last_become_a_map(generator):
    feature = torch.randn(2, 6, 4, 5, generator=generator)
    assert grid(feature.shape, (24, 16)) == (6, 4)
    made = as_map(feature, (24, 16))
    assert made.shape == (2, 5, 6, 4)
    for row in range(6):
        for column in range(4):
            assert torch.equal(made[:, :, row, column], feature[:, row, column])


@pytest.mark.parametrize(
    ("shape", "image_size", "size"),
    [((2, 8, 8, 8), (32, 32), (8, 8)), ((2, 8, 4, 2), (64, 32), (4, 2)), ((2, 1, 1, 1), (32, 32), (1, 1))],
)
def test_where_either_order_would_do_the_channels_stand_first(shape, image_size, size):
    feature = torch.zeros(shape)
    assert grid(shape, image_size) == size and as_map(feature, image_size) is feature


@pytest.mark.parametrize("shape", [(2, 7), (2, 46, 3), (2, 8, 4, 6)])
def test_what_is_no_map_stays_as_it_is(shape):
    feature = torch.zeros(shape)
    assert as_map(feature, (32, 32)) is feature


def test_gradients_reach_the_patches_and_not_the_tokens_in_front():
    tokens = torch.ones(1, 17, 2, requires_grad=True)
    as_map(tokens, (32, 32)).sum().backward()
    assert tokens.grad[:, 0].eq(0).all() and tokens.grad[:, 1:].eq(1).all()


@pytest.mark.parametrize(("size", "smaller"), [((4, 6), (2, 3)), ((6, 4), (4, 3)), ((5, 5), (3, 2)), ((3, 3), (1, 1))])
def test_a_map_is_averaged_down_over_the_cells_that_each_new_one_touches(size, smaller, generator):
    feature = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    made = to_size(feature, smaller)
    assert made.shape == (2, 3, *smaller)
    for row in range(smaller[0]):
        for column in range(smaller[1]):
            rows = [
                r
                for r in range(size[0])
                if r * smaller[0] < (row + 1) * size[0] and (r + 1) * smaller[0] > row * size[0]
            ]
            columns = [
                c
                for c in range(size[1])
                if c * smaller[1] < (column + 1) * size[1] and (c + 1) * smaller[1] > column * size[1]
            ]
            cells = [feature[:, :, r, c] for r in rows for c in columns]
            torch.testing.assert_close(made[:, :, row, column], sum(cells) / len(cells))


def test_one_axis_may_keep_its_size(generator):
    feature = torch.randn(2, 3, 4, 6, generator=generator)
    torch.testing.assert_close(to_size(feature, (4, 3)), (feature[..., ::2] + feature[..., 1::2]) / 2)


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (2, 7), (2, 17, 3)])
def test_a_map_of_that_size_and_what_is_no_map_stay_as_they_are(shape):
    feature = torch.zeros(shape)
    assert to_size(feature, (4, 6)) is feature
