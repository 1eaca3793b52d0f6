"""What a run is: frozen, validated settings.

Names are timm's where timm has one. No torch here: settings can be read and reports made without it.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from understudy.spec.places import expanded
from understudy.spec.retrieval import RetrievalSettings
from understudy.spec.section import Section

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
UnitShare = Annotated[float, Field(ge=0.0, le=1.0)]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
# Of memory as much as there is may be meant.
Gigabytes = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
# A shell leaves the ~ of --option=~/place and of a word as it is.
UserPath = Annotated[Path, AfterValidator(expanded)]
Count = Annotated[int, Field(ge=1)]
# As torch's generators take them.
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _epochs(value: object) -> object:
    """'1+5', 6 or [1, 5] -> a tuple of counts, one per phase."""
    if isinstance(value, str):
        parts = value.split("+")
        if not all(part.strip().isdigit() for part in parts):
            raise ValueError("expected whole numbers joined by +, one per phase: 20 or 1+5")
        return tuple(int(part) for part in parts)
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError("expected whole numbers joined by +, one per phase: 20 or 1+5")
        return (int(value),)
    return (value,) if isinstance(value, int) else value


def _option(value: object) -> object:
    """'1e-2' -> 0.01, which YAML leaves a word; words and truth values as they are."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _switch(value: object) -> object:
    """YAML reads on and off as truth values."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _list(value: object) -> object:
    """'tensorboard,wandb' -> ('tensorboard', 'wandb'); lists as they are."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _names(value: object) -> object:
    """[3, 5] or '3,5' -> ('3', '5'): YAML reads names that look like numbers as numbers, on and off as truth values."""
    value = _list(value)
    if isinstance(value, list | tuple) and any(isinstance(one, bool) for one in value):
        raise ValueError('expected names; quote those that YAML reads as truth values, as in \'["on","off"]\'')
    return tuple(map(str, value)) if isinstance(value, list | tuple) else value


