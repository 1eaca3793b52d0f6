"""Images with boxes of one's own: COCO's format and VOC's XML, in the layouts that programs for labelling write."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.data.test_boxes import OBJECT
from understudy.data import BoxedImages, load

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]


def draw(path, width=60, height=40):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), 90, dtype=np.uint8)).save(path)


def write_coco(file, names, annotations=None, categories=CATEGORIES):
    """Annotations of these images, by default one dog in each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [{"id": 100 + at, "file_name": name, "width": 60, "height": 40} for at, name in enumerate(names)]
    if annotations is None:
        annotations = [
            {"id": at, "image_id": each["id"], "category_id": 7, "bbox": [5, 6, 20, 10.5], "iscrowd": 0}
            for at, each in enumerate(images)
        ]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def write_official(root):
    """COCO's own layout, with the other annotations that lie beside those of objects."""
    for part, names in {"train2017": ["1.jpg", "2.jpg", "3.jpg"], "val2017": ["9.jpg"]}.items():
        for name in names:
            draw(root / part / name)
        write_coco(root / f"annotations/instances_{part}.json", names)
        (root / f"annotations/captions_{part}.json").write_text("{}")


def read(address, **options):
    data = load(str(address), **options)
    assert isinstance(data.train, BoxedImages) and isinstance(data.test, BoxedImages)
    return data, data.train, data.test


def names_of(images):
    return [images.name(index) for index in range(len(images))]


def test_cocos_own_layout(tmp_path):
    write_official(tmp_path)
    data, train, test = read(f"coco:{tmp_path}")
    assert names_of(train) == ["train2017/1.jpg", "train2017/2.jpg", "train2017/3.jpg"]
    assert names_of(test) == ["val2017/9.jpg"]
    # In the order of the ids; a box is from x and y on, so wide and so high.
    assert train.class_names == ("cat", "dog") and train.objects[0].labels.tolist() == [1]
    assert train.objects[0].boxes.tolist() == [[5.0, 6.0, 25.0, 16.5]]
    assert data.image_shape == (3, 800, 800) and train.read(0).size == (60, 40)
    moved = tmp_path.parent / f"{tmp_path.name}_moved"
    tmp_path.rename(moved)
    assert load(f"coco:{moved}").fingerprint() == data.fingerprint()


def test_a_folder_for_every_part_with_annotations_beside_the_images(tmp_path):
    for part, count in {"train": 4, "valid": 2, "test": 1}.items():
        for number in range(count):
            draw(tmp_path / part / f"{part}_{number}.jpg")
        write_coco(tmp_path / part / "_annotations.coco.json", [f"{part}_{number}.jpg" for number in range(count)])
    data, train, test = read(f"coco:{tmp_path}")
    assert (len(train), len(test)) == (4, 1) and data.validation is not None and len(data.validation) == 2


@pytest.mark.parametrize("place", ["images", ""])
def test_one_file_is_divided_by_seed_and_its_images_found(tmp_path, place):
    names = [f"{number}.jpg" for number in range(10)]
    for name in names:
        draw(tmp_path / place / name)
    write_coco(tmp_path / "result.json", names)
    data, train, test = read(f"coco:{tmp_path}")
    assert (len(train), len(test)) == (8, 2) and "drawn by seed" in data.note
    assert sorted(names_of(train) + names_of(test)) == sorted(
        str((tmp_path / place / n).relative_to(tmp_path)) for n in names
    )
    assert names_of(read(f"coco:{tmp_path / 'result.json'}", seed=5)[2]) == names_of(test)


