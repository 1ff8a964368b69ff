"""Posters and trailers: read from files of every kind, bounded, and kept by content."""

import io
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
import torch
from av.stream import Disposition
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from builders import ROOT, MakeOnce, put
from motags.artifacts import sha256
from motags.errors import MotagsError
from motags.evidence import picture_files, pictures
from motags.evidence.image_encoder import PretrainedImageEncoder, save
from motags.evidence.picture_files import PictureInput, Unseen, decoded_picture, frames, read_picture
from motags.evidence.pictures import (
    FilmPictures,
    ImageEncoder,
    PictureStore,
    SeenFilms,
    film_pictures,
    films_digest,
    picture_counts,
    read_vectors,
    vectors_of,
    vectors_of_catalogue,
    vectors_of_films,
    with_pictures,
    write_vectors,
)
from motags.films.text import Entry

REAL = ROOT.parent / "shared" / "real"
TAKES = PictureInput(32, (0.5,) * 3, (0.5,) * 3)  # colours from -1 to 1
RED, GREEN, BLUE, WHITE = (1, -1, -1), (-1, 1, -1), (-1, -1, 1), (1, 1, 1)
needs_real = pytest.mark.skipif(not REAL.exists(), reason="shared/real is missing")


@pytest.fixture(autouse=True)
def _quiet_again() -> None:
    """Every test has warning filters of its own, so that what is set once must be set again."""
    picture_files._quiet.cache_clear()


def quarters(width: int = 40, height: int = 60) -> Image.Image:
    """Red and green above, blue and white below."""
    image = Image.new("RGB", (width, height))
    for n, colour in enumerate(["red", "lime", "blue", "white"]):
        image.paste(colour, (n % 2 * width // 2, n // 2 * height // 2, (n % 2 + 1) * width // 2, (n // 2 + 1) * height))
    return image


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8))


def as_bytes(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def corners(picture: np.ndarray) -> list[tuple[int, ...]]:
    """The colours in the middles of the four quarters, row by row, rounded."""
    assert picture.shape == (3, 32, 32)
    assert picture.dtype == np.float32
    return [tuple(int(v) for v in picture[:, y, x].round()) for y in (8, 24) for x in (8, 24)]


def reason_of(read: Callable[[], object]) -> str:
    with pytest.raises(Unseen) as caught:
        read()
    return caught.value.reason


@pytest.mark.parametrize(
    ("form", "options"),
    [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {"lossless": True})],
)
def test_a_poster_is_squashed_whole_into_the_square(form: str, options: dict[str, object], tmp_path: Path) -> None:
    path = put(tmp_path / "a poster.of any name", as_bytes(quarters(), form, **options))
    assert corners(read_picture(path, TAKES)) == [RED, GREEN, BLUE, WHITE]


def test_colours_are_normalised_by_the_encoders_own_numbers() -> None:
    takes = PictureInput(8, (0.5, 0.25, 0.0), (0.5, 0.25, 2.0))
    picture = decoded_picture(as_bytes(Image.new("RGB", (9, 9), (255, 0, 51)), "PNG"), takes)
    np.testing.assert_allclose(picture.mean((1, 2)), [1.0, -1.0, 0.1], atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_every_way_to_store_colours_ends_in_three(mode: str) -> None:
    grey = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (64, 1))
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(grey).convert("RGB").convert(mode)
    picture = decoded_picture(as_bytes(image, "JPEG" if mode == "CMYK" else "PNG"), TAKES)
    assert picture[:, :, 1].mean() < -0.85
    assert picture[:, :, -2].mean() > 0.85
    assert np.abs(picture[0] - picture[2]).max() < 0.1