def _renames(value: object) -> dict[str, object] | None:
    """Old part -> new part. A dot in an old part has made sections of it, and YAML numbers and nothing of new parts."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError("expected old and new names, as in teacher.rename.linear=fc")
    flat: dict[str, object] = {}
    for key, new in value.items():
        if isinstance(new, dict):
            flat |= {f"{key}.{rest}": word for rest, word in (_renames(new) or {}).items()}
        else:
            flat[str(key)] = "" if new is None else str(new) if type(new) is int else new
    return flat or None


def _factors(value: object) -> object:
    """Pattern -> factor; YAML reads a layer that is called 0 as a number."""
    if value is not None and not isinstance(value, dict):
        raise ValueError("expected patterns and factors, as in optim.rates.layer1=0.1")
    return {str(pattern): factor for pattern, factor in value.items()} if value else None


class NetworkSettings(Section):
    """A network by name, with the file its weights come from (random without)."""

    model: str = Field(
        description="a name from `understudy list models`, timm:NAME, torchvision:NAME, package.module:function; "
        "@BLOCK behind any of them cuts it after that block: torchvision:resnet50@layer4.0"
    )
    weights: UserPath | None = Field(default=None, description="safetensors, or a plain state dict")
    rename: Annotated[dict[str, str] | None, BeforeValidator(_renames)] = Field(
        default=None,
        description="parts of the names in the file of weights and what this network calls them: "
        "teacher.rename.linear=fc; an empty word takes the part out",
    )


class StudentSettings(NetworkSettings):
    """A student, and how it begins."""

    from_teacher: bool = Field(
        default=False,
        description="begin with evenly spaced parts of the teacher's weights, where names agree "
        "(docs/weight_selection.md)",
    )
    size: Count | None = Field(
        default=None,
        description="height and width it sees images at, scaled down from the data's, which the teacher sees "
        "(default: the data's)",
    )


class TeacherSettings(NetworkSettings):
    """A teacher, and how it differs from the student; what its file says of itself need not be said."""

    class_names: Annotated[tuple[str, ...] | None, BeforeValidator(_names)] = Field(
        default=None, description="the teacher's classes in its order (default: what its file says, else the data's)"
    )
    num_classes: Count | None = Field(default=None, description="how many classes it knows, where names are not known")
    mean: tuple[UnitShare, ...] | None = Field(
        default=None, description="its own normalisation, 0 to 1 (default: what its file says, else as the student's)"
    )
    std: tuple[Share, ...] | None = Field(default=None, description="of its own normalisation, 0 to 1")
    size: Count | None = Field(
        default=None, description="height and width it sees images at (default: what its file says, else the data's)"
    )
    share: Positive = Field(default=1.0, description="of several teachers, its part in the mean of their logits")


class MethodSettings(Section):
    """How knowledge is transferred."""

    name: str = Field(default="none", description="a name from `understudy list methods`, or several joined by +")
    labels: bool | None = Field(
        default=None, description="cross-entropy in the last phase: true, false, or as the paper (empty)"
    )
    teacher_mode: Literal["eval", "batch", "train"] | None = Field(
        default=None,
        description="the teacher's BatchNorm: running statistics, the batch's, or the batch's moving the buffers",
    )


class DataSettings(Section):
    """The images."""

    name: str = Field(default="digits", description="a name from `understudy list data`")
    folder: UserPath | None = Field(
        default=None, description="where data sets lie (default: $UNDERSTUDY_DATA, else ./data)"
    )
    download: bool = Field(default=False, description="fetch the set through torchvision when it is not there")
    percent: Annotated[float, Field(gt=0.0, le=100.0)] | None = Field(
        default=None, description="this share of the training images, balanced over classes"
    )
    per_class: Count | None = Field(default=None, description="this many training images of each class")
    validation: Fraction = Field(default=0.0, description="share of the training images held out to choose by")
    mislabel: Fraction = Field(
        default=0.0, description="this share of the training images is given the label of another class, drawn"
    )
    seed: Seed = Field(default=0, description="chooses the subset, the held-out images and the wrong labels")
    augment: bool = Field(default=True, description="crop and flip as is usual for the set")
    views: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="fixed augmented views of each image, which the epochs show in turn; 0: every epoch its own",
    )
    epoch_images: Count | None = Field(
        default=None,
        description="an epoch shows this many images, the set gone through again and again: 50000 of a small part "
        "make epochs as long as CIFAR's (default: each image once)",
    )
    classes: Annotated[tuple[str, ...] | None, BeforeValidator(_names)] = Field(
        default=None, description="only these classes, labelled in this order: data.classes=[cat,dog]"
    )
    loading: Literal["auto", "memory", "workers"] = Field(
        default="auto",
        description="all images in memory, augmented on the device; or decoded by worker processes; auto: by size",
    )
    memory_gb: Gigabytes = Field(default=2.0, description="auto: sets of small images that take no more are held there")
    size: Count | None = Field(
        default=None, description="height and width of the network's input (default: the images' own; workers: 224)"
    )
    scale: tuple[Share, Share] = Field(
        default=(0.08, 1.0), description="workers: the least and the most of an image's area in a random crop"
    )
    crop_pct: Share = Field(
        default=0.875, description="workers: the share of the shorter side in the middle that is measured on"
    )
    hflip: bool | None = Field(
        default=None, description="flip every second image to train on (default: as is usual for the set; files: true)"
    )
    mean: tuple[UnitShare, ...] | None = Field(
        default=None, description="of each channel, 0 to 1 (default: the set's; files: ImageNet's)"
    )
    std: tuple[Share, ...] | None = Field(
        default=None, description="of each channel, 0 to 1 (default: the set's; files: ImageNet's)"
    )
    workers: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="processes that decode images; 0: the run's own (default: one for each core but one, 16 at most)",
    )
    mixup: Annotated[float, Field(ge=0.0)] = Field(
        default=0.0, description="alpha of mixup: images and labels are mixed in pairs; with cutmix, either in turn"
    )
    cutmix: Annotated[float, Field(ge=0.0)] = Field(
        default=0.0, description="alpha of CutMix: a box of each image is another's, and so much of its label"
    )
    smoothing: Fraction = Field(default=0.0, description="so much of each label is spread evenly over all classes")

    @model_validator(mode="after")
    def _scale_rises(self) -> "DataSettings":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"data.scale: found {list(self.scale)}, expected the least first")
        return self


class DetectionSettings(Section):
    """A run that learns to detect objects: Faster R-CNN on the student, cut off where the detector reads it."""

    fpn: bool = Field(default=True, description="a feature pyramid over several sizes; false: one map, a 16th in size")
    positions: Annotated[tuple[str, ...] | None, BeforeValidator(_names)] = Field(
        default=None, description="where the student is read (default: the last map of each size; of stride 16 alone)"
    )
    channels: Count = Field(default=256, description="of the feature pyramid's maps")
    head: Count = Field(default=1024, description="neurons of the two layers that classify regions")
    regions: Count = Field(
        default=512, description="of each image, from which these learn; Faster R-CNN's authors have 128"
    )


class OptimSettings(Section):
    """Optimiser and schedule. The defaults are the AB authors' CIFAR recipe."""

    opt: Literal["sgd", "adamw"] = Field(
        default="sgd", description="the optimiser; adamw has to be given an lr of its own"
    )
    lr: Positive = Field(default=0.1, description="learning rate; its peak with onecycle, where cosine begins")
    momentum: Fraction = Field(default=0.9, description="sgd: of the gradients before")
    nesterov: bool = Field(default=True, description="sgd: Nesterov's form of it")
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(default=5e-4, description="times lr, of all parameters")
    sched: Literal["multistep", "onecycle", "cosine", "constant"] = Field(
        default="multistep", description="how lr moves within a phase"
    )
    milestones: tuple[Fraction, ...] = Field(
        default=(0.3, 0.6, 0.8), description="multistep: after these shares of the phase's steps"
    )
    decay_rate: Positive = Field(default=0.2, description="multistep: lr is multiplied by this at each milestone")
    reset_momentum_at_milestones: bool = Field(
        default=False,
        description="multistep: begin each with a fresh optimiser, as the AB, OFD, BSS and AT authors' code",
    )
    warmup: Fraction = Field(default=0.3, description="onecycle: share of the steps in which lr rises")
    rates: Annotated[dict[str, NotNegative] | None, BeforeValidator(_factors)] = Field(
        default=None,
        description="factors of lr by the names of layers or parameters, * for any part: optim.rates.layer1=0.1 "
        "optim.rates.fc=10; of several that match, the last one given counts; 0 freezes (docs/finetuning.md)",
    )
    auto_rates: bool = Field(
        default=False, description="AutoLR: after each epoch the rates of blocks that change out of order are adjusted"
    )

    @model_validator(mode="after")
    def _has_a_rate_for_its_optimiser(self) -> "OptimSettings":
        if self.opt != "sgd" and "lr" not in self.model_fields_set:
            raise ValueError(f"opt={self.opt} wants an lr of its own, such as optim.lr=0.001: the default is for sgd")
        return self


