"""Stanford Cars in the layout of one folder, as retrieval uses them (Cars-196).

Krause, Stark, Deng & Fei-Fei, "3D Object Representations for Fine-Grained Categorization", 3dRR 2013: 16,185 cars of
196 models. Retrieval trains on the first 98 models and tests on the others; the official division by image does not
count.
"""

from pathlib import Path

from understudy.data.disjoint import divided_by_class
from understudy.data.division import Parts
from understudy.data.file_source import image_files
from understudy.data.named.list_files import check_layout

PLACE = "cars196"
LIST = "cars_annos.mat"


def cars196(folder: Path) -> Parts:
    """The images of car_ims, divided by model in the order of the list."""
    # scipy takes half a second to import: only where the list is read.
    from scipy.io import loadmat

    root = folder / PLACE
    check_layout("cars196", root, ("car_ims", LIST), origin="car_ims.tgz and cars_annos.mat")
    try:
        found = loadmat(root / LIST, squeeze_me=True)
    except Exception as error:  # a broken file ends the reading in any way
        raise ValueError(f"{root / LIST} cannot be read ({type(error).__name__}: {error}); fetch it again") from error
    absent = [name for name in ("annotations", "class_names") if name not in found]
    if absent:
        raise ValueError(f"{root / LIST} has no {' and no '.join(absent)}")
    annotations = found["annotations"].ravel()
    names = [str(name) for name in annotations["relative_im_path"]]
    labels = [int(label) - 1 for label in annotations["class"]]
    class_names = [str(name) for name in found["class_names"].ravel()]
    train, test = divided_by_class(image_files(root, names, labels, class_names, listed_in=LIST))
    return Parts(
        name="cars196",
        train=train,
        test=test,
        disjoint=True,
        note=f"Stanford Cars in {root}: models 1 to {len(train.class_names)} to train on, the others to test on",
    )
