"""Groups of layers: which tensors of a forward are maps, and which of them stand in a group that works at one size.

A size is a map's height and width. `named_positions` in roles.py says the rule in whole.
"""

import math

from torch import nn

from understudy.taps.grid import grid
from understudy.taps.positions import DryRun, Event
from understudy.taps.watch import Key

Size = tuple[int, int]

# Two sizes are one where the smaller has more than this share of the area: a border is missing. A stride of two leaves
# no more than 4/9, and that of 3 x 3.
SAME_AREA = 0.5


class Groups:
    """The maps of one dry run that stand in a group: `sizes` has the group's largest size for each.

    `openings` and `fragments` are what modules that make maps smaller hold at the old size: what comes before their
    first layer with weights, and what comes from there on.
    """

    def __init__(self, run: DryRun, num_images: int):
        self.run = run
        self._keys = list(run.events)
        self._places = {key: place for place, key in enumerate(self._keys)}
        self._maps = _map_sizes(run, num_images)
        weighted = {name for name, module in run.modules.items() if _has_weight(module)}
        self._layers = [key for key in self._keys if key[0] == "after" and key[1] in weighted]
        self.openings: set[Key] = set()
        self.fragments: set[Key] = set()
        # Where the size of a module's own work is not that of its answer.
        self._works_at: dict[Key, Size] = {}
        alike = {*self._alike(at_least=1)}
        for key in self._keys:
            if key[0] == "after" and key[1] in run.modules:
                self._look_inside(key, key in alike)
        self.openings -= self.fragments
        group, end = _groups_of(self._sizes_of_groups()), self._classifier()
        self.sizes = {key: group[size] for key, size in self._maps.items() if size in group and self._places[key] < end}

    def _sizes_of_groups(self) -> set[Size]:
        """The sizes of maps that come out of layers with weights, without those larger than any block's: the stem's."""
        sizes = {self._maps[key] for key in self._layers if key in self._maps}
        # A network that computes with parameters of its own has no layers to go by.
        sizes = sizes or set(self._maps.values())
        blocks = [self._works_at.get(key, self._maps[key]) for key in self._alike(at_least=2) if key in self._maps]
        largest = max(map(math.prod, blocks), default=math.inf)
        return {size for size in sizes if min(size) > 1 and math.prod(size) <= largest}

    def _classifier(self) -> int:
        """Where features end: at a last layer that answers maps of as many channels as the network has classes."""
        output, last = self.run.output_shape, self._layers[-1] if self._layers else None
        is_map = last in self._maps and len(output) == 2
        if last is not None and is_map and self.run.events[last].value.shape[1] == output[1]:
            return self._places[last]
        return len(self._keys)

    def _alike(self, at_least: int) -> list[Key]:
        """The calls of those modules with so many layers that are not the only ones of their kind."""
        kinds: dict[object, list[str]] = {}
        for owner in self.run.calls:
            module = self.run.modules.get(owner)
            if module is not None and sum(map(_has_weight, module.modules())) >= at_least:
                kinds.setdefault(kind_of(module), []).append(owner)
        blocks = {owner for owners in kinds.values() if len(owners) > 1 for owner in owners}
        return [key for key in self._keys if key[0] == "after" and key[1] in blocks]

    def _look_inside(self, end: Key, is_alike: bool) -> None:
        """Add what a module holds at the old size, if it makes maps smaller and belongs to the new size.

        It does where its input goes several ways, as past a shortcut, or where it is of a kind and most of its layers
        work at the new size. Others, such as convolutions with a pooling at their end, belong to the old one.
        """
        start = ("before", *end[1:])
        old, new = self._maps.get(start), self._maps.get(end)
        if old is None or new is None or math.prod(new) >= math.prod(old):
            return
        first, last = self._places[start], self._places[end]
        layers = [key for key in self._layers if first < self._places[key] <= last]
        num_old, num_new = (sum(self._maps.get(key) == size for key in layers) for size in (old, new))
        if not layers or not (self._branches(start) or (is_alike and num_new > num_old)):
            self._works_at[end] = old if num_old else new
            return
        begin = self._places[("before", *layers[0][1:])]
        for key in self._keys[first + 1 : last]:
            if self._maps.get(key) == old:
                (self.openings if self._places[key] < begin else self.fragments).add(key)

    def _branches(self, start: Key) -> bool:
        """Whether a module hands its input to two or more of its children."""
        _, owner, _ = start
        entered = self.run.events[start].identity
        children = {
            event.key[1]
            for event in self.run.events.values()
            if event.key[0] == "before" and event.identity == entered and event.key[1].rpartition(".")[0] == owner
        }
        return len(children) > 1


def kind_of(module: nn.Module) -> object:
    """What makes modules alike: the class; what a Sequential is of."""
    return (nn.Sequential, *map(type, module)) if isinstance(module, nn.Sequential) else type(module)


def _has_weight(module: nn.Module) -> bool:
    """Whether the module itself has a weight that mixes channels; a norm's has one axis."""
    return any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))


def _map_sizes(run: DryRun, num_images: int) -> dict[Key, Size]:
    """Height and width of what is a map of the images."""
    tokens = {(_parent(e), e.value.shape[1]) for e in run.events.values() if e.value.dim() == 3}
    sizes = {}
    for key, event in run.events.items():
        shape = event.value.shape
        size = grid(shape, run.image_size)
        # Attention inside windows has more rows than there are images, and its weights are tokens by tokens.
        is_attention = len(shape) == 4 and {(_parent(event), n) for n in shape[2:]} <= tokens
        if size is not None and shape[0] == num_images and not is_attention:
            sizes[key] = size
    return sizes


def _groups_of(sizes: set[Size]) -> dict[Size, Size]:
    """Each size with the largest one of its group."""
    largest: dict[Size, Size] = {}
    first = None
    for size in sorted(sizes, key=lambda size: (-math.prod(size), size)):
        if first is None or math.prod(size) <= SAME_AREA * math.prod(first):
            first = size
        largest[size] = first
    return largest


def _parent(event: Event) -> str:
    return event.key[1].rpartition(".")[0]
