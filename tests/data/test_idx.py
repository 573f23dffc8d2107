import gzip
import re

import numpy as np
import pytest

from hashlearn.data.idx import read_idx

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "images-idx3-ubyte"


def test_bytes_written_by_hand_are_read(path):
    path.write_bytes(b"\0\0\x08\x02" + b"\0\0\0\x02" + b"\0\0\0\x03" + b"abcdef")
    assert read_idx(path, (2, 3)).tobytes() == b"abcdef"


@pytest.mark.parametrize("name", ["images", "images.gz"])
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_compression_is_seen_from_the_contents(tmp_path, idx_bytes, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(idx_bytes(IMAGES)))
    np.testing.assert_array_equal(read_idx(path, IMAGES.shape), IMAGES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: b"", "not an IDX file"),
        (lambda data: data[:3], "not an IDX file"),
        (lambda data: b"\x89PNG" + data[4:], "starts with the bytes '89 50 4e 47'"),
        (lambda data: b"\0\0\x0d\x03" + data[4:], "type 0x0d, expected bytes, 0x08"),
        (lambda data: b"\0\0\x08\x01" + data[4:], "1 dimensions, expected the shape"),
        (lambda data: data[:9], "cut off in its header"),
        (
            lambda data: data[:7] + b"\x03" + data[8:],
            r"the shape \(3, 3, 4\), expected \(2, 3, 4\)",
        ),
        (lambda data: b"\0\0\x08\x03" + b"\xff" * 12 + data[16:], "4294967295"),
        (lambda data: data[:-1], "holds 23 of 24 bytes"),
        (lambda data: data + b"\0", "goes on after the 24 bytes"),
    ],
)
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_wrong_contents_are_refused_with_the_name_of_the_file(
    path, idx_bytes, change, message, pack
):
    path.write_bytes(pack(change(idx_bytes(IMAGES))))
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path, IMAGES.shape)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("length", [5, 15, 30, -9, -1])
def test_compressed_files_that_are_cut_off_are_refused(path, idx_bytes, length):
    path.write_bytes(gzip.compress(idx_bytes(IMAGES))[:length])
    with pytest.raises(ValueError, match=re.escape(str(path)) + " is damaged or cut off"):
        read_idx(path, IMAGES.shape)


@pytest.mark.parametrize("place", [-5, -1])
def test_compressed_files_with_a_wrong_checksum_or_length_are_refused(path, idx_bytes, place):
    data = bytearray(gzip.compress(idx_bytes(IMAGES)))
    data[place] ^= 255
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged"):
        read_idx(path, IMAGES.shape)