def test_what_is_transparent_is_white() -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert corners(decoded_picture(as_bytes(image, "PNG"), TAKES)) == [WHITE] * 4
    palette = Image.new("P", (8, 8), 0)
    assert corners(decoded_picture(as_bytes(palette, "PNG", transparency=0), TAKES)) == [WHITE] * 4


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [RED, GREEN, BLUE, WHITE]), (2, [GREEN, RED, WHITE, BLUE]), (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]), (5, [RED, BLUE, GREEN, WHITE]), (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]), (8, [GREEN, WHITE, RED, BLUE]), (99, [RED, GREEN, BLUE, WHITE]),
    ],
)  # fmt: skip
def test_a_poster_is_turned_as_its_exif_data_says(orientation: int, expected: list[tuple[int, ...]]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert corners(decoded_picture(as_bytes(quarters(), "JPEG", exif=exif), TAKES)) == expected


def test_damaged_exif_data_costs_no_poster() -> None:
    data = as_bytes(quarters(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert corners(decoded_picture(data, TAKES)) == [RED, GREEN, BLUE, WHITE]


def test_a_photograph_with_a_second_one_for_3d_is_no_animation() -> None:
    data = as_bytes(quarters(), "MPO", save_all=True, append_images=[noise()], quality=95)
    assert corners(decoded_picture(data, TAKES)) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1), (3001, 4501)])
def test_pictures_of_any_shape_are_read(width: int, height: int) -> None:
    assert decoded_picture(as_bytes(Image.new("RGB", (width, height)), "JPEG"), TAKES).shape == (3, 32, 32)


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises a size, made by hand, with next to no data."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(bytes(99))) + part(b"IEND", b"")


@pytest.mark.parametrize("side", [7_100, 9_600, 20_000, 2**31 - 1])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(side: int) -> None:
    started = time.monotonic()
    assert reason_of(lambda: decoded_picture(png_of(side, side), TAKES)) == "too many pixels"
    assert time.monotonic() - started < 2