class RunSettings(Section):
    """How the run is carried out; what is learnt depends on `seed`, `precision` and `balance`."""

    seed: Seed = Field(default=0, description="random weights, order and augmentation")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, ...")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the networks' products; auto: from what the machine has"
    )
    compile: Annotated[Literal["auto", "on", "off"], BeforeValidator(_switch)] = Field(
        default="auto", description="torch.compile; auto: when the run is long enough to earn it back"
    )
    checkpoint_every: Count = Field(default=500, description="steps between checkpoints, ten minutes at most")
    balance: Positive | None = Field(
        default=None,
        description="scale each term at its phase's start until its gradient is this many times the task's",
    )
    gradients_every: Annotated[int, Field(ge=0)] = Field(
        default=0, description="steps between measurements of the terms' gradients; 0: at each phase's start only"
    )
    eval_every: Count = Field(
        default=1, description="epochs between measurements of the student; each phase's last epoch is always measured"
    )
    log_every: Count = Field(
        default=50, description="steps between lines of the log, and between checks that losses are finite"
    )
    trackers: Annotated[tuple[str, ...], BeforeValidator(_list)] = Field(
        default=(), description="what else gets the log: tensorboard, wandb, mlflow, ... (docs/tracking.md)"
    )
    teacher_cache: UserPath | None = Field(
        default=None, description="a folder in which the teacher's answers are stored and found again (docs/cache.md)"
    )
    teacher_cache_gb: Gigabytes = Field(
        default=8.0, description="what a run's answers may take there; a phase that needs more asks the live teacher"
    )


