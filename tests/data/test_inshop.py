import pytest

from understudy.data import load
from understudy.data.named.inshop import inshop

ROWS = [
    "img/WOMEN/Dresses/id_00000002/02_1_front.jpg                             id_00000002 train",
    "img/WOMEN/Dresses/id_00000002/02_2_side.jpg                              id_00000002 train",
    "img/WOMEN/Blouses_Shirts/id_00000001/02_1_front.jpg                      id_00000001 gallery",
    "img/WOMEN/Blouses_Shirts/id_00000001/02_2_side.jpg                       id_00000001 query",
    "img/MEN/Denim/id_00000080/01_1_front.jpg                                 id_00000080 gallery",
]
HEADING = "image_name item_id evaluation_status"


@pytest.fixture
def write(tmp_path, write_image):
    """A function that writes the partition anew and answers the data folder; images and list lie where it is told."""

    def write_set(rows=ROWS, *, number=None, heading=HEADING, images="Img", list_at="Eval"):
        root = tmp_path / "In-shop Clothes Retrieval Benchmark"
        for row, line in enumerate(rows):
            write_image(root / images / line.split()[0], (row, 0, 0))
        (root / list_at).mkdir(parents=True, exist_ok=True)
        (root / list_at / "list_eval_partition.txt").write_text(
            "\n".join([str(len(rows) if number is None else number), heading, *rows])
        )
        return tmp_path

    return write_set


@pytest.mark.parametrize(("images", "list_at"), [("Img", "Eval"), (".", ".")])
def test_queries_are_the_test_images_and_have_a_gallery_of_their_classes(write, images, list_at):
    found = inshop(write(images=images, list_at=list_at))
    assert found.train.class_names == ("id_00000002",) and len(found.train) == 2
    assert found.test.class_names == found.gallery.class_names == ("id_00000001", "id_00000080")
    assert found.test.labels.tolist() == [0] and found.gallery.labels.tolist() == [0, 1]
    assert found.gallery.read(1).getpixel((0, 0))[0] == 4


def test_the_gallery_comes_with_the_data_set_and_its_fingerprint(write):
    whole = load("inshop", folder=write())
    assert whole.gallery is not None and len(whole.gallery) == 2
    print_of = whole.fingerprint()
    assert load("inshop", folder=write([*ROWS, "img/more.jpg id_00000080 gallery"])).fingerprint() != print_of


def test_what_is_wrong_with_the_partition_is_said(write):
    with pytest.raises(ValueError, match="first line says 9 images, and 5 are listed"):
        inshop(write(number=9))
    with pytest.raises(ValueError, match="expected the heading 'image_name item_id evaluation_status', found 'a b c'"):
        inshop(write(heading="a b c"))
    with pytest.raises(
        ValueError, match="1 lines are not of an image, its item, and train, query or gallery: a.jpg 1 val"
    ):
        inshop(write([*ROWS, "a.jpg 1 val"]))
    with pytest.raises(ValueError, match="1 items are to train on and to test on: id_00000002"):
        inshop(write([*ROWS, "img/x.jpg id_00000002 query"]))
    with pytest.raises(ValueError, match="no image is of query"):
        inshop(write([ROWS[0], ROWS[2]]))


def test_an_empty_list_is_said_to_be_one(write, tmp_path):
    (write() / "In-shop Clothes Retrieval Benchmark" / "Eval" / "list_eval_partition.txt").write_text("")
    with pytest.raises(ValueError, match="expected the number of images, a heading and the images; it has 0 lines"):
        inshop(tmp_path)


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"there is no .*Benchmark; expected there Eval/list_eval_partition.txt"):
        inshop(tmp_path)
