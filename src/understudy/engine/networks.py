"""Networks as a run's settings name them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from understudy.data import Crops, Dataset, Loading
from understudy.engine.refusal import check_size
from understudy.models import (
    Form,
    build,
    classifier,
    embed,
    end_of,
    load_weights,
    model_said,
    read_metadata,
    select_weights,
)
from understudy.spec import (
    NetworkSettings,
    StudentSettings,
    TeacherSettings,
    did_you_mean,
    expanded,
    few,
    nearest,
    run_files,
)
from understudy.teachers import Member, Teachers

# What makes a network of a classifier: (a function that answers the classifier anew, example images) -> the network.
Adapt = Callable[[Callable[[], nn.Module], Tensor], nn.Module]
EMBEDDING = "embedding"


def build_network(
    wanted: NetworkSettings, data: Dataset, form: Form | None = None, image_shape: Sequence[int] | None = None
) -> nn.Module:
    """The network for these data, with its weights if the settings name a file.

    It answers embeddings where a form is given, or the file says that its network does. `image_shape` is what it sees,
    where that is not the data's.
    """
    example = torch.zeros(2, *(image_shape or data.image_shape))
    make = partial(build, wanted.model, num_classes=data.num_classes, in_channels=data.image_shape[0])
    form = form or form_in(wanted.weights)
    network = make() if form is None else embed(make, form, example)
    if wanted.weights is not None:
        load_weights(network, wanted.weights, wanted.rename, section="student")
    return network


def form_in(weights: Path | None) -> Form | None:
    """The form of the embedding network whose weights are in the file; None for any other network's."""
    said = read_metadata(weights) if weights is not None and weights.is_file() else {}
    return Form.from_json(said[EMBEDDING]) if EMBEDDING in said else None


def build_student(wanted: StudentSettings, data: Dataset, adapt: Adapt) -> tuple[nn.Module, list[str]]:
    """The network that is to learn, and what of its classifier stays random: the file's knows other classes.

    `adapt` is what its task makes of a network; weights are the network's as its name says it, or those of what the
    task made of it before.
    """
    unweighted = wanted.model_copy(update={"weights": None})
    channels, *size = data.image_shape if wanted.size is None else (data.image_shape[0], wanted.size, wanted.size)
    setting, example = "data.size" if wanted.size is None else "student.size", torch.zeros(2, channels, *size)
    left_random: list[str] = []
    is_adapted = wanted.weights is not None and form_in(wanted.weights) is not None

    def make() -> nn.Module:
        network = build_network(unweighted, data)
        # Here: what a task makes of a network, it makes by asking it.
        check_size("the student", setting, network, example[:1])
        if wanted.weights is not None and not is_adapted:
            left_random[:] = load_weights(
                network, wanted.weights, wanted.rename, num_classes=data.num_classes, section="student"
            )
        return network

    network = adapt(make, example)
    if wanted.weights is not None and is_adapted:
        return network, load_weights(network, wanted.weights, wanted.rename, section="student")
    # An embedding network has no classifier left, nor has a detector's backbone.
    kept = [name for name in left_random if any(f".{key}".endswith(f".{name}") for key in network.state_dict())]
    return network, kept if end_of(network) is None else []


def begin_with_parts(student: nn.Module, teacher: nn.Module | None, data: Dataset, *, knows_others: bool) -> list[str]:
    """Fill the student with parts of the first teacher's weights; the names of what stays random.

    `knows_others` says that the teacher's classes are not the data's.
    """
    assert teacher is not None
    first = teacher
    if isinstance(teacher, Teachers):
        first, knows_others = teacher.first, knows_others or teacher.first_has_other_classes
    return select_weights(student, first, leave=_of_classes(student, data) if knows_others else ())


def _of_classes(student: nn.Module, data: Dataset) -> list[str]:
    """The names of the classifier's tensors; where it is no linear layer, of all that have a row for each class."""
    try:
        name, layer = classifier(student, torch.zeros(2, *data.image_shape))
    except ValueError:
        state = student.state_dict()
        return [name for name, value in state.items() if value.ndim and value.shape[0] == data.num_classes]
    return [f"{name}.{own}" for own in layer.state_dict()]


