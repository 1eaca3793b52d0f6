import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from understudy.data.rgb import read_rgb


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def pixels(contents: bytes) -> np.ndarray:
    image = read_rgb(contents, "it")
    assert image.mode == "RGB"
    return np.asarray(image)


def test_grey_becomes_three_equal_channels():
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    assert np.array_equal(pixels(saved(Image.fromarray(grey))), np.stack([grey] * 3, axis=2))


def test_transparency_is_dropped_and_the_colour_below_kept():
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert (pixels(saved(clear)) == (10, 20, 30)).all()
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    for transparency in (1, bytes([255, 128])):
        assert (pixels(saved(palette, transparency=transparency)) == (10, 20, 30)).all()
    assert (pixels(saved(Image.new("L", (2, 2), 7), transparency=7)) == 7).all()
    assert (pixels(saved(Image.new("LA", (2, 2), (7, 0)))) == 7).all()


def test_cmyk_becomes_rgb():
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(pixels(saved(red, "JPEG", quality=100)).astype(int) - (255, 0, 0)).max() <= 3


def test_sixteen_bits_become_the_upper_eight():
    deep = np.array([[0, 255, 256, 0x7FFF, 0x8000, 0xFFFF]], dtype=np.uint16)
    for contents in (saved(Image.fromarray(deep)), saved(Image.fromarray(deep), "TIFF")):
        assert pixels(contents)[0, :, 0].tolist() == [0, 0, 1, 127, 128, 255]
    portable = b"P5 6 1 65535\n" + deep.astype(">u2").tobytes()
    assert pixels(portable)[0, :, 0].tolist() == [0, 0, 1, 127, 128, 255]


def test_the_orientation_that_the_camera_noted_is_obeyed():
    lying = np.zeros((6, 8, 3), dtype=np.uint8)
    lying[0, 0] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    upright = pixels(saved(Image.fromarray(lying), exif=exif))
    assert upright.shape == (8, 6, 3) and (upright[0, 5] == 200).all() and upright[0, 0].max() == 0


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(orientation, form):
    # Pillow turns a TIFF by itself.
    exif = Image.Exif()
    exif[0x0112] = orientation
    contents = saved(Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3)), form, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
    assert np.array_equal(pixels(contents), np.asarray(expected))


def test_tags_that_cannot_be_written_again_do_not_break_an_image():
    """Pillow writes all tags anew where it turns an image by itself."""
    tags = struct.pack("<2sHIH", b"II", 42, 8, 2)
    tags += struct.pack("<HHII", 0x010F, 5, 1, 38) + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    contents = saved(Image.new("RGB", (8, 6)), "JPEG", exif=b"Exif\0\0" + tags + struct.pack("<II", 1, 2))
    assert pixels(contents).shape == (8, 6, 3)


def test_thirty_two_bits_of_which_eight_are_used_are_eight():
    small = np.array([[0, 7, 255]], dtype=np.int32)
    assert pixels(saved(Image.fromarray(small), "TIFF"))[0, :, 0].tolist() == [0, 7, 255]


def test_what_cannot_be_read_is_named_with_its_cause(tmp_path):
    whole = saved(Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)))
    cases = {
        "empty.png": (b"", r"is empty \(0 bytes\)"),
        "text.png": (b"no image", "is broken .it does not begin as an image does.$"),
        "half.png": (whole[: len(whole) // 2], "is broken"),
        "float.tif": (saved(Image.new("F", (2, 2), 0.5), "TIFF"), "is broken .*pixels are floats"),
        "deep.tif": (saved(Image.new("I", (2, 2), 70000), "TIFF"), "is broken .*from 70000 to 70000, expected 16 bits"),
    }
    for name, (contents, cause) in cases.items():
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(ValueError, match=f"^{name} {cause}"):
            read_rgb(contents, name)
        with pytest.raises(ValueError, match=f"^here {cause}"):
            read_rgb(tmp_path / name, "here")
    with pytest.raises(ValueError, match="^here is not there$"):
        read_rgb(tmp_path / "absent.png", "here")


def test_an_image_without_pixels_is_refused():
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 4, 8, 2, 0, 0, 0))
    flat = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="^flat is broken"):
        read_rgb(flat, "flat")
