"""MHGD: the attention and the loss by hand, head drop, what must not change the loss, its bounds and its gradient."""

import math

import pytest
import torch

from understudy.losses.mhgd import GraphHead, drop_heads, mhgd

# In front more positions than channels, at the back fewer.
SHAPES = ((5, 4, 3, 4), (5, 7, 2, 2))


@pytest.fixture
def maps(generator):
    """Student's front and back, teacher's front and back."""
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES * 2]


@pytest.fixture
def guide(generator):
    """A frozen attention network whose batch normalisation has seen something."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        guide = GraphHead(*SHAPES, heads=3).double()
    for name, values in [*guide.named_parameters(), *guide.named_buffers()]:
        if values.dtype.is_floating_point:
            noise = torch.randn(values.shape, generator=generator, dtype=torch.float64)
            values.data += 0.5 * (noise.abs() if "var" in name else noise)
    return guide.requires_grad_(False).eval()


def leading(image, wanted=None):
    """The leading right singular vector of one image; of four the one nearest to `wanted`, if given."""
    _, _, rows = torch.linalg.svd(image.flatten(1).T, full_matrices=False)
    if wanted is None:
        return rows[0] if rows[0].sum() > 0 else -rows[0]
    best = max(rows[:4], key=lambda row: abs(float(row @ wanted)))
    return best if best @ wanted > 0 else -best


def projected(vector, layer):
    """A linear layer and the batch normalisation on running statistics, one output at a time."""
    weight, norm = layer[0].weight, layer[1]
    out = []
    for j in range(len(weight)):
        value = sum(float(w) * float(x) for w, x in zip(weight[j], vector, strict=True))
        scale = float(norm.weight[j]) / math.sqrt(float(norm.running_var[j]) + norm.eps)
        out.append((value - float(norm.running_mean[j])) * scale + float(norm.bias[j]))
    return out


def logits_by_hand(front_vectors, back_vectors, guide):
    """[head][image at the back][image in front]"""
    sent = [projected(vector, guide.theta) for vector in back_vectors]
    received = [projected(vector, guide.phi) for vector in front_vectors]
    width = len(sent[0]) // guide.heads
    return [
        [[sum(a[h * width + d] * b[h * width + d] for d in range(width)) for b in received] for a in sent]
        for h in range(guide.heads)
    ]


def softmax_by_hand(row):
    total = sum(math.exp(value) for value in row)
    return [math.exp(value) / total for value in row]


def by_hand(student_front, student_back, teacher_front, teacher_back, guide):
    teacher = [[leading(image) for image in tap] for tap in (teacher_front, teacher_back)]
    student = [
        [leading(image, vector) for image, vector in zip(tap, vectors, strict=True)]
        for tap, vectors in zip((student_front, student_back), teacher, strict=True)
    ]
    own, wanted = logits_by_hand(*student, guide), logits_by_hand(*teacher, guide)
    total = 0.0
    for h in range(guide.heads):
        for own_row, wanted_row in zip(own[h], wanted[h], strict=True):
            p = softmax_by_hand([math.tanh(value) for value in own_row])
            q = softmax_by_hand([math.tanh(value) for value in wanted_row])
            total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return total / len(student_front)


def estimate_loss_by_hand(front, back, guide):
    front_vectors, back_vectors = [leading(image) for image in front], [leading(image) for image in back]
    logits = logits_by_hand(front_vectors, back_vectors, guide)
    values = [[max(0.0, value) for value in projected(vector, guide.value)] for vector in front_vectors]
    total = 0.0
    for b, wanted in enumerate(back_vectors):
        mixed = []
        for h in range(guide.heads):
            row = softmax_by_hand(logits[h][b])
            mixed += [sum(a * value[d] for a, value in zip(row, values, strict=True)) for d in range(len(values[0]))]
        weight, bias = guide.estimator.weight.tolist(), guide.estimator.bias.tolist()
        guess = [c + sum(w * x for w, x in zip(line, mixed, strict=True)) for line, c in zip(weight, bias, strict=True)]
        norm = math.sqrt(sum(value**2 for value in guess))
        total += 1 - sum(value / norm * float(w) for value, w in zip(guess, wanted, strict=True))
    return total / len(back)


def test_is_the_divergence_of_the_students_graph_from_the_teachers(maps, guide):
    expected = by_hand(*maps, guide)
    assert expected > 0.05
    assert mhgd(*maps, guide=guide).item() == pytest.approx(expected, rel=1e-9)


def test_the_guides_loss_is_one_minus_the_cosine_of_its_estimate(maps, guide):
    assert guide(*maps[2:]).item() == pytest.approx(estimate_loss_by_hand(*maps[2:], guide), rel=1e-9)


def test_has_the_sizes_of_the_authors():
    guide = GraphHead((1, 16, 8, 8), (1, 32, 4, 4))
    sizes = {name: tuple(values.shape) for name, values in guide.named_parameters()}
    assert sizes["theta.0.weight"] == (24 * 8, 32) and sizes["phi.0.weight"] == (24 * 8, 16)
    assert sizes["value.0.weight"] == (24, 16) and sizes["estimator.weight"] == (32, 24 * 8)
    assert sizes["estimator.bias"] == (32,) and not any(name.endswith(".0.bias") for name in sizes)


def test_the_guide_learns_from_the_teacher_alone(maps):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        guide = GraphHead(*SHAPES, heads=2).double()
        teacher = [feature.clone().requires_grad_() for feature in maps[2:]]
        optimizer = torch.optim.SGD(guide.parameters(), lr=0.1, momentum=0.9)
        guide.eval()
        first = guide(*teacher)
        guide.train()
        for _ in range(30):
            optimizer.zero_grad()
            guide(*teacher).backward()
            optimizer.step()
        assert all(parameter.grad is not None for parameter in guide.parameters())
        guide.eval()
        assert guide(*teacher) < 0.5 * first
    assert all(feature.grad is None for feature in teacher)


def test_head_drop_silences_about_half_of_the_heads_of_each_row_and_scales_none(generator):
    attention = torch.rand(8, 200, 3, generator=generator, dtype=torch.float64) + 0.1
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dropped = drop_heads(attention)
    kept = dropped != 0
    assert dropped.equal(torch.where(kept, attention, 0.0))
    assert kept.all(dim=2).equal(kept.any(dim=2))  # a row of a head lives or dies as a whole
    assert kept.any(dim=0).all() and not kept.all(dim=0).any()
    assert kept.double().mean().item() == pytest.approx(0.5, abs=0.05)
    assert not kept[:, 0].equal(kept[:, 1])


def test_a_single_head_is_never_dropped(generator):
    attention = torch.rand(1, 50, 3, generator=generator)
    assert drop_heads(attention).equal(attention)


def test_heads_are_dropped_in_training_only(maps, guide):
    assert guide(*maps[2:]) == guide(*maps[2:])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        guide.train()
        first, second = guide(*maps[2:]), guide(*maps[2:])
        torch.manual_seed(0)
        again = guide(*maps[2:])
    assert first != second and first == again


def test_is_zero_where_both_agree_and_positive_elsewhere(maps, guide):
    assert mhgd(*maps[2:], *maps[2:], guide=guide).item() == pytest.approx(0.0, abs=1e-14)
    assert mhgd(-maps[2], 3 * maps[3], *maps[2:], guide=guide).item() == pytest.approx(0.0, abs=1e-14)
    assert mhgd(*maps, guide=guide) > 0


def test_a_permuted_batch_permutes_the_graph_and_leaves_the_loss(maps, guide, generator):
    order = torch.randperm(5, generator=generator)
    moved = [feature[order] for feature in maps]
    torch.testing.assert_close(mhgd(*moved, guide=guide), mhgd(*maps, guide=guide), rtol=1e-10, atol=0)
    front, back = (feature[:, :, 0, 0] for feature in maps[:2])
    torch.testing.assert_close(
        guide.graph(front[order], back[order]), guide.graph(front, back)[:, order][:, :, order], rtol=1e-10, atol=1e-12
    )


def test_ignores_scale_and_the_order_of_positions(maps, guide):
    moved = [3 * maps[0].flip(2), maps[1].flip(3), 0.1 * maps[2].flip(3), maps[3].flip(2)]
    torch.testing.assert_close(mhgd(*moved, guide=guide), mhgd(*maps, guide=guide), rtol=1e-9, atol=0)


def test_tanh_bounds_the_loss_however_large_the_logits(maps, guide):
    """Each entry of a graph lies in [1 / (1 + (B - 1) e^2), e^2 / (e^2 + B - 1)], which bounds their ratio."""
    guide.theta[1].weight.mul_(1e6)
    largest = math.log(math.exp(2) / (math.exp(2) + 4) * (1 + 4 * math.exp(2)))
    assert 0.1 < mhgd(*maps, guide=guide).item() <= guide.heads * largest


def test_a_batch_of_one_has_nothing_to_relate(maps, guide):
    student = [feature[:1].clone().requires_grad_() for feature in maps[:2]]
    loss = mhgd(*student, maps[2][:1], maps[3][:1], guide=guide)
    loss.backward()
    assert loss == 0 and all(feature.grad.eq(0).all() for feature in student)
    taught = guide.train().requires_grad_()(maps[2][:1], maps[3][:1])
    taught.backward()
    assert taught == 0 and all(p.grad is None or p.grad.eq(0).all() for p in guide.parameters())


def test_the_gradient_reaches_the_student_through_the_frozen_guide_and_nothing_else(maps, guide):
    before = {name: values.clone() for name, values in guide.state_dict().items()}
    maps = [feature.clone().requires_grad_() for feature in maps]
    mhgd(*maps, guide=guide).backward()
    assert maps[0].grad.any() and maps[1].grad.any()
    assert maps[2].grad is None and maps[3].grad is None
    assert all(parameter.grad is None for parameter in guide.parameters())
    assert all(values.equal(before[name]) for name, values in guide.state_dict().items())


@pytest.mark.slow
def test_passes_gradcheck(maps, guide):
    front, back, *teacher = (feature[:2] for feature in maps)
    students = front.clone().requires_grad_(), back.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda front, back: mhgd(front, back, *teacher, guide=guide), students)


def test_dead_channels_and_maps_of_zeros_have_finite_gradients(maps, guide):
    for feature in maps:
        feature[:, 1:3] = 0.0
        feature[0] = 0.0
    students = [feature.clone().requires_grad_() for feature in maps[:2]]
    loss = mhgd(*students, *maps[2:], guide=guide)
    loss.backward()
    assert loss.isfinite() and all(feature.grad.isfinite().all() for feature in students)
    assert guide(*maps[2:]).isfinite()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_computes_low_precision_in_float32(maps, guide, dtype):
    low = [feature.to(dtype) for feature in maps]
    exact = mhgd(*(feature.double() for feature in low), guide=guide).item()
    exact_estimate = guide(*(feature.double() for feature in low[2:])).item()
    with torch.autocast("cpu", torch.bfloat16):
        loss, estimate = mhgd(*low, guide=guide.float()), guide.float()(*low[2:])
    assert loss.dtype == estimate.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=1e-4)
    assert estimate.item() == pytest.approx(exact_estimate, rel=1e-4)


def test_unequal_widths_are_an_error_that_proposes_a_connector(maps, guide):
    with pytest.raises(ValueError, match="1x1 connector"):
        mhgd(maps[0][:, :2], *maps[1:], guide=guide)


@pytest.mark.slow
def test_compiles_to_the_same_value_and_gradient(maps, guide):
    gradients = []
    for loss in (mhgd, torch.compile(mhgd, fullgraph=True, backend="eager")):
        front = maps[0].clone().requires_grad_()
        value = loss(front, *maps[1:], guide=guide)
        value.backward()
        gradients.append((value.detach(), front.grad))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-12, atol=1e-15)