def build_teacher(wanted: Sequence[TeacherSettings], data: Dataset, section: str = "teacher") -> nn.Module:
    """The teacher of these data: the network itself, or `Teachers` where it sees other pixels, or there are several.

    `section` is where the settings stand, for what is advised of them: "student" for a network that is measured, which
    sees the images as they are prepared.
    """
    members = [_member(one, data, section) for one in wanted]
    if len(members) == 1 and members[0].is_plain:
        return members[0].network
    return Teachers(members, mean=data.mean, std=data.std, example=torch.zeros(2, *data.image_shape))


def other_classes(wanted: Sequence[TeacherSettings], data: Dataset) -> tuple[str, ...]:
    """The names of the teachers' classes where some of the data's are not among them; empty where none says so.

    Raises ValueError for several teachers of different classes: the mean of their logits would mean nothing.
    """
    known = {_class_names(one, _said(one)): one.model for one in wanted if form_in(one.weights) is None}
    others = [names for names in known if names and not set(data.train.class_names) <= set(names)]
    if others and len(known) > 1:
        told = "; ".join(f"{known[names]} {few(names, 3) if names else 'does not say which'}" for names in known)
        raise ValueError(f"the teachers know different classes ({told}), and {data.name} others; give one of them")
    return others[0] if others else ()


def _said(wanted: TeacherSettings) -> dict[str, str]:
    """What the teacher's file says of itself."""
    return read_metadata(wanted.weights) if wanted.weights is not None and wanted.weights.is_file() else {}


def _class_names(wanted: TeacherSettings, said: Mapping[str, str]) -> tuple[str, ...]:
    """The names of a teacher's classes, by the settings or its file; empty where they are not known."""
    return wanted.class_names or tuple(json.loads(said.get("class_names", "null")) or ())


def _member(wanted: TeacherSettings, data: Dataset, section: str) -> Member:
    """A teacher as its file and the settings describe it; the settings win."""
    said = _said(wanted)
    names = _class_names(wanted, said)
    if wanted.num_classes is not None and names and wanted.num_classes != len(names):
        raise ValueError(
            f"{section} {wanted.model}: found num_classes={wanted.num_classes} and {len(names)} class names; give one"
        )
    form, size = form_in(wanted.weights), (wanted.size, wanted.size) if wanted.size else _size(said)
    setting = "teacher.size" if section == "teacher" else "data.size"
    seen = torch.zeros(2, data.image_shape[0], *(size or data.image_shape[1:]))

    def make() -> nn.Module:
        classes = wanted.num_classes or len(names) or data.num_classes
        network = build(wanted.model, num_classes=classes, in_channels=data.image_shape[0])
        check_size(f"{section} {wanted.model}", setting, network, seen[:1])
        return network

    network = make() if form is None else embed(make, form, seen)
    if wanted.weights is not None:
        load_weights(network, wanted.weights, wanted.rename, section=section)
    mean, std = constants(wanted.mean, said, "mean"), constants(wanted.std, said, "std")
    return Member(
        network=network,
        mean=None if mean == data.mean else mean,
        std=None if std == data.std else std,
        size=None if size == tuple(data.image_shape[1:]) else size,
        classes=None if form is not None else _own_classes(names, data.train.class_names, wanted.class_names, section),
        share=wanted.share,
    )


def constants(wanted: tuple[float, ...] | None, said: Mapping[str, str], key: str) -> tuple[float, ...] | None:
    """One value a channel in units of 0..255, from the settings (0 to 1) or from the file."""
    if wanted is not None:
        return tuple(255.0 * value for value in wanted)
    return tuple(json.loads(said[key])) if key in said else None


def _size(said: Mapping[str, str]) -> tuple[int, int] | None:
    """Height and width of the images that the file says its network was trained on."""
    return (int(said["height"]), int(said["width"])) if "height" in said else None