def test_crowds_are_difficult_flat_boxes_left_out_and_images_without_objects_kept(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        draw(tmp_path / "images" / name)
    said = [
        {"id": 1, "image_id": 100, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        {"id": 2, "image_id": 100, "category_id": 7, "bbox": [4, 4, 0, 9]},
        {"id": 3, "image_id": 100, "category_id": 7, "bbox": [4, 4, 1, 9]},
    ]
    write_coco(tmp_path / "all.json", ["a.jpg", "b.jpg"], said)
    data, train, test = read(f"coco:{tmp_path}")
    objects = [*train.objects, *test.objects]
    assert sorted(map(len, objects)) == [0, 2] and "left out that have no width or height: 1" in data.note
    (both,) = (each for each in objects if len(each))
    assert both.difficult.tolist() == [True, False] and both.labels.tolist() == [0, 1]


def test_a_file_that_is_not_as_the_format_has_it_is_an_error_that_says_how(tmp_path):
    file = tmp_path / "all.json"
    draw(tmp_path / "a.jpg")

    def trouble(match, names=("a.jpg",), annotations=None, categories=CATEGORIES):
        write_coco(file, names, annotations, categories)
        with pytest.raises(ValueError, match=match):
            load(f"coco:{tmp_path}")

    one = {"id": 5, "image_id": 100, "category_id": 7, "bbox": [0, 0, 9, 9]}
    trouble("one image cannot be both")
    trouble("all.json names the image b.jpg, which is in none of . of ", names=("b.jpg",))
    trouble(r"1 of 2 files that .*all.json names are not in .*: b.jpg", names=("a.jpg", "b.jpg"))
    trouble("annotation 5 has image_id 3, which is not in the file", annotations=[one | {"image_id": 3}])
    trouble("annotation 5 has category_id 0", annotations=[one | {"category_id": 0}])
    trouble(r"annotation 5 has bbox \[1, 2\]", annotations=[one | {"bbox": [1, 2]}])
    trouble("annotation 5 has bbox None", annotations=[{key: one[key] for key in one if key != "bbox"}])
    both = [one, one | {"id": 6, "category_id": 3}]
    alike = [{"id": 7, "name": "dog"}, {"id": 3, "name": "dog"}]
    trouble("names of categories that are there twice: dog; expected each once", annotations=both, categories=alike)
    trouble("names of images that are there twice: a.jpg", names=("a.jpg", "a.jpg"))
    trouble("ids of categories that are there twice: 7", categories=[CATEGORIES[0]] * 2)
    trouble("TypeError", annotations=[one | {"image_id": [1]}])
    file.write_text("[]")
    for address in (tmp_path, file):
        with pytest.raises(ValueError, match="expected the lists images, annotations, categories, found list"):
            load(f"coco:{address}")
    file.write_text("{")
    with pytest.raises(ValueError, match="all.json is no JSON file"):
        load(f"coco:{tmp_path}")
    file.unlink()
    with pytest.raises(ValueError, match="no JSON file of annotations: expected .*; found a.jpg"):
        load(f"coco:{tmp_path}")
    with pytest.raises(ValueError, match="there is no such folder or file"):
        load(f"coco:{tmp_path / 'nothing'}")
    with pytest.raises(ValueError, match="coco: names nothing; expected coco:PATH"):
        load("coco:")


@pytest.mark.parametrize(
    ("content", "told"), [('{"images": [', "is no JSON file that can be read"), ("{}", "is no file of COCO's format")]
)
def test_a_part_whose_file_is_broken_is_not_drawn_from_the_others(tmp_path, content, told):
    write_official(tmp_path)
    (tmp_path / "annotations/instances_val2017.json").write_text(content)
    with pytest.raises(ValueError, match=f"instances_val2017.json {told}"):
        load(f"coco:{tmp_path}")


def test_two_files_of_one_part_are_told(tmp_path):
    write_official(tmp_path)
    (tmp_path / "annotations/instances_val2017.json").rename(tmp_path / "annotations/instances_train2014.json")
    with pytest.raises(ValueError, match="train2014.json and .*train2017.json are both of train by their names"):
        load(f"coco:{tmp_path}")


def test_classes_that_differ_in_capitals_alone_are_noted(tmp_path):
    write_official(tmp_path)
    assert "capitals" not in read(f"coco:{tmp_path}")[0].note
    names = [{"id": 3, "name": "Dog"}, {"id": 7, "name": "dog"}, {"id": 9, "name": "cat"}]
    for part, of_part in {"train2017": ["1.jpg", "2.jpg", "3.jpg"], "val2017": ["9.jpg"]}.items():
        write_coco(tmp_path / f"annotations/instances_{part}.json", of_part, categories=names)
    assert read(f"coco:{tmp_path}")[0].note.endswith("; classes that differ in capitals alone: Dog and dog")


def test_parts_that_show_different_classes_have_those_of_all(tmp_path):
    """Programs write the categories that they saw in a part, with ids of its own."""
    write_official(tmp_path)
    only = [{"id": 7, "name": "fox"}]
    write_coco(tmp_path / "annotations/instances_val2017.json", ["9.jpg"], categories=only)
    _, train, test = read(f"coco:{tmp_path}")
    assert train.class_names == test.class_names == ("cat", "dog", "fox")
    assert test.class_names[int(test.objects[0].labels[0])] == "fox"
    assert train.class_names[int(train.objects[0].labels[0])] == "dog"


def test_a_heading_that_only_others_name_is_no_class(tmp_path):
    """Roboflow's first category is the name of the whole set, which may be that of a class as well."""
    draw(tmp_path / "train/a.jpg")
    draw(tmp_path / "valid/b.jpg")
    headed = [{"id": 0, "name": "ball", "supercategory": "none"}] + [
        {"id": each["id"], "name": name, "supercategory": "ball"}
        for each, name in zip(CATEGORIES, ("bat", "net"), strict=True)
    ]
    for part, name in (("train", "a.jpg"), ("valid", "b.jpg")):
        write_coco(tmp_path / part / "_annotations.coco.json", [name], categories=headed)
    data, train, _ = read(f"coco:{tmp_path}")
    assert train.class_names == ("net", "bat") and "a heading of the others: ball" in data.note
    for part, name in (("train", "a.jpg"), ("valid", "b.jpg")):
        headed[1]["name"] = "ball"
        write_coco(tmp_path / part / "_annotations.coco.json", [name], categories=headed)
    _, train, _ = read(f"coco:{tmp_path}")
    assert train.class_names == ("ball", "net")


@pytest.mark.parametrize(
    ("said", "lies"),
    [
        ("..\\..\\media\\upload\\4\\{}", "images/{}"),
        ("images\\4/{}", "images/{}"),
        ("/somewhere/else/{}", "images/{}"),
        ("{root}/images/{}", "images/{}"),
        ("upload/{}", "upload/{}"),
    ],
)
def test_images_are_found_by_what_programs_call_them(tmp_path, said, lies):
    for name in ("a 1.jpg", "b 2.jpg"):
        draw(tmp_path / lies.format(name))
    write_coco(tmp_path / "result.json", [said.format(name, root=tmp_path) for name in ("a 1.jpg", "b 2.jpg")])
    _, train, test = read(f"coco:{tmp_path}")
    assert {*names_of(train), *names_of(test)} == {lies.format("a 1.jpg"), lies.format("b 2.jpg")}
    write_coco(tmp_path / "result.json", [said.format(name, root=tmp_path) for name in ("a%201.jpg", "b%202.jpg")])
    _, train, test = read(f"coco:{tmp_path}")
    assert {*names_of(train), *names_of(test)} == {lies.format("a 1.jpg"), lies.format("b 2.jpg")}


def test_other_json_files_are_passed_over_and_the_file_itself_may_be_given(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        draw(tmp_path / "images/default" / name)
    write_coco(tmp_path / "annotations/instances_default.json", ["a.jpg", "b.jpg"])
    (tmp_path / "info.json").write_text("{}")
    _, train, _ = read(f"coco:{tmp_path / 'annotations/instances_default.json'}")
    assert train.name(0).startswith("images/default/")
    (tmp_path / "annotations/instances_default.json").rename(tmp_path / "annotations/all.json")
    (tmp_path / "images/default").rename(tmp_path / "images/all")
    assert len(read(f"coco:{tmp_path}")[1]) == 1


def test_a_lone_file_to_test_on_is_not_trained_on(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        draw(tmp_path / "test" / name)
    write_coco(tmp_path / "test/_annotations.coco.json", ["a.jpg", "b.jpg"])
    with pytest.raises(ValueError, match="expected images to train on .* found images: test 2"):
        load(f"coco:{tmp_path}")


@pytest.mark.parametrize("where", ["coco", "voc"])
def test_an_image_of_another_size_than_its_annotation_says_is_told(tmp_path, where):
    if where == "coco":
        write_official(tmp_path)
        place = tmp_path / "train2017/1.jpg"
    else:
        write_voc_folder(tmp_path)
        for file in tmp_path.glob("Annotations/*.xml"):
            size = "<size><width>60</width><height>40</height><depth>3</depth></size></annotation>"
            file.write_text(file.read_text().replace("</annotation>", size))
        place = tmp_path / "JPEGImages/1.png"
    draw(place, width=30, height=20)
    _, train, _ = read(f"{where}:{tmp_path}")
    index = [place.name in name for name in names_of(train)].index(True)
    with pytest.raises(ValueError, match="has 30x20 pixels, and its annotation is of 60x40; its boxes have to be"):
        train.read(index)
    draw(place, width=40, height=60)
    with pytest.raises(ValueError, match="40x60 pixels, turned as its EXIF orientation says, and its annotation is of"):
        train.read(index)


def write_xml(file, *objects):
    file.parent.mkdir(parents=True, exist_ok=True)
    told = "".join(OBJECT.format(name=name, difficult=0, box=box) for name, box in objects)
    file.write_text(f"<annotation><filename>of another machine.jpg</filename>{told}</annotation>")


def write_voc_folder(root, count=6):
    for number in range(count):
        draw(root / f"JPEGImages/{number}.png")
        write_xml(root / f"Annotations/{number}.xml", ("screw" if number % 2 else "nut", [1, 0, 30, 20]))


def test_vocs_xml_with_classes_of_ones_own_is_divided_by_seed(tmp_path):
    write_voc_folder(tmp_path)
    data, train, test = read(f"voc:{tmp_path}")
    assert (len(train), len(test)) == (5, 1) and train.class_names == ("nut", "screw") and data.num_classes == 2
    # From 0 as well: programs differ in where they begin to count.
    assert train.objects[0].boxes.tolist() == [[0.0, 0.0, 30.0, 20.0]]
    assert train.name(0).startswith("JPEGImages/") and train.read(0).size == (60, 40)


def test_vocs_lists_divide_it(tmp_path):
    write_voc_folder(tmp_path)
    lists = tmp_path / "ImageSets/Main"
    lists.mkdir(parents=True)
    for name, numbers in {"train": "0\n1\n", "val": "2\n\n", "trainval": "0\n1\n2\n", "nut_train": "0 1\n"}.items():
        (lists / f"{name}.txt").write_text(numbers)
    _, train, test = read(f"voc:{tmp_path}")
    assert names_of(train) == ["JPEGImages/0.png", "JPEGImages/1.png"] and names_of(test) == ["JPEGImages/2.png"]
    (lists / "test.txt").write_text("3\n4\n")
    data, train, test = read(f"voc:{tmp_path}")
    assert (len(train), len(test), data.validation) == (3, 2, None)
    (lists / "test.txt").write_text("\n")
    with pytest.raises(ValueError, match="test has no images; list some"):
        load(f"voc:{tmp_path}")
    (lists / "test.txt").write_text("3\n44\n")
    with pytest.raises(ValueError, match=r"1 of 2 images that .*test.txt names have no XML file: 44"):
        load(f"voc:{tmp_path}")


def test_vocs_xml_beside_the_images_in_a_folder_for_every_part(tmp_path):
    for part, name in (("train", "a"), ("train", "b"), ("valid", "c")):
        draw(tmp_path / part / f"{name}.jpg")
        write_xml(tmp_path / part / f"{name}.xml", ("nut", [2, 2, 9, 9]))
    _, train, test = read(f"voc:{tmp_path}")
    assert names_of(train) == ["train/a.jpg", "train/b.jpg"] and names_of(test) == ["valid/c.jpg"]
    draw(tmp_path / "more/d.jpg")
    write_xml(tmp_path / "more/d.xml", ("nut", [2, 2, 9, 9]))
    with pytest.raises(ValueError, match=r"or no such names at all; found images: train 2, test 1, no part 1"):
        load(f"voc:{tmp_path}")


def test_a_folder_of_xml_that_cannot_be_read_is_an_error_that_says_how(tmp_path):
    with pytest.raises(ValueError, match="expected Annotations/.* found nothing"):
        load(f"voc:{tmp_path}")
    write_voc_folder(tmp_path)
    (tmp_path / "JPEGImages/3.png").unlink()
    with pytest.raises(ValueError, match=r"1 of 6 annotations .* have no image of their name .*: Annotations/3.xml"):
        load(f"voc:{tmp_path}")
    with pytest.raises(ValueError, match="there is no such folder"):
        load(f"voc:{tmp_path / 'nothing'}")


def test_lists_by_other_names_and_with_folders_are_known(tmp_path):
    root = tmp_path / "VOC2007"
    write_voc_folder(root)
    lists = root / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "Train.txt").write_bytes(b"\xef\xbb\xbf0\r\nJPEGImages/1.png\r\n")
    (lists / "Validation.txt").write_text("2\n")
    (lists / "default.txt").write_text("5\n")
    _, train, test = read(f"voc:{root}")
    assert names_of(train) == ["JPEGImages/0.png", "JPEGImages/1.png"] and names_of(test) == ["JPEGImages/2.png"]
    (lists / "Train.txt").write_bytes("0".encode("utf-16"))
    with pytest.raises(ValueError, match="Train.txt: no text in UTF-8"):
        load(f"voc:{root}")
    with pytest.raises(ValueError, match=f"did you mean voc:{root}"):
        load(f"voc:{tmp_path}")


def test_two_annotations_of_one_image_and_two_images_of_one_annotation_are_told(tmp_path):
    write_voc_folder(tmp_path)
    draw(tmp_path / "JPEGImages/3.jpg")
    with pytest.raises(ValueError, match=r"several images of their name: Annotations/3.xml \(3.jpg, 3.png\)"):
        load(f"voc:{tmp_path}")
    file = tmp_path / "Annotations/3.xml"
    file.write_text(file.read_text().replace("of another machine.jpg", "3.png"))
    _, train, test = read(f"voc:{tmp_path}")
    assert "JPEGImages/3.png" in names_of(train) + names_of(test)
    write_xml(tmp_path / "Annotations_old/1.xml", ("nut", [2, 2, 9, 9]))
    with pytest.raises(ValueError, match=r"1 of 7 annotations in .* are of one image: .*1.xml and .*1.xml"):
        load(f"voc:{tmp_path}")


@pytest.mark.parametrize(
    ("images", "annotations"),
    [("data", "labels"), ("train/images", "train/labels"), ("images/train", "labels/train"), ("train", "train/xmls")],
)
def test_other_names_for_the_folders_of_images_and_annotations(tmp_path, images, annotations):
    for name in ("a", "b"):
        draw(tmp_path / images / f"{name}.jpg")
        write_xml(tmp_path / annotations / f"{name}.xml", ("nut", [2, 2, 9, 9]))
    _, train, test = read(f"voc:{tmp_path}")
    assert sorted(names_of(train) + names_of(test)) == [f"{images}/a.jpg", f"{images}/b.jpg"]


def test_near_addresses_are_proposed(tmp_path):
    with pytest.raises(ValueError, match=f"did you mean coco:{tmp_path}"):
        load(f"cocos:{tmp_path}")
    write_official(tmp_path / "fish")
    write_voc_folder(tmp_path / "nuts")
    for kind, name in (("coco", "fish"), ("voc", "nuts")):
        with pytest.raises(ValueError, match=f"did you mean {kind}:{tmp_path / name}"):
            load(str(tmp_path / name))
        with pytest.raises(ValueError, match=f"; nearest: {name}"):
            load(f"{kind}:{tmp_path / name}s")


def test_blanks_around_a_name_make_no_class_and_difficult_may_be_a_word(tmp_path):
    write_voc_folder(tmp_path)
    said = OBJECT.format(name=" nut\n", difficult="True", box=[1, 0, 30, 20])
    (tmp_path / "Annotations/0.xml").write_text(f"<annotation><filename>0.png</filename>{said}</annotation>")
    data, train, test = read(f"voc:{tmp_path}")
    assert train.class_names == ("nut", "screw")
    assert sum(int(one.difficult.sum()) for one in (*train.objects, *test.objects)) == 1
