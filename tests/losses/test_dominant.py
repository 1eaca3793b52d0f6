"""One eigenvector of each matrix: by products where that is certain, else from all, and both ways agree."""

import numpy as np
import pytest
import torch

from understudy.losses import dominant
from understudy.losses.dominant import nearest_eigenvector, solve_beside
from understudy.losses.singular import leading_vectors, matched_vectors


def gram_of(values, generator):
    """A matrix with these eigenvalues and random eigenvectors, which are the columns beside it."""
    basis, _ = torch.linalg.qr(torch.randn(len(values), len(values), generator=generator, dtype=torch.float64))
    return (basis * torch.tensor(values)) @ basis.T, basis


# The first stands out, two are near each other, all are equal to rounding, the last are zero.
SPECTRA = {"one": [9.0, 1.0, 0.5, 0.1], "two": [9.0, 8.9, 0.5, 0.1], "rank 1": [4.0, 0.0, 0.0, 0.0]}


@pytest.mark.parametrize("values", SPECTRA.values(), ids=SPECTRA)
def test_it_is_the_first_eigenvector_whichever_way_it_is_found(values, generator):
    gram, basis = gram_of(values, generator)
    vector, value = nearest_eigenvector(gram[None], torch.zeros(1, 4, dtype=torch.float64), False, 1)
    assert abs(float(vector[0] @ basis[:, 0])) == pytest.approx(1.0, abs=1e-12)
    assert float(value) == pytest.approx(values[0], rel=1e-12)


@pytest.mark.parametrize("chosen", [0, 1])
@pytest.mark.parametrize("is_image", [False, True])
def test_of_two_candidates_it_is_the_one_that_is_nearest(chosen, is_image, generator):
    gram, basis = gram_of(SPECTRA["one"], generator)
    # As the image of a unit vector the same direction is as long as the root of its eigenvalue.
    lengths = torch.tensor(SPECTRA["one"]).sqrt() if is_image else torch.ones(4)
    towards = torch.tensor([0.9, 0.4] if chosen == 0 else [0.4, 0.9])
    wanted = basis[:, :2] @ (lengths[:2] * towards).double()
    vector, value = nearest_eigenvector(gram[None], wanted[None], is_image, 2)
    assert abs(float(vector[0] @ basis[:, chosen])) == pytest.approx(1.0, abs=1e-12)
    assert float(value) == pytest.approx(SPECTRA["one"][chosen], rel=1e-12)


@pytest.mark.parametrize("column", [0, 1])
def test_the_solution_beside_an_eigenvector_is_the_pseudo_inverse(column, generator):
    gram, basis = gram_of(SPECTRA["one"], generator)
    right = torch.randn(1, 4, generator=generator, dtype=torch.float64)
    value = SPECTRA["one"][column]
    by_hand = torch.from_numpy(np.linalg.pinv((value * torch.eye(4) - gram).numpy(), rcond=1e-10)) @ right[0]
    z = solve_beside(gram[None], basis[None, :, column], torch.tensor([value], dtype=torch.float64), right)
    torch.testing.assert_close(z[0], by_hand, rtol=1e-10, atol=1e-12)


def test_maps_of_one_sign_are_not_decomposed(generator, monkeypatch):
    maps = torch.rand(3, 5, 4, 4, generator=generator, dtype=torch.float64)
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: pytest.fail("decomposed"))
    teacher = (maps + 0.1 * torch.rand(maps.shape, generator=generator, dtype=torch.float64)).clone()
    student, _, _ = matched_vectors(maps.requires_grad_(), teacher, 1, 2)
    student.sum().backward()
    assert maps.grad.any()


def test_both_ways_give_the_same_vectors_and_gradients(generator, monkeypatch):
    maps = torch.rand(3, 5, 4, 2, generator=generator, dtype=torch.float64)
    weight = torch.randn(3, 5, 1, generator=generator, dtype=torch.float64)
    found = []
    for ratio in (dominant.LARGEST_RATIO, 0.0):
        monkeypatch.setattr(dominant, "LARGEST_RATIO", ratio)
        own = maps.clone().requires_grad_()
        vectors, values = leading_vectors(own, 1)
        ((vectors * weight).sum() + values.sum()).backward()
        found.append((vectors.detach(), values.detach(), own.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-12)


def test_each_image_of_a_batch_takes_its_own_way(generator):
    positive = torch.rand(1, 4, 3, 3, generator=generator, dtype=torch.float64)
    signed = torch.randn(1, 4, 3, 3, generator=generator, dtype=torch.float64)
    maps = torch.cat([signed, positive, torch.zeros_like(positive)])
    together = maps.clone().requires_grad_()
    vectors, values = leading_vectors(together, 1)
    vectors.square().mul(torch.arange(4.0)[:, None]).sum().backward()
    for index in range(3):
        alone = maps[index : index + 1].clone().requires_grad_()
        own_vectors, own_values = leading_vectors(alone, 1)
        own_vectors.square().mul(torch.arange(4.0)[:, None]).sum().backward()
        torch.testing.assert_close(own_vectors[0], vectors[index], rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(own_values[0], values[index], rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(alone.grad[0], together.grad[index], rtol=1e-9, atol=1e-11)


def test_a_compiler_sees_two_operations(generator):
    gram, _ = gram_of(SPECTRA["one"], generator)
    wanted = torch.ones(1, 4, dtype=torch.float64)
    torch.library.opcheck(nearest_eigenvector, (gram[None], wanted, False, 2))
    vector, value = nearest_eigenvector(gram[None], wanted, False, 1)
    torch.library.opcheck(solve_beside, (gram[None], vector, value, wanted))