ANIMATION: dict[str, Any] = {"save_all": True, "append_images": [noise()], "duration": 100}
BAD_PICTURES = {
    "no bytes": (b"", "no JPEG, PNG or WebP picture"),
    "text": (b"Sorry, no poster here: 404", "no JPEG, PNG or WebP picture"),
    "page": (b"<!DOCTYPE html><html><body>Not found</body></html>", "no JPEG, PNG or WebP picture"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "no JPEG, PNG or WebP picture"),
    "bmp": (as_bytes(quarters(), "BMP"), "no JPEG, PNG or WebP picture"),
    "tiff": (as_bytes(quarters(), "TIFF"), "no JPEG, PNG or WebP picture"),
    "gif": (as_bytes(quarters(), "GIF", **ANIMATION), "no JPEG, PNG or WebP picture"),
    "apng": (as_bytes(quarters(), "PNG", **ANIMATION), "an animation"),
    "webp animation": (as_bytes(quarters(), "WEBP", **ANIMATION), "an animation"),
    "cut jpeg": (as_bytes(noise(), "JPEG")[:-500], "damaged"),
    "cut png": (as_bytes(noise(), "PNG")[:-500], "damaged"),
    "cut webp": (as_bytes(noise(), "WEBP")[:-500], "no JPEG, PNG or WebP picture"),
    "cut header": (as_bytes(noise(), "JPEG")[:15], "no JPEG, PNG or WebP picture"),
    "no width": (png_of(0, 9), "no JPEG, PNG or WebP picture"),
    "little data": (png_of(99, 99), "damaged"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_file_that_is_no_single_whole_picture_says_why(name: str) -> None:
    data, reason = BAD_PICTURES[name]
    assert reason_of(lambda: decoded_picture(data, TAKES)) == reason


@pytest.mark.parametrize("read", [lambda path: read_picture(path, TAKES), lambda path: frames(path, 4, TAKES)])
def test_a_path_that_names_no_readable_file_says_why(read: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(tmp_path / "pipe")
    put(tmp_path / "empty.jpg", b"")
    put(tmp_path / "file", b"x")
    expected = {
        "gone.jpg": "missing", "nowhere": "missing", "file/poster.jpg": "missing", ".": "not a file",
        "pipe": "not a file", "loop": "can't be opened", "a\0b": "can't be opened", "x" * 300: "can't be opened",
        "empty.jpg": "empty",
    }  # fmt: skip
    for name, reason in expected.items():
        assert reason_of(lambda name=name: read(tmp_path / name)) == reason, name  # type: ignore[misc]
    assert reason_of(lambda: read(Path("/dev/zero"))) == "not a file"
    assert reason_of(lambda: read(Path("https://example.org/poster.jpg"))) == "missing"


def test_a_link_to_a_poster_is_read(tmp_path: Path) -> None:
    put(tmp_path / "poster.png", as_bytes(quarters(), "PNG"))
    (tmp_path / "link").symlink_to(tmp_path / "poster.png")
    assert corners(read_picture(tmp_path / "link", TAKES)) == [RED, GREEN, BLUE, WHITE]


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    for name, size in (("poster.jpg", 51 * 2**20), ("trailer.mp4", 5 * 2**30)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)  # a hole, which takes no disk
    assert reason_of(lambda: read_picture(tmp_path / "poster.jpg", TAKES)) == "file too large"
    assert reason_of(lambda: frames(tmp_path / "trailer.mp4", 8, TAKES)) == "file too large"


PICTURE_SEEDS = [
    as_bytes(noise(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
    as_bytes(noise().convert("CMYK"), "JPEG", progressive=True), as_bytes(noise(), "PNG"),
    as_bytes(noise().convert("P"), "PNG"), as_bytes(noise(), "WEBP"), as_bytes(quarters(), "PNG", **ANIMATION),
]  # fmt: skip
Damage = list[tuple[float, int]]
DAMAGE = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=20)


def damaged(data: bytes, damage: Damage, kept: float) -> bytes:
    """The data with some bytes replaced, and its end cut off."""
    changed = bytearray(data)
    for place, value in damage:
        changed[int(place**3 * len(data))] = value  # more often near the beginning, where the headers are
    return bytes(changed[: int(len(data) * kept) + 1])


@settings(max_examples=300)
@given(st.sampled_from(PICTURE_SEEDS), DAMAGE, st.sampled_from([1.0, 1.0, 0.9, 0.5]))
def test_no_damage_ends_in_anything_but_a_picture_or_a_reason(data: bytes, damage: Damage, kept: float) -> None:
    with suppress(Unseen):
        assert np.isfinite(decoded_picture(damaged(data, damage, kept), TAKES)).all()


def video(
    path: Path, n: int = 30, codec: str = "libx264", size: tuple[int, int] = (64, 48), rate: int = 10,
    sound: bool = False, step: int = 1, image: np.ndarray | None = None, **options: str,
) -> Path:  # fmt: skip
    """A video of n frames that grow brighter, or of one image; `step` units of 1 / rate apart."""
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        audio = container.add_stream("aac", rate=44100) if sound else None
        for number in range(n):
            grey = np.full((size[1], size[0], 3), number * 255 // n, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey if image is None else image, format="rgb24")
            frame.pts, frame.time_base = number * step, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None:
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            tone.sample_rate = 44100
            container.mux(audio.encode(tone))
            container.mux(audio.encode())
    return path


def brightness(path: Path, count: int = 8) -> list[float]:
    found = frames(path, count, TAKES)
    assert all(picture.shape == (3, 32, 32) and picture.dtype == np.float32 for picture in found)
    return [float(picture.mean()) for picture in found]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"), ("a.mp4", "libx265"), ("a.mkv", "libx264"), ("a.webm", "libvpx"),
        ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4"), ("a.ts", "libx264"), ("a.flv", "libx264"), ("a.mov", "mpeg4"),
    ],
)  # fmt: skip
def test_frames_are_spread_over_a_trailer(name: str, codec: str, tmp_path: Path) -> None:
    found = brightness(video(tmp_path / name, codec=codec))
    assert len(found) == (7 if name == "a.flv" else 8)  # FLV counts a frame less
    assert found == sorted(found)
    assert found[1] < -0.3
    assert found[-1] > 0.5
    assert np.diff(found).max() < 0.6


@pytest.mark.parametrize("sound", [False, True])
@pytest.mark.parametrize("size", [(64, 48), (48, 64), (16, 240)])
def test_with_sound_or_without_upright_or_wide(sound: bool, size: tuple[int, int], tmp_path: Path) -> None:
    found = brightness(video(tmp_path / "a.mp4", size=size, sound=sound))
    assert len(found) == 8
    assert found == sorted(found)


def test_a_trailer_of_few_frames_gives_few(tmp_path: Path) -> None:
    assert len(brightness(video(tmp_path / "one.mp4", n=1))) == 1
    assert len(brightness(video(tmp_path / "one.webm", n=1, codec="libvpx"))) == 1
    assert len(brightness(video(tmp_path / "three.mp4", n=3))) == 3


def test_one_frame_is_asked_for_and_given(tmp_path: Path) -> None:
    assert len(brightness(video(tmp_path / "a.mp4"), count=1)) == 1


def test_a_trailer_without_length_is_decoded_from_its_beginning(tmp_path: Path) -> None:
    path = video(tmp_path / "live.webm", n=60, codec="libvpx", live="1")
    with av.open(path) as container:
        assert container.duration is None
    found = brightness(path)
    assert len(found) == 8
    assert found == sorted(found)
    assert found[-1] > 0.6


def test_a_trailer_of_an_hour_is_read_at_its_key_frames(tmp_path: Path) -> None:
    path = video(tmp_path / "hour.mp4", n=3600, rate=1, g="30", preset="ultrafast")
    started = time.monotonic()
    found = brightness(path)
    assert time.monotonic() - started < 5
    assert len(found) == 8
    np.testing.assert_allclose(np.diff(found), 0.25, atol=0.03)


def test_a_trailer_that_is_turned_by_its_player_is_turned(tmp_path: Path) -> None:
    """A telephone held upright writes a wide picture, and a matrix."""
    path = video(tmp_path / "a.mp4", n=1, image=np.asarray(quarters(64, 48)), size=(64, 48), crf="1")
    assert corners(frames(path, 1, TAKES)[0]) == [RED, GREEN, BLUE, WHITE]
    one, minus = struct.pack(">i", 1 << 16), struct.pack(">i", -1 << 16)
    identity = one + bytes(12) + one + bytes(12) + struct.pack(">i", 1 << 30)
    clockwise = bytes(4) + one + bytes(4) + minus + bytes(16) + struct.pack(">i", 1 << 30)
    data = path.read_bytes()
    place = data.index(identity, data.index(b"tkhd"))
    path.write_bytes(data[:place] + clockwise + data[place + len(identity) :])
    assert corners(frames(path, 1, TAKES)[0]) == [BLUE, RED, WHITE, GREEN]


def test_a_trailer_that_is_cut_gives_what_is_left(tmp_path: Path) -> None:
    whole = video(tmp_path / "whole.mp4", n=200, g="10", movflags="faststart").read_bytes()
    found = brightness(put(tmp_path / "cut.mp4", whole[: len(whole) * 2 // 3]))
    assert 1 <= len(found) < 8
    assert found == sorted(found)
    index_at_the_end = video(tmp_path / "end.mp4", n=200).read_bytes()
    cut = put(tmp_path / "cut.mp4", index_at_the_end[: len(index_at_the_end) // 2])
    assert reason_of(lambda: frames(cut, 8, TAKES)) == "no video"


def test_a_trailer_with_a_hole_gives_the_frames_beside_it(tmp_path: Path) -> None:
    data = bytearray(video(tmp_path / "a.mp4", n=200, g="10").read_bytes())
    data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    assert 1 <= len(brightness(put(tmp_path / "a.mp4", bytes(data)))) <= 8


def test_what_is_no_video_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    contents = {
        "garbage": rng.bytes(5000), "text": b"Video unavailable", "page": b"<html>404</html>",
        "picture": as_bytes(quarters(), "JPEG"), "animation": as_bytes(quarters(), "GIF", **ANIMATION),
        "subtitles": b"1\n00:00:00,000 --> 00:00:01,000\nHello\n",
    }  # fmt: skip
    for name, data in contents.items():
        path = put(tmp_path / f"{name}.mp4", data)
        assert reason_of(lambda path=path: frames(path, 8, TAKES)) == "no video", name  # type: ignore[misc]


def test_sound_with_a_cover_is_no_trailer(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        audio: Any = container.add_stream("aac", rate=44100)
        cover: Any = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.asarray(quarters(64, 48)), format="rgb24")))
        container.mux(cover.encode())
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        tone.sample_rate = 44100
        container.mux(audio.encode(tone))
        container.mux(audio.encode())
    assert reason_of(lambda: frames(path, 8, TAKES)) == "no video"


PLAYLISTS = {
    "concat": ("ffconcat version 1.0\nfile '{}'\n", "list.txt", {"safe": "0"}),
    "hls": (
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3.0,\n{}\n#EXT-X-ENDLIST\n",
        "list.m3u8",
        {"allowed_extensions": "ALL"},
    ),
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_in_disguise_opens_no_other_file(kind: str, tmp_path: Path) -> None:
    text, name, options = PLAYLISTS[kind]
    playlist = text.format(video(tmp_path / "secret.ts", codec="mpeg2video", rate=25)).encode()
    with av.open(put(tmp_path / name, playlist), options=options) as container:  # it does without the bound
        assert next(container.decode(video=0)).width == 64
    for disguise in ("trailer.mp4", name):
        assert reason_of(lambda disguise=disguise: frames(put(tmp_path / disguise, playlist), 8, TAKES)) == "no video"  # type: ignore[misc]


def test_frames_of_too_many_pixels_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = video(tmp_path / "a.mp4")
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 64 * 48 - 1)
    assert reason_of(lambda: frames(path, 8, TAKES)) in {"too many pixels", "no video"}


def test_a_trailer_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = video(tmp_path / "a.mp4", n=100)
    monkeypatch.setattr(picture_files, "MAX_SECONDS", 0.0)
    assert reason_of(lambda: frames(path, 8, TAKES)) == "too slow to decode"


def test_a_trailer_is_decoded_no_further_than_the_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_files, "MAX_BETWEEN", 5)
    monkeypatch.setattr(picture_files, "MAX_FORWARDS", 20)
    assert max(brightness(video(tmp_path / "a.mp4", n=100, g="1000"))) < -0.8
    assert max(brightness(video(tmp_path / "live.webm", n=100, codec="libvpx", live="1"))) < -0.5


@pytest.fixture(scope="module")
def video_seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("videos")
    names = {"a.mp4": "libx264", "a.webm": "libvpx", "a.avi": "mpeg4", "a.ts": "mpeg2video", "a.flv": "libx264"}
    return [video(folder / name, n=12, codec=codec).read_bytes() for name, codec in names.items()]


@settings(max_examples=100)
@given(st.integers(0, 4), DAMAGE, st.sampled_from([1.0, 1.0, 0.9, 0.5]))
def test_no_damage_to_a_trailer_ends_in_anything_but_pictures_or_a_reason(
    video_seeds: list[bytes], tmp_path_factory: pytest.TempPathFactory, seed: int, damage: Damage, kept: float
) -> None:
    path = put(tmp_path_factory.getbasetemp() / "damaged", damaged(video_seeds[seed], damage, kept))
    with suppress(Unseen):
        assert 1 <= len(frames(path, 4, TAKES)) <= 4


class TinyNetwork(nn.Module):
    """Vectors (m, 5) of pictures."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.convolution = nn.Conv2d(3, 5, 3, stride=2)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.convolution(batch).relu().mean((2, 3))


@pytest.fixture(scope="session")
def encoder_folder(once: MakeOnce) -> Path:
    return once("image-encoder", lambda folder: save(PretrainedImageEncoder("tiny", TinyNetwork(0), TAKES), folder))


@pytest.fixture
def tiny(encoder_folder: Path) -> ImageEncoder:
    return ImageEncoder(encoder_folder, threads=2)


def test_the_graph_answers_as_the_network(tiny: ImageEncoder) -> None:
    batch = np.random.default_rng(0).normal(size=(7, 3, 32, 32)).astype(np.float32)
    with torch.inference_mode():
        expected = TinyNetwork(0)(torch.from_numpy(batch)).numpy()
    found = tiny.encode(batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert tiny.encode([]).shape == (0, 5)
    assert (tiny.name, tiny.d, tiny.takes) == ("tiny", 5, TAKES)


def test_no_vector_feels_its_neighbours_or_threads(encoder_folder: Path) -> None:
    batch = np.random.default_rng(0).normal(size=(9, 3, 32, 32)).astype(np.float32)
    together = ImageEncoder(encoder_folder, threads=4).encode(batch)
    one = ImageEncoder(encoder_folder, threads=1)
    np.testing.assert_array_equal(together, np.concatenate([one.encode([picture]) for picture in batch]))


def test_a_trailers_vector_is_the_mean_of_its_frames(tiny: ImageEncoder, tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4")
    expected = tiny.encode(frames(path, 4, TAKES)).mean(0)
    np.testing.assert_allclose(tiny.trailer_vector(path, 4), expected, rtol=1e-6)


def test_a_damaged_encoder_is_refused(encoder_folder: Path, tmp_path: Path) -> None:
    for file in encoder_folder.iterdir():
        put(tmp_path / file.name, file.read_bytes())
    put(tmp_path / "encoder.safetensors", (tmp_path / "encoder.safetensors").read_bytes()[:-1] + b"x")
    with pytest.raises(MotagsError, match="is damaged"):
        ImageEncoder(tmp_path)


def poster_files(folder: Path, n: int) -> list[Path]:
    rng = np.random.default_rng(0)
    drawn = [Image.fromarray(rng.integers(0, 256, (30, 20, 3), dtype=np.uint8)) for _ in range(n)]
    return [put(folder / f"{n}.png", as_bytes(image, "PNG")) for n, image in enumerate(drawn)]


def test_a_second_run_encodes_only_what_is_new(
    tiny: ImageEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = poster_files(tmp_path, 6)
    kept = tmp_path / "store.safetensors"
    first, reasons = vectors_of(paths[:4], tiny, PictureStore(kept, tiny))
    assert list(first) == paths[:4]
    assert not reasons
    np.testing.assert_array_equal(first[paths[1]], tiny.poster_vector(paths[1]))
    encoded: list[bytes] = []

    def watched(data: bytes, takes: PictureInput) -> np.ndarray:
        encoded.append(data)
        return decoded_picture(data, takes)

    monkeypatch.setattr(pictures, "decoded_picture", watched)
    paths[0].rename(tmp_path / "renamed")
    second, _ = vectors_of([tmp_path / "renamed", *paths[1:]], tiny, PictureStore(kept, tiny))
    assert len(encoded) == 2
    np.testing.assert_array_equal(second[tmp_path / "renamed"], first[paths[0]])
    assert len(PictureStore(kept, tiny)) == 6


def test_the_same_pictures_make_the_same_store_in_any_order(tiny: ImageEncoder, tmp_path: Path) -> None:
    paths = poster_files(tmp_path, 6)
    for name, order in (("a", paths), ("b", paths[::-1])):
        vectors_of(order, tiny, PictureStore(tmp_path / name, tiny))
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")
    before = sha256(tmp_path / "a")
    vectors_of(paths, tiny, PictureStore(tmp_path / "a", tiny))
    assert sha256(tmp_path / "a") == before


def test_what_another_encoder_has_kept_is_not_used(tiny: ImageEncoder, tmp_path: Path) -> None:
    paths, kept = poster_files(tmp_path, 3), tmp_path / "store.safetensors"
    first, _ = vectors_of(paths, tiny, PictureStore(kept, tiny))
    save(PretrainedImageEncoder("tiny", TinyNetwork(1), TAKES), tmp_path / "other")
    other = ImageEncoder(tmp_path / "other", 1)
    assert other.digest != tiny.digest
    store = PictureStore(kept, other)
    assert len(store) == 0
    second, _ = vectors_of(paths, other, store)
    assert all((first[path] != second[path]).any() for path in paths)
    assert len(PictureStore(kept, other)) == 3


def test_a_damaged_store_is_refused(tiny: ImageEncoder, tmp_path: Path) -> None:
    kept = tmp_path / "store.safetensors"
    vectors_of(poster_files(tmp_path, 3), tiny, PictureStore(kept, tiny))
    put(kept, kept.read_bytes()[:-1] + b"x")
    with pytest.raises(MotagsError, match="is damaged"):
        PictureStore(kept, tiny)


def test_a_long_run_keeps_what_it_has_on_the_way(
    tiny: ImageEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "CHUNK", 2)
    monkeypatch.setattr(pictures, "KEPT_EVERY", -1.0)
    kept, paths = tmp_path / "store.safetensors", poster_files(tmp_path, 6)
    read, sizes = tiny.picture_vector, []

    def watched(data: bytes) -> np.ndarray:
        sizes.append(len(PictureStore(kept, tiny)))
        return read(data)

    monkeypatch.setattr(tiny, "picture_vector", watched)
    vectors_of(paths, tiny, PictureStore(kept, tiny))
    assert sizes == [0, 0, 2, 2, 4, 4]


def test_posters_and_trailers_of_films_with_the_reasons_for_those_without(tiny: ImageEncoder, tmp_path: Path) -> None:
    poster, same = poster_files(tmp_path, 2)[0], put(tmp_path / "same.png", (tmp_path / "0.png").read_bytes())
    trailer, text = video(tmp_path / "a.mp4"), put(tmp_path / "b.mp4", b"no")
    films = [
        FilmPictures("a", poster, trailer), FilmPictures("b", same, text), FilmPictures("c"),
        FilmPictures("d", tmp_path / "gone.jpg", trailer), FilmPictures("ö\n", tmp_path / "gone.jpg"),
    ]  # fmt: skip
    store = PictureStore(tmp_path / "store.safetensors", tiny)
    looked = vectors_of_films(films, tiny, store, trailer_frames=4)
    assert looked.reasons == {"posters": {"missing": 2, "none named": 1}, "trailers": {"no video": 1, "none named": 2}}
    assert (list(looked.posters), list(looked.trailers)) == (["a", "b"], ["a", "d"])
    np.testing.assert_array_equal(looked.posters["a"], looked.posters["b"])
    np.testing.assert_array_equal(looked.trailers["d"], tiny.trailer_vector(trailer, 4))
    assert len(PictureStore(tmp_path / "store.safetensors", tiny)) == 2
    for name in ("one.safetensors", "other.safetensors"):
        write_vectors(tmp_path / name, looked, "corpus")
    assert sha256(tmp_path / "one.safetensors") == sha256(tmp_path / "other.safetensors")
    posters, trailers = read_vectors(tmp_path / "one.safetensors", "corpus")
    assert (list(posters), list(trailers)) == (["a", "b"], ["a", "d"])
    np.testing.assert_array_equal(trailers["a"], looked.trailers["a"])
    with pytest.raises(MotagsError, match="other films"):
        read_vectors(tmp_path / "one.safetensors", "another corpus")


def test_films_without_any_picture_make_an_empty_file(tiny: ImageEncoder, tmp_path: Path) -> None:
    looked = vectors_of_films([FilmPictures("a")], tiny, PictureStore(tmp_path / "store", tiny), 8)
    write_vectors(tmp_path / "out", looked, "corpus")
    assert read_vectors(tmp_path / "out", "corpus") == ({}, {})
    assert len(PictureStore(tmp_path / "store", tiny)) == 0


def test_frames_of_another_number_are_kept_apart(tiny: ImageEncoder, tmp_path: Path) -> None:
    path, kept = video(tmp_path / "a.mp4"), tmp_path / "store"
    two, _ = vectors_of([path], tiny, PictureStore(kept, tiny), 2)
    eight, _ = vectors_of([path], tiny, PictureStore(kept, tiny), 8)
    assert (two[path] != eight[path]).any()
    assert len(PictureStore(kept, tiny)) == 2


def test_counts_of_each_kind_add_up_to_the_films(tiny: ImageEncoder, tmp_path: Path) -> None:
    text, (poster,) = put(tmp_path / "b.mp4", b"no"), poster_files(tmp_path, 1)
    films = [FilmPictures("a", poster, text), FilmPictures("b", text), FilmPictures("c", text), FilmPictures("d")]
    looked = vectors_of_films(films, tiny, PictureStore(tmp_path / "store", tiny), 2)
    assert picture_counts(looked) == {
        "posters": 1,
        "trailers": 0,
        "unseen": {
            "posters": {"none_named": 1, "no_jpeg_png_or_webp_picture": 2},
            "trailers": {"none_named": 3, "no_video": 1},
        },
    }
    unreadable = SeenFilms({}, {}, {"posters": {"can't be opened": 1}, "trailers": {}})
    assert picture_counts(unreadable)["unseen"] == {"posters": {"cant_be_opened": 1}, "trailers": {}}


def test_films_that_name_no_file_need_neither_encoder_nor_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_files, "find_spec", lambda _: None)
    looked = vectors_of_catalogue([FilmPictures("a"), FilmPictures("b")], tmp_path / "none", tmp_path / "store", 8, 1)
    assert looked == SeenFilms({}, {}, {"posters": {"none named": 2}, "trailers": {"none named": 2}})
    assert not (tmp_path / "store").exists()
    with pytest.raises(MotagsError, match=r"pip install 'motags\[media\]'"):
        vectors_of_catalogue([FilmPictures("a", Path("a.jpg"))], tmp_path / "none", tmp_path / "store", 8, 1)


def test_the_files_of_films_are_those_of_their_facts() -> None:
    facts = pd.DataFrame(
        {"id": ["a", "b"], "poster": ["p/a.jpg", None], "trailer": pd.Series([None, None], dtype="str")}
    )
    assert film_pictures(facts) == [FilmPictures("a", Path("p/a.jpg")), FilmPictures("b")]


def test_films_get_the_vectors_of_their_pictures_beside_others() -> None:
    films = [Entry("a", None, "", vectors={"sound": np.ones(1)}), Entry("b", None, "")]
    poster, trailer = np.zeros(2), np.ones(3)
    first, second = with_pictures(films, {"a": poster, "x": poster}, {"a": trailer, "b": trailer})
    assert list(first.vectors) == ["sound", "poster", "trailer"]
    assert (first.vectors["poster"] is poster, first.vectors["trailer"] is trailer) == (True, True)
    assert list(second.vectors) == ["trailer"]
    assert list(films[0].vectors) == ["sound"]


def test_other_films_have_another_digest() -> None:
    digests = {films_digest(ids) for ids in ([], ["a"], ["a", "b"], ["b", "a"], ["a, b"])}
    assert len(digests) == 5


def test_without_the_extra_one_sentence_says_what_to_install(
    encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_files, "find_spec", lambda _: None)
    with pytest.raises(MotagsError, match=r"need Pillow and PyAV: pip install 'motags\[media\]'"):
        ImageEncoder(encoder_folder)


def test_pictures_import_neither_the_extra_nor_the_training_stack() -> None:
    heavy = ("PIL", "av", "torch", "pydantic", "transformers")
    code = f"import sys, motags.evidence.pictures; print(sorted(set({heavy!r}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@needs_real
@pytest.mark.parametrize("name", ["rabbit.mp4", "elf.mp4", "bunny.webm"])
def test_real_clips_give_eight_different_frames(name: str) -> None:
    found = frames(REAL / "clips" / name, 8, TAKES)
    assert len(found) == 8
    assert all(np.abs(one - other).max() > 0.02 for one, other in pairwise(found))


@needs_real
def test_real_posters_are_read() -> None:
    for path in sorted((REAL / "posters").iterdir())[:50]:
        picture = read_picture(path, TAKES)
        assert picture.min() >= -1
        assert picture.max() <= 1
        assert np.ptp(picture) > 0.1