class Settings(Section):
    """A whole run, as it is written to settings.yaml in its folder."""

    task: Literal["train", "distill"] = Field(default="distill", description="train: on labels alone, no teacher")
    student: StudentSettings
    teacher: TeacherSettings | None = None
    more_teachers: tuple[TeacherSettings, ...] = Field(
        default=(),
        description="teachers beside the first, whose logits are averaged with its own; as --teacher again, with "
        "settings of their own as more_teachers.0.mean=[0.5,0.5,0.5]",
    )
    method: MethodSettings = MethodSettings()
    terms: dict[str, dict[str, Annotated[bool | int | float | str, BeforeValidator(_option)]]] = Field(
        default_factory=dict,
        description="a term's numbers: terms.ab.margin=2, terms.kd.temperature=3, terms.nst.kernel=gaussian; "
        "of every term weight, ladder, over (image, positions, elements), layers (all, last), clip, and positions, the "
        "pairs that it compares: terms.at.positions=layer1=features.3,layer2=features.6 (student=teacher)",
    )
    phases: dict[str, dict[str, Annotated[float | int | str | tuple[float, ...], BeforeValidator(_option)]]] = Field(
        default_factory=dict,
        description="one phase's numbers of `optim`, in place of the run's: phases.train.lr=0.01; `understudy list "
        "methods --markdown` names the phases",
    )
    data: DataSettings = DataSettings()
    retrieval: RetrievalSettings | None = None
    detection: DetectionSettings | None = None
    epochs: Annotated[tuple[Count, ...], BeforeValidator(_epochs), Field(min_length=1)] = Field(
        default=(20,), description="one number per phase joined by + (1+5), or one in all"
    )
    batch_size: Count = Field(default=128, description="images per step")
    optim: OptimSettings = OptimSettings()
    run: RunSettings = RunSettings()

    @field_validator("more_teachers", mode="before")
    @classmethod
    def _numbered(cls, value: object) -> object:
        """{"0": {...}, "1": {...}}, as more_teachers.0.mean=... comes, in the order of the numbers."""
        if isinstance(value, dict) and value and all(str(key).isdigit() for key in value):
            return [value[key] for key in sorted(value, key=int)]
        return value

    @model_validator(mode="after")
    def _task_and_teacher_fit(self) -> "Settings":
        if self.more_teachers and self.teacher is None:
            raise ValueError("more_teachers stand beside a first one; give it as teacher")
        if self.task == "train" and (self.teacher is not None or self.method.name != "none"):
            raise ValueError("a train run has no teacher and no method; use distill")
        if self.student.from_teacher and self.student.weights is not None:
            raise ValueError("student.from_teacher and student.weights are two beginnings; leave out one")
        return self

    @model_validator(mode="after")
    def _cached_images_are_not_mixed(self) -> "Settings":
        if self.run.teacher_cache is not None and (self.data.mixup or self.data.cutmix):
            raise ValueError(
                "run.teacher_cache stores the teacher's answers to images that come again, and data.mixup and "
                "data.cutmix mix them anew in every step; leave out the one or the other"
            )
        return self

    @model_validator(mode="after")
    def _embeddings_take_one_label(self) -> "Settings":
        if self.retrieval is not None and (self.data.mixup or self.data.cutmix or self.data.smoothing):
            raise ValueError(
                "losses of embeddings take one label; leave out data.mixup, data.cutmix and data.smoothing"
            )
        return self

    @model_validator(mode="after")
    def _boxes_stay_as_they_are(self) -> "Settings":
        if self.detection is None:
            return self
        if self.retrieval is not None:
            raise ValueError("retrieval and detection are two tasks; leave out the settings of one")
        if self.data.mixup or self.data.cutmix or self.data.smoothing:
            raise ValueError("data.mixup, data.cutmix and data.smoothing change labels of whole images; leave them out")
        if self.student.size is not None:
            raise ValueError("student.size: a detector sees the images at data.size; leave it out")
        if self.run.compile == "on":
            raise ValueError("run.compile=on: steps of a detector have another number of boxes each; leave it out")
        return self


def epochs_per_phase(epochs: tuple[int, ...], shares: tuple[float, ...]) -> tuple[int, ...]:
    """Whole epochs for each phase from what was asked.

    As many numbers as phases are taken as they are. One phase gets the sum of all numbers, so that methods without an
    initialisation train as long as those with one. One number is divided by the phases' shares, at least one each.
    Raises ValueError for anything else.
    """
    if len(epochs) == len(shares):
        return epochs
    if len(shares) == 1:
        return (sum(epochs),)
    if len(epochs) > 1:
        raise ValueError(
            f"found {len(epochs)} numbers of epochs for {len(shares)} phases; give one for each, or one in all"
        )
    total = sum(epochs)
    if total < len(shares):
        raise ValueError(f"{total} epoch in all is too few for {len(shares)} phases; give at least {len(shares)}")
    early = [max(1, round(total * share / sum(shares))) for share in shares[:-1]]
    while sum(early) >= total:
        early[early.index(max(early))] -= 1
    return (*early, total - sum(early))
