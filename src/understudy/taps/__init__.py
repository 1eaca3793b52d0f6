"""Read named positions of any network during its one forward.

The grammar of a position's name; MODULE is a name as in `network.named_modules()`:

    MODULE              the output of that module:                 "layer1.0.bn1"
    before:MODULE       the (first) tensor that enters it:         "before:layer1.0.relu"
    MODULE.relu()       the output of the functional relu that the forward of MODULE itself calls, written as
                        F.relu, torch.relu, x.relu() or x.relu_(): "layer1.0.relu()", of the network "relu()"
    before:MODULE.relu()   the tensor that enters it:              "before:layer1.0.relu()"
    ...#2               the second such call in one forward:       "before:layer1.0.relu#2"

"after:" may be written before an output. "#1" may be left out where there is one call only.

`positions` lists what a network has, `Tapped` reads, `named_positions` says which names play a role
("before_relu", "group_end", "embedding"), `pairs` matches a student's with a teacher's, `as_map` and `to_size` make
maps of one size of them. `lean_copy` makes a copy of a network that answers the same for less.
"""

from understudy.taps.grid import as_map, grid, size_seen, to_size
from understudy.taps.lean import Lean, lean_copy
from understudy.taps.norms import norm_at
from understudy.taps.positions import Position, positions
from understudy.taps.roles import named_positions, pairs, roles_of
from understudy.taps.tapped import Tapped
from understudy.taps.watch import refuse_wrapped

__all__ = [
    "Lean",
    "Position",
    "Tapped",
    "as_map",
    "grid",
    "lean_copy",
    "named_positions",
    "norm_at",
    "pairs",
    "positions",
    "refuse_wrapped",
    "roles_of",
    "size_seen",
    "to_size",
]
