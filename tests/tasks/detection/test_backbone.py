import copy

import pytest
import torch
from torch import nn
from torchvision.ops import MultiScaleRoIAlign

from understudy.models import build
from understudy.spec import DetectionSettings
from understudy.taps import Tapped, named_positions
from understudy.tasks.detection import Backbone
from understudy.tasks.detection.detector import make_detector
from understudy.tasks.detection.objective import DetectionObjective, assembled

pytestmark = pytest.mark.slow

IMAGES = torch.zeros(2, 3, 64, 64)
TARGETS = [
    {"boxes": torch.tensor([[4.0, 4, 40, 40]]), "labels": torch.tensor([2]), "size": torch.tensor([64, 50])},
    {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "size": torch.tensor([48, 64])},
]


def make(name="mobilenet-v1", **options):
    torch.manual_seed(0)
    return Backbone(build(name, num_classes=7), IMAGES, **options)


def noise(count=2):
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["mobilenet-v1", "bn-inception", "torchvision:resnet18", "timm:regnetx_002"])
def test_a_network_is_read_at_a_16th_of_the_size_and_holds_nothing_after(name):
    backbone = make(name)
    maps = backbone(noise())
    assert [*maps] == ["0"] and maps["0"].shape[2:] == (4, 4) and backbone.out_channels == maps["0"].shape[1]
    maps["0"].sum().backward()
    dead = [key for key, parameter in backbone.named_parameters() if parameter.grad is None]
    assert not dead


def test_a_network_that_stays_finer_is_read_at_its_coarsest_map():
    assert make("resnet8")(noise())["0"].shape[2:] == (16, 16)


def test_a_pyramid_has_maps_from_a_quarter_down_and_a_pooled_one():
    maps = make(pyramid=32)(noise())
    assert {name: tuple(one.shape[1:]) for name, one in maps.items()} == {
        "0": (32, 16, 16),
        "1": (32, 8, 8),
        "2": (32, 4, 4),
        "3": (32, 2, 2),
        "pool": (32, 1, 1),
    }


def test_it_answers_what_the_whole_network_has_there():
    torch.manual_seed(0)
    network = build("mobilenet-v1", num_classes=7).eval()
    _, wanted = Tapped(network, ["model.11"], IMAGES)(noise())
    found = Backbone(copy.deepcopy(network), IMAGES).eval()(noise())["0"]
    assert torch.equal(found, wanted["model.11"])


def test_other_positions_can_be_named():
    backbone = make("bn-inception", positions=("in4b",))
    assert backbone(noise())["0"].shape[1:] == (576, 4, 4) and not hasattr(backbone.body.in4c, "point")
    with pytest.raises(ValueError, match="2 positions, expected 1 with detection.fpn=false"):
        make(positions=("model.3", "model.5"))
    with pytest.raises(ValueError, match="no position 'model.99'"):
        make(positions=("model.99",))


def test_it_keeps_the_roles_of_the_positions_that_are_left():
    backbone = make()
    assert named_positions(backbone, "group_end", IMAGES) == ("body.model.3", "body.model.5", "body.model.11")
    _, features = Tapped(backbone, named_positions(backbone, "before_relu", IMAGES), IMAGES)(noise())
    assert len(features) == 3


def test_a_copy_reads_itself():
    backbone = make("wrn10-1").eval()
    other = copy.deepcopy(backbone)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.zero_()
    assert other(noise())["0"].any() and not backbone(noise())["0"].any()


def test_a_network_without_maps_cannot_be_cut():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.act, self.last = nn.Linear(3 * 64 * 64, 4), nn.ReLU(), nn.Linear(4, 2)

        def forward(self, images):
            return self.last(self.act(self.first(images.flatten(1))))

    with pytest.raises(ValueError, match="nothing to propose"):
        Backbone(Flat(), IMAGES)


def detector_for(backbone, **options):
    wanted = DetectionSettings(head=16, **options)
    return make_detector(backbone, wanted, num_classes=3, size=64, mean=(120.0,) * 3, std=(60.0,) * 3)


@pytest.mark.parametrize("pyramid", [None, 16])
def test_the_losses_reach_backbone_proposals_and_regions(pyramid):
    backbone = make(pyramid=pyramid)
    objective = DetectionObjective(detector_for(backbone), 64)
    loss = objective(backbone(noise()), TARGETS)
    loss.backward()
    assert loss.ndim == 0 and loss.isfinite()
    assert all(p.grad is not None for p in (*backbone.parameters(), *objective.parameters()))


def test_the_objective_is_the_sum_of_torchvisions_own_losses():
    backbone = make().eval()  # BatchNorm as it is, so that one image more or less changes nothing
    detector = detector_for(backbone)
    objective = DetectionObjective(detector, 64)
    # Images that need no resizing, normalised as the data would be.
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    targets = [{**target, "size": torch.tensor([64, 64])} for target in TARGETS]
    torch.manual_seed(0)
    ours = objective((backbone((255 * pixels - 120) / 60)), targets)
    detector.train()
    backbone.eval()
    torch.manual_seed(0)
    theirs = detector([*pixels], [{"boxes": t["boxes"], "labels": t["labels"] + 1} for t in targets])
    torch.testing.assert_close(ours, torch.stack([*theirs.values()]).sum())


def test_regions_of_wide_images_are_read_at_the_scale_of_the_maps():
    backbone = make(pyramid=16)
    objective, maps = DetectionObjective(detector_for(backbone), 64), backbone(noise())
    # Half as high as they are wide, in the corner of a square.
    targets = [
        {"boxes": torch.tensor([[4.0, 4.0, 40.0, 24.0]]), "labels": torch.tensor([0]), "size": torch.tensor([32, 64])}
        for _ in range(2)
    ]
    objective(maps, targets)
    pool = objective.roi_heads.box_roi_pool
    assert isinstance(pool, MultiScaleRoIAlign)
    assert pool.scales == [maps[name].shape[-1] / 64 for name in pool.featmap_names]


def test_the_assembled_detector_is_torchvisions():
    from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

    backbone = make().eval()
    detector = assembled(backbone, DetectionObjective(detector_for(backbone), 64))
    assert isinstance(detector, GeneralizedRCNN) and not detector.training
    (found,) = detector([torch.rand(3, 30, 50)])
    assert {*found} == {"boxes", "labels", "scores"}
    assert {name.split(".")[0] for name in detector.state_dict()} == {"backbone", "rpn", "roi_heads"}
