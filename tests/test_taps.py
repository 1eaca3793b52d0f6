"""Taps: the tensors of a hand-edited copy of the same network, exactly, from one forward of the unedited one."""

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from functorch.compile import make_boxed_func  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd

from understudy.taps import Position, Tapped, named_positions, pairs, positions

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Block(nn.Module):
    """Torchvision's pattern: one in-place ReLU module used twice, a residual sum written in place."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv(x)))
        out = self.bn2(self.conv(out))
        out += x
        return self.relu(out)


class Traps(nn.Module):
    """Every way to hide what enters an activation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.block = Block(6)
        self.conv = nn.Conv2d(6, 6, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 5)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.stem(x))
        out = F.relu(self.bn(self.conv(x)))
        out = F.relu(out - 0.5 + F.avg_pool2d(x, 2).neg())
        out = torch.relu(0.5 - out)
        out = (out - 0.2).relu()
        out = (out - 0.1).relu_()
        out = F.relu(out - 0.05, inplace=True)
        out = F.gelu(out - 0.1)
        return self.head(out.mean((2, 3)))


def edited_forward(net: Traps, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The forward of `Traps` by hand, with no function in place: what the taps should read."""
    kept = {}
    kept["stem.1"] = net.stem[1](net.stem[0](x))
    x = kept["stem.2"] = kept["stem.1"].relu()
    block = net.block
    kept["block.bn1"] = kept["before:block.relu#1"] = block.bn1(block.conv(x))
    out = kept["after:block.relu#1"] = kept["block.bn1"].relu()
    kept["block.bn2"] = block.bn2(block.conv(out))
    kept["before:block.relu#2"] = kept["block.bn2"] + x
    x = kept["block"] = kept["block.relu#2"] = kept["before:block.relu#2"].relu()
    kept["bn"] = kept["before:relu()#1"] = net.bn(net.conv(x))
    out = kept["relu()#1"] = kept["bn"].relu()
    kept["before:relu()#2"] = out - 0.5 + F.avg_pool2d(x, 2).neg()
    out = kept["relu()#2"] = kept["before:relu()#2"].relu()
    kept["before:relu()#3"] = 0.5 - out
    out = kept["relu()#3"] = kept["before:relu()#3"].relu()
    kept["before:relu()#4"] = out - 0.2
    out = kept["relu()#4"] = kept["before:relu()#4"].relu()
    kept["before:relu()#5"] = out - 0.1
    out = kept["relu()#5"] = kept["before:relu()#5"].relu()
    kept["before:relu()#6"] = out - 0.05
    out = kept["after:relu()#6"] = kept["before:relu()#6"].relu()
    kept["before:gelu()"] = out - 0.1
    out = kept["gelu()"] = F.gelu(kept["before:gelu()"])
    return net.head(out.mean((2, 3))), kept


NAMES = tuple(edited_forward(Traps(), IMAGES)[1])
MODULE_NAMES = tuple(name for name in NAMES if "()" not in name)


def traps() -> Traps:
    torch.manual_seed(0)
    return Traps()


def gradients(net: nn.Module, output: Tensor, features: dict[str, Tensor]) -> list[Tensor | None]:
    """Gradients of something that depends on every value of the output and of each feature differently."""
    loss = output.square().sum()
    for weight, name in enumerate(sorted(features), start=1):
        loss = loss + weight * features[name].sub(0.1).square().sum()
    return list(torch.autograd.grad(loss, list(net.parameters())))


@pytest.mark.parametrize("training", [True, False])
def test_every_trap_reads_what_a_hand_edited_copy_returns(training):
    net, edited = traps().train(training), traps().train(training)
    tapped = Tapped(net, NAMES, IMAGES)
    output, features = tapped(IMAGES)
    expected_output, expected = edited_forward(edited, IMAGES)
    assert list(features) == list(NAMES) == list(tapped.shapes)
    torch.testing.assert_close(output, expected_output, rtol=0, atol=0)
    for name in NAMES:
        assert torch.equal(features[name], expected[name]), name
        assert tapped.shapes[name] == tuple(expected[name].shape)
    for found, wanted in zip(
        gradients(net, output, features), gradients(edited, expected_output, expected), strict=True
    ):
        torch.testing.assert_close(found, wanted)


def test_before_an_activation_there_are_negatives_and_after_a_relu_none():
    net = traps()
    listed = [p for p in positions(net, IMAGES) if p.activation]
    assert {p.activation for p in listed} == {"before ReLU", "after ReLU", "before GELU", "after GELU"}
    _, features = Tapped(net, [p.name for p in listed], IMAGES)(IMAGES)
    for position in listed:
        has_negatives = bool(features[position.name].min() < 0)
        assert has_negatives == (position.activation != "after ReLU"), position


def test_batch_norm_statistics_move_once():
    net, plain = traps(), traps()
    Tapped(net, NAMES, IMAGES).train()(IMAGES)
    plain.train()(IMAGES)
    assert net.bn.num_batches_tracked == 1
    for (name, found), wanted in zip(net.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.equal(found, wanted), name


def test_resnet18_nobody_edited_equals_one_without_in_place_relu():
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    net = torchvision.models.resnet18(weights=None)
    oracle = copy.deepcopy(net)
    # The oracle: no ReLU in place, and its block's sum read by an ordinary hook on the module.
    kept = {}
    for module in oracle.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    oracle.bn1.register_forward_hook(lambda m, args, out: kept.update({"bn1": out}))
    sums = []
    oracle.get_submodule("layer4.1.relu").register_forward_pre_hook(lambda m, args: sums.append(args[0]))
    expected = oracle(images)
    tapped = Tapped(net, ("bn1", "before:layer4.1.relu#2", "layer4.1.relu#2", "layer4"), images)
    output, features = tapped(images)
    assert torch.equal(output, expected)
    assert torch.equal(features["bn1"], kept["bn1"])
    assert torch.equal(features["before:layer4.1.relu#2"], sums[1])
    assert torch.equal(features["layer4"], sums[1].relu())
    assert net.state_dict()["layer4.1.bn2.num_batches_tracked"] == 1


def test_the_dry_run_leaves_no_trace():
    net = traps().train()
    net.block.bn1.eval()
    flags = [module.training for module in net.modules()]
    state = copy.deepcopy(net.state_dict())
    random_state = torch.get_rng_state()
    positions(net, IMAGES)
    assert [module.training for module in net.modules()] == flags
    assert all(torch.equal(state[name], value) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_the_dry_run_leaves_the_random_state_of_a_network_that_is_always_random():
    class Random(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x).relu()

    random_state = torch.get_rng_state()
    positions(Random(), IMAGES)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_the_dry_run_restores_flags_and_hooks_after_a_failure():
    net = traps().train()
    with pytest.raises(RuntimeError, match="channels"):
        positions(net, torch.randn(2, 5, 8, 8, dtype=torch.float64))
    assert all(module.training for module in net.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_positions_say_kind_shape_parameters_and_activation():
    found = {p.name: p for p in positions(traps(), IMAGES)}
    assert found["stem.1"] == Position(
        name="stem.1",
        kind="BatchNorm2d",
        shape=(4, 6, 8, 8),
        image_size=(8, 8),
        parameters=12,
        activation="before ReLU",
        overwritten=True,
        is_leaf=True,
    )
    assert found["block"].kind == "Block" and not found["block"].is_leaf
    assert found["block"].parameters == 6 * 6 * 9 + 6 + 24
    assert found["block"].activation == "after ReLU" and not found["block"].overwritten
    # bn2's output is changed by the sum before the ReLU sees it.
    assert found["block.bn2"].activation == "" and found["block.bn2"].overwritten
    assert found["bn"].activation == "before ReLU" and not found["bn"].overwritten
    assert found["before:relu()#1"].kind == "relu" and found["before:relu()#1"].parameters == 0
    assert found["before:gelu()"].activation == "before GELU"
    assert [p for p in found if p.startswith("before:block")] == ["before:block.relu#1", "before:block.relu#2"]
    # nn.ReLU calls F.relu: one activation, not two.
    assert not any("relu.relu()" in name or "stem.2.relu()" in name for name in found)


def test_frozen_parameters_are_not_counted():
    net = traps()
    net.block.conv.requires_grad_(False)
    assert {p.name: p.parameters for p in positions(net, IMAGES)}["block"] == 24


class Functional(nn.Module):
    """Activations as functions, in a module of their own and around it."""

    def __init__(self):
        super().__init__()
        self.inner = Inner()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.inner(x=F.relu(x)))
        return F.relu(input=self.linear(x))


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.hardswish(F.relu(x - 0.5))


def test_a_function_belongs_to_the_innermost_running_module():
    names = [p.name for p in positions(Functional(), torch.randn(3, 6))]
    assert names == [
        "before:relu()#1", "relu()#1",
        "before:inner.relu()", "inner.relu()", "before:inner.hardswish()", "inner.hardswish()", "inner",
        "before:silu()", "silu()", "linear", "before:relu()#2", "relu()#2",
    ]  # fmt: skip


def test_what_enters_a_module_by_keyword_is_read_too():
    x = torch.randn(3, 6)
    _, features = Tapped(Functional(), ["before:inner"], x)(x)
    assert torch.equal(features["before:inner"], x.relu())


def test_the_network_alone_is_as_it_was_and_its_copies_carry_nothing():
    net, plain = traps().eval(), traps().eval()
    tapped = Tapped(net, NAMES, IMAGES)
    assert torch.equal(net(IMAGES), plain(IMAGES))
    assert list(net.state_dict()) == list(plain.state_dict())
    assert {id(p) for p in tapped.parameters()} == {id(p) for p in net.parameters()}
    assert all(name.startswith("network.") for name in tapped.state_dict())
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        hooks = [
            hook
            for module in other.modules()
            for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
        ]
        assert not any(hasattr(hook, "watch") for hook in hooks)
        assert torch.equal(other(IMAGES), plain(IMAGES))
        assert torch.equal(Tapped(other, ["bn"], IMAGES)(IMAGES)[1]["bn"], tapped(IMAGES)[1]["bn"])
    tapped.remove()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    with pytest.raises(RuntimeError, match="not reached.*remove"):
        tapped(IMAGES)


def test_the_network_alone_leaves_nothing_behind():
    net = traps()
    tapped = Tapped(net, ["bn"], IMAGES)
    kept = []
    net.bn.register_forward_hook(lambda m, args, out: kept.append(weakref.ref(out)))
    for network in (tapped, net):
        with pytest.raises(RuntimeError, match="channels"):
            tapped(IMAGES[:, :2])
        network(IMAGES)
        gc.collect()
        assert kept[-1]() is None


def test_two_wrappers_of_one_network_do_not_disturb_each_other():
    net = traps().eval()
    first, second = Tapped(net, ["bn"], IMAGES), Tapped(net, ["before:relu()#2"], IMAGES)
    assert list(first(IMAGES)[1]) == ["bn"]
    assert list(second(IMAGES)[1]) == ["before:relu()#2"]


def test_only_what_is_overwritten_is_copied():
    net = traps().eval()
    seen = []
    net.bn.register_forward_hook(lambda m, args, out: seen.append(out))
    net.stem[1].register_forward_hook(lambda m, args, out: seen.append(out))
    _, features = Tapped(net, ["bn", "stem.1"], IMAGES)(IMAGES)
    stem, bn = seen[-2:]
    assert features["bn"] is bn and features["stem.1"] is not stem


def test_the_wrapper_works_in_inference_mode_and_after_a_failed_forward():
    tapped = Tapped(traps().eval(), NAMES, IMAGES)
    _, expected = tapped(IMAGES)
    with pytest.raises(RuntimeError, match="channels"):
        tapped(torch.randn(2, 5, 8, 8, dtype=torch.float64))
    with torch.inference_mode():
        _, features = tapped(IMAGES.clone())
        Tapped(traps(), NAMES, IMAGES.clone())
    assert all(torch.equal(features[name], expected[name]) for name in NAMES)


class Moody(nn.Module):
    """Behaves otherwise in training: in place, by detours, with an extra call first."""

    def __init__(self, mood: str):
        super().__init__()
        self.bn = nn.BatchNorm2d(3)
        self.extra = nn.Identity()
        self.mood = mood
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        mood = self.mood if self.training else "calm"
        if mood == "extra call":
            x = self.extra(x.relu())
        out = self.bn(x)
        if mood == "skips":
            return out
        out = F.relu(out, inplace=mood == "in place")
        return self.extra(out)


def test_a_tensor_overwritten_only_in_training_is_an_explained_error():
    tapped = Tapped(Moody("in place"), ["bn"], IMAGES).train()
    with pytest.raises(RuntimeError, match="'bn' was overwritten in place.*inplace=False.*copied="):
        tapped(IMAGES)
    assert Tapped(Moody("in place"), ["bn"], IMAGES, copied=["bn"]).train()(IMAGES)[1]["bn"].min() < 0
    with pytest.raises(ValueError, match="copied"):
        Tapped(Moody("in place"), ["bn"], IMAGES, copied=["bm"])


def test_a_position_not_reached_is_an_explained_error():
    for name in ("extra", "before:relu()"):
        tapped = Tapped(Moody("skips"), [name], IMAGES)
        tapped.eval()(IMAGES)
        with pytest.raises(RuntimeError, match=f"{name}.*not reached".replace("()", r"\(\)")):
            tapped.train()(IMAGES)


def test_another_number_of_calls_than_in_the_dry_run_is_an_explained_error():
    tapped = Tapped(Moody("extra call"), ["before:relu()"], IMAGES).train()
    with pytest.raises(RuntimeError, match="uncertain.*called 2 times.*1 times in the dry run"):
        tapped(IMAGES)


class Sneaky(nn.Module):
    """Writes around autograd's version counter."""

    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(3).double()

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn(x)
        out.data.clamp_(min=0)
        return out.sum((2, 3))


def test_a_tensor_changed_through_data_is_copied():
    tapped = Tapped(Sneaky(), ["bn"], IMAGES)
    output, features = tapped(IMAGES)
    assert features["bn"].min() < 0 and output.min() >= 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blok.bn1", "no position 'blok.bn1'; near it: block.bn1"),
        ("before:block.rleu#2", "near it: before:block.relu#2"),
        ("block.relu", "called 2 times.*say which: block.relu#1, block.relu#2"),
        ("before:block.relu", "say which: before:block.relu#1, before:block.relu#2"),
        ("block.relu#3", "called 2 times"),
        ("block.relu#0", "called 2 times"),
        ("bn#one", "comes the number of the call"),
        ("relu()", r"called 6 times.*relu\(\)#6"),
        ("gleu()", r"near it:.*gelu\(\)"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(name, message):
    with pytest.raises(ValueError, match=message):
        Tapped(traps(), [name], IMAGES)


def test_a_module_that_never_runs_is_named_as_such():
    net = traps()
    net.spare = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="'spare' exists but did not run"):
        Tapped(net, ["spare"], IMAGES)


def test_a_module_under_two_names_answers_to_both():
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    net.add_module("again", net[1])
    assert [p.name for p in positions(net, torch.randn(2, 3))][-2:] == ["before:1#2", "1#2"]
    features = Tapped(net, ["before:again#1"], torch.randn(2, 3))(torch.randn(2, 3))[1]
    assert features["before:again#1"].min() < 0


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("names", [MODULE_NAMES, NAMES], ids=["modules", "functions too"])
def test_compiled_in_one_graph_equals_eager(names, training):
    torch.compiler.reset()
    eager = Tapped(traps(), names, IMAGES).train(training)
    tapped = Tapped(traps(), names, IMAGES).train(training)
    compiled = torch.compile(tapped, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        expected_output, expected = eager(IMAGES)
        output, features = compiled(IMAGES)
        assert torch.equal(output, expected_output)
        assert list(features) == list(names)
        for name in names:
            assert torch.equal(features[name], expected[name]), name
    for found, wanted in zip(
        gradients(tapped, output, features), gradients(eager, expected_output, expected), strict=True
    ):
        torch.testing.assert_close(found, wanted)
    for found, wanted in zip(tapped.buffers(), eager.buffers(), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.slow
def test_compiled_a_tensor_overwritten_only_in_training_is_read_before():
    torch.compiler.reset()
    tapped = Tapped(Moody("in place"), ["bn"], IMAGES).train()
    _, features = torch.compile(tapped, fullgraph=True, backend="aot_eager")(IMAGES)
    assert features["bn"].min() < 0


class Hidden(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(torch.relu_(x - 0.5) - 0.5)


def test_a_call_that_the_compiler_hides_is_an_error_and_not_a_wrong_number():
    torch.compiler.reset()
    tapped = Tapped(Hidden(), ["before:relu()#1"], IMAGES)
    assert torch.equal(tapped(IMAGES)[1]["before:relu()#1"], IMAGES - 0.5)
    # Older torches pass the error on without its words.
    is_old = not hasattr(torch._dynamo.config, "trace_autograd_ops")
    words = "torch.compile hides|Observed exception" if is_old else "torch.compile hides"
    for fullgraph in (True, False):
        compiled = torch.compile(tapped, fullgraph=fullgraph, backend="aot_eager")
        with pytest.raises(Exception, match=words) as caught:
            compiled(IMAGES)
        assert isinstance(caught.value, RuntimeError)


def test_a_network_compiled_before_it_is_tapped_is_refused():
    net, inner = traps(), traps()
    inner.block.compile(backend="aot_eager")
    networks: list[Any] = [torch.compile(net, backend="aot_eager"), inner]
    for compiled in networks:
        with pytest.raises(ValueError, match="already compiled.*tap the plain network first"):
            Tapped(compiled, ["bn"], IMAGES)
        with pytest.raises(ValueError, match="already compiled"):
            positions(compiled, IMAGES)


# Stopping --------------------------------------------------------------------------------------------------------


def modules_run(net: nn.Module) -> list[str]:
    """A list that names each module as it begins to run."""
    run: list[str] = []
    for name, module in net.named_modules():
        module.register_forward_pre_hook(lambda m, args, name=name: run.append(name))
    return run


@pytest.mark.parametrize("stops", [True, False])
def test_where_the_output_is_not_needed_nothing_runs_after_the_last_position(stops):
    net = traps().eval()
    _, expected = Tapped(net, NAMES, IMAGES)(IMAGES)
    for names, last in (
        (["stem.1"], "stem.1"),
        (["block.bn2", "stem.0"], "block.bn2"),
        (["before:conv"], "block.relu"),
    ):
        tapped = Tapped(net, names, IMAGES, stops=stops)
        run = modules_run(net)
        output, features = tapped(IMAGES)
        assert (output is None) == stops and (run[-1] == last) == stops and (run[-1] == "head") != stops
        assert all(torch.equal(features[name], expected.get(name, features[name])) for name in names)
        assert list(features) == names


def test_it_stops_no_earlier_than_what_was_read_has_been_called_as_often_as_it_is():
    net = traps().eval()
    tapped = Tapped(net, ["block.relu#1", "after:block.relu#1"], IMAGES, stops=True)
    run = modules_run(net)
    for _ in range(2):
        features = tapped(IMAGES)[1]
        assert torch.equal(features["block.relu#1"], features["after:block.relu#1"]) and run[-1] == "block.bn2"
    # Once in each forward: the second call is where it ends.
    assert run.count("block.relu") == 2


def test_stopping_at_a_function_ends_the_watch_of_functions():
    net = traps().eval()
    for name, expected in edited_forward(traps().eval(), IMAGES)[1].items():
        assert torch.equal(Tapped(net, [name], IMAGES, stops=True)(IMAGES)[1][name], expected), name
    assert torch.equal(net(IMAGES), traps().eval()(IMAGES))


def test_in_training_it_runs_to_the_end_and_moves_all_statistics():
    net = traps().train()
    assert Tapped(net, ["stem.1"], IMAGES, stops=True)(IMAGES)[0] is None
    assert net.bn.num_batches_tracked == 1


def test_a_network_that_catches_errors_does_not_catch_the_end():
    class Catching(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.ReLU(), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            try:
                x = self.first(x)
            except Exception:
                x = x * 0.0
            return self.second(x)

    net = Catching().eval()
    tapped = Tapped(net, ["first"], IMAGES, stops=True)
    run = modules_run(net)
    assert tapped(IMAGES)[1]["first"].any() and run == ["", "first"]


def test_a_position_that_is_not_reached_is_an_error_where_it_stops_too():
    net = Moody("skips").train()
    tapped = Tapped(net, ["extra"], IMAGES, stops=True)
    net.bn.eval()
    with pytest.raises(RuntimeError, match="'extra' was not reached"):
        tapped(IMAGES)


@pytest.mark.slow
@pytest.mark.parametrize("stops", [True, False])
def test_compiled_what_comes_after_the_last_position_is_left_out_of_the_graph(stops):
    torch.compiler.reset()
    graphs: list[Any] = []

    def keep(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return make_boxed_func(graph.forward)

    net = traps().eval().requires_grad_(False)
    tapped = Tapped(net, ["block.bn1"], IMAGES, stops=stops)
    output, features = torch.compile(tapped, fullgraph=True, backend=aot_autograd(fw_compiler=keep))(IMAGES)
    assert (output is None) == stops
    assert torch.equal(features["block.bn1"], tapped(IMAGES)[1]["block.bn1"])
    convolutions = [node for node in graphs[-1].graph.nodes if node.target is torch.ops.aten.convolution.default]
    # The stem's and the block's first one; the block's second call and the last convolution come after.
    assert len(convolutions) == (2 if stops else 4)


class Declared(nn.Module):
    """Two stages; says itself what its positions are."""

    def __init__(self, width: int):
        super().__init__()
        self.taps = {"before_relu": ("bn1", "bn2"), "group_end": ("before:bn2",)}
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride=2, padding=1), nn.BatchNorm2d(width)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))).mean((2, 3))


def test_declared_roles_are_the_networks_own():
    net = Declared(4)
    assert named_positions(net, "before_relu", IMAGES) == ("bn1", "bn2")
    with pytest.raises(ValueError, match="not 'before_rleu'; did you mean 'before_relu'"):
        named_positions(net, "before_rleu", IMAGES)
    with pytest.raises(ValueError, match="need no tap"):
        named_positions(net, "logits", IMAGES)


def test_proposed_is_the_last_of_each_size():
    images = torch.randn(2, 3, 64, 64)
    net = torchvision.models.resnet18(weights=None)
    assert named_positions(net, "before_relu", images) == tuple(f"before:layer{n}.1.relu#2" for n in (1, 2, 3, 4))
    assert named_positions(net, "group_end", images) == ("layer1", "layer2", "layer3", "layer4")
    with pytest.raises(ValueError, match="ResNet has positions for 'before_relu', .*, not 'stem'"):
        named_positions(net, "stem", images)


def test_proposed_come_in_the_order_of_execution():
    class DownAndUp(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(x - 0.5)
            low = F.relu(F.avg_pool2d(x, 2) - 0.1)
            return F.relu(x - F.interpolate(low, scale_factor=2.0))

    assert named_positions(DownAndUp(), "before_relu", IMAGES) == ("before:relu()#2", "before:relu()#3")


def test_gates_and_small_maps_are_not_proposed():
    class Gated(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(x - 0.5)
            x = x * torch.sigmoid(x.mean(1, keepdim=True) - 1.0)
            F.relu(x.mean((2, 3), keepdim=True))
            F.gelu(x.movedim(1, -1).reshape(len(x), 8, 4, 6))
            return x

    assert named_positions(Gated(), "before_relu", IMAGES) == ("before:relu()#1",)
    with pytest.raises(ValueError, match="nothing to propose"):
        named_positions(nn.Sequential(nn.Flatten(), nn.ReLU()), "before_relu", IMAGES)


def test_pairs_match_sizes_in_order():
    found = pairs(Declared(4), Declared(7), "before_relu", IMAGES)
    assert [(s.name, t.name) for s, t in found] == [("bn1", "bn1"), ("bn2", "bn2")]
    assert [(s.shape, t.shape) for s, t in found] == [
        ((4, 4, 8, 8), (4, 7, 8, 8)),
        ((4, 4, 4, 4), (4, 7, 4, 4)),
    ]
    # Declared and proposed go together.
    assert [t.name for _, t in pairs(Declared(4), traps(), "before_relu", IMAGES)][0] == "before:block.relu#2"


def test_as_many_positions_pair_up_in_order_whatever_their_sizes():
    other = Declared(4)
    other.taps = {"before_relu": ("bn2", "bn1")}
    found = pairs(Declared(4), other, "before_relu", IMAGES)
    assert [(s.name, t.name) for s, t in found] == [("bn1", "bn2"), ("bn2", "bn1")]


def test_the_fewer_positions_are_paired_with_the_nearest_sizes():
    fewer, more = Declared(4), torchvision.models.resnet18(weights=None)
    fewer.taps = {"group_end": ("bn1", "bn2")}
    images = torch.randn(2, 3, 64, 64)  # 64x64 and 32x32 there; 16x16, 8x8, 4x4 and 2x2 here
    found = pairs(fewer.float(), more, "group_end", images)
    assert [(s.name, t.name) for s, t in found] == [("bn1", "layer1"), ("bn2", "layer2")]
    assert pairs(more, fewer, "group_end", images) == [(t, s) for s, t in found]


def test_a_network_whose_maps_have_one_size_meets_the_deepest_of_the_other():
    fewer, more = Declared(4).float(), torchvision.models.resnet18(weights=None)
    fewer.taps = {"group_end": ("before:bn2", "bn2")}
    found = pairs(fewer, more, "group_end", torch.randn(2, 3, 64, 64))
    assert [(s.name, t.name) for s, t in found] == [("before:bn2", "layer3"), ("bn2", "layer4")]


def test_of_equally_near_positions_the_deepest_is_taken():
    fewer, more = Declared(4), Declared(4)
    fewer.taps = {"group_end": ("bn2",)}
    more.taps = {"group_end": ("conv2", "bn2")}
    assert [t.name for _, t in pairs(fewer, more, "group_end", IMAGES)] == ["bn2"]


def test_the_embedding_is_what_enters_the_last_linear_layer():
    images = torch.randn(2, 3, 64, 64)
    assert named_positions(torchvision.models.resnet18(weights=None), "embedding", images) == ("before:fc",)
    with pytest.raises(ValueError, match="nothing to propose for 'embedding'"):
        named_positions(Declared(4), "embedding", IMAGES)


def test_the_embedding_is_what_enters_a_convolution_that_answers_the_classes():
    images = torch.randn(2, 3, 64, 64)
    net = torchvision.models.squeezenet1_1(weights=None, num_classes=7)
    assert named_positions(net, "embedding", images) == ("before:classifier.1",)
    net.requires_grad_(False)
    assert named_positions(net, "embedding", images) == ("before:classifier.1",)
    # Pooled features alone: its last layers are convolutions too, with BatchNorm and a sum behind them.
    backbone = torchvision.models.resnet50(weights=None)
    backbone.fc = torch.nn.Identity()
    with pytest.raises(ValueError, match="nothing to propose for 'embedding'"):
        named_positions(backbone, "embedding", images)


@pytest.mark.parametrize(
    ("name", "size", "before_relu"),
    [
        ("resnet10t", 64, "before:layer4.0.act2"),
        ("convnext_atto", 64, "before:stages.3.blocks.1.mlp.act"),
        ("vit_tiny_patch16_224", 224, "before:blocks.11.mlp.act"),
    ],
)
def test_positions_of_timm_networks(name, size, before_relu):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    net = timm.create_model(name, pretrained=False)
    images = torch.randn(2, 3, size, size)
    listed = positions(net, images)
    assert any(p.activation.startswith("before ") for p in listed)
    if before_relu:
        assert named_positions(net, "before_relu", images)[-1] == before_relu
    chosen = [p.name for p in listed if p.activation.startswith("before ")][-2:]
    _, features = Tapped(net, chosen, images)(images)
    assert all(features[chosen_name].min() < 0 for chosen_name in chosen)
