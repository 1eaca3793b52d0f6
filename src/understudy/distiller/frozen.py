"""Parameters that no phase trains, and the BatchNorms that rest with them."""

from collections.abc import Collection

from torch import nn

from understudy.modes import BATCH_NORMS


class Frozen:
    """What of a module is kept as it is; empty until something is added."""

    def __init__(self) -> None:
        self._parameters: list[nn.Parameter] = []
        self._learnt_before: list[nn.Parameter] = []
        self._resting: list[nn.Module] = []

    def add(self, module: nn.Module, names: Collection[str]) -> None:
        """These parameters, named as in `module.named_parameters`, with the BatchNorms all of whose own they are."""
        chosen = [parameter for name, parameter in module.named_parameters() if name in names]
        self._parameters += chosen
        self._learnt_before += [parameter for parameter in chosen if parameter.requires_grad]
        frozen = {id(parameter) for parameter in self._parameters}
        for name, inner in module.named_modules():
            if isinstance(inner, BATCH_NORMS):
                own = [id(parameter) for parameter in _parameters_around(module, name)]
                if own and frozen.issuperset(own):
                    self._resting.append(inner)

    def hold(self) -> None:
        """No gradient at the parameters, and evaluation mode for the BatchNorms, whatever was set before."""
        for parameter in self._parameters:
            parameter.requires_grad_(False)
        for module in self._resting:
            module.train(False)

    def release(self) -> None:
        """What learnt before it was added learns again, and nothing is kept as it is any longer."""
        for parameter in self._learnt_before:
            parameter.requires_grad_(True)
        for kept in (self._parameters, self._learnt_before, self._resting):
            kept.clear()


def _parameters_around(module: nn.Module, name: str) -> list[nn.Parameter]:
    """Those of the inner module of this name, or else of the innermost one around it that has some."""
    while name:
        found = [*module.get_submodule(name).parameters()]
        if found:
            return found
        name = name.rpartition(".")[0]
    return []