def _own_classes(
    known: tuple[str, ...], wanted: tuple[str, ...], stated: tuple[str, ...] | None, section: str
) -> tuple[int, ...] | None:
    """Where the teacher keeps each of the student's classes; None where it need not be said, or it knows others.

    ValueError where the names were stated, and have only some of them: one is misspelt.
    """
    lacking = [name for name in wanted if name not in known]
    if stated and lacking and len(lacking) < len(wanted):
        raise ValueError(f"{section}.class_names lacks {few(lacking)}, which the data have{nearest(lacking[0], known)}")
    if known == wanted or not set(wanted) <= set(known):
        return None
    return tuple(known.index(name) for name in wanted)


def student_metadata(
    model: str, data: Dataset, network: nn.Module, image_shape: Sequence[int] | None = None
) -> dict[str, str]:
    """What the student's file says of itself, so that it can be used without its run.

    `image_shape` is what it saw, where that is not the data's.
    """
    _, height, width = image_shape or data.image_shape
    end = end_of(network)
    return {
        "model": model,
        "data": data.name,
        "class_names": json.dumps(data.train.class_names),
        "in_channels": str(data.image_shape[0]),
        "height": str(height),
        "width": str(width),
        "mean": json.dumps(data.mean),
        "std": json.dumps(data.std),
        "loading": "memory" if data.in_memory else "workers",
        **({EMBEDDING: end.form.to_json()} if end is not None else {}),
        **({"crop_pct": json.dumps(data.augment.crop_pct)} if isinstance(data.augment, Crops) else {}),
    }


def loading_as_trained(metadata: Mapping[str, str], name: str) -> Loading:
    """How the student with this metadata is to see the images of the set `name`: as those it was trained on."""
    size = _size(metadata)
    loading = Loading(
        size=size[0] if size is not None and size[0] == size[1] else None,
        mean=constants(None, metadata, "mean"),
        std=constants(None, metadata, "std"),
    )
    # In memory images are seen whole.
    crop_pct = json.loads(metadata["crop_pct"]) if "crop_pct" in metadata else 1.0
    if "crop_pct" in metadata or metadata.get("loading") == "memory":
        loading = replace(loading, crop_pct=crop_pct)
    if "loading" in metadata and metadata.get("data") == name:
        loading = replace(loading, how="workers" if metadata["loading"] == "workers" else "memory")
    return loading


def locate(name: str, weights: Path | None) -> NetworkSettings:
    """A network as the command line gives it: a model's name and a file, a run's folder, or a student's own file.

    Raises ValueError where a folder holds no finished run, or a file does not say which model it is.
    """
    path = expanded(name)
    if path.is_dir():
        path = path / run_files.STUDENT
        if not path.exists():
            raise ValueError(
                f"{name} holds no finished run (no {run_files.STUDENT}); give a model's name or a finished run"
                + did_you_mean(Path(name))
            )
    elif path.is_file() and path.suffix != ".safetensors":
        raise ValueError(
            f"{name} does not say which model it is; give the model's name and the file as its weights: --model NAME, "
            f"or --teacher NAME --teacher-weights {name}"
        )
    elif path.suffix in (".pt", ".pth", ".bin", ".ckpt"):
        raise ValueError(f"there is no file {name}{did_you_mean(path)}")
    elif "/" in name and ":" not in name and path.suffix != ".safetensors":
        raise ValueError(f"there is no run {name}; give a model's name or a finished run's folder{did_you_mean(path)}")
    elif path.suffix != ".safetensors":
        return NetworkSettings(model=name, weights=weights)
    if not path.exists():
        raise ValueError(f"there is no file {path}{did_you_mean(path)}")
    if weights is not None:
        raise ValueError(f"{name} brings its own weights; leave out {weights}")
    model = model_said(path, read_metadata(path))
    if model is None:
        raise ValueError(f"{path} does not say which model it is; give the model's name and the file as its weights")
    return NetworkSettings(model=model, weights=path)
