"""Posters and trailers as pictures of one size: read from local files that nobody has checked.

Pillow and PyAV come with the extra `motags[media]`; they are imported when a first file is read. A file
that can't be used costs its film this evidence, never the run: every reader raises `Unseen` with a reason.
Sound is not read.
"""

import io
import stat
import struct
import time
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from motags.errors import MotagsError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from PIL.Image import Image as PillowImage

MAX_PICTURE_BYTES = 50 * 2**20
MAX_VIDEO_BYTES = 4 * 2**30
MAX_PIXELS = 50_000_000  # decoded, 200 MB for a moment
MAX_SECONDS = 20.0  # for one trailer
MAX_BETWEEN = 600  # frames decoded to get from a key frame to the middle of a part
MAX_FORWARDS = 10_000  # frames decoded of a trailer that can't be searched
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP")
VIDEO_FORMATS = "asf,avi,flv,matroska,webm,mov,mp4,mpeg,mpegts,ogg"  # none of them opens other files, as playlists do
ORIENTATION = 0x0112  # the EXIF tag
NOT_READABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    MemoryError,
)  # fmt: skip, what Pillow's decoders raise on damaged bytes


class Unseen(Exception):  # noqa: N818, it is no error of ours: the film goes on without this picture
    """A poster or trailer that can't be used; `reason` is one of a few, to be counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class PictureInput:
    """What an image encoder takes: pictures of size x size px, each of three colours as (x / 255 - mean) / std."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def normalized(self, rgb: np.ndarray) -> np.ndarray:
        """A picture (size, size, 3) uint8 as (3, size, size) float32."""
        mean, std = np.array(self.mean, dtype=np.float32), np.array(self.std, dtype=np.float32)
        return np.ascontiguousarray(((rgb.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1))


def require_media() -> None:
    """Raise MotagsError where Pillow or PyAV is not installed."""
    if missing := [name for module, name in (("PIL", "Pillow"), ("av", "PyAV")) if find_spec(module) is None]:
        raise MotagsError(f"posters and trailers need {' and '.join(missing)}: pip install 'motags[media]'")


@contextmanager
def opened(path: Path, max_bytes: int) -> Iterator[BinaryIO]:
    """Open a regular file of at most `max_bytes`. Raises Unseen: missing, no file, unreadable, empty, too large."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise Unseen("not a file")  # opening a pipe would wait for its writer
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise Unseen("missing") from None
    except (OSError, ValueError):
        raise Unseen("can't be opened") from None
    with file:
        if about.st_size == 0:
            raise Unseen("empty")
        if about.st_size > max_bytes:
            raise Unseen("file too large")
        yield file


def picture_bytes(path: Path) -> bytes:
    """The bytes of a picture's file. Raises Unseen, like `opened`."""
    with opened(path, MAX_PICTURE_BYTES) as file:
        try:
            return file.read(MAX_PICTURE_BYTES)
        except OSError:
            raise Unseen("can't be opened") from None


def read_picture(path: Path, takes: PictureInput) -> np.ndarray:
    """A picture of a JPEG, PNG or WebP file, squashed to a square: nothing of a poster is cut off.

    (Of 2,400 real posters, 25 tags, one ridge regression: mean average precision .270, where a cut square gave .264.)

    It is turned as its EXIF data says; where it is transparent, it stands on white.

    Returns:
        (3, size, size) float32, normalised.

    Raises:
        Unseen: missing, no file, unreadable, empty, too large, no picture, an animation, damaged.
        MotagsError: Pillow is not installed.
    """
    return decoded_picture(picture_bytes(path), takes)


def decoded_picture(data: bytes, takes: PictureInput) -> np.ndarray:
    """The picture (3, size, size) float32 of a file's bytes; see `read_picture`."""
    require_media()
    from PIL import Image  # noqa: PLC0415, an extra

    with _rgb_picture(data, takes.size) as image:
        return takes.normalized(np.asarray(image.resize((takes.size, takes.size), Image.Resampling.BICUBIC)))


def small_jpeg(data: bytes, size: int) -> bytes:
    """A picture's bytes as a JPEG of at most size x size px, without the file's metadata: drawn anew, to be shown.

    Raises:
        Unseen: no picture, an animation, too many pixels, damaged, or Pillow is not installed.
    """
    if find_spec("PIL") is None:
        raise Unseen("it needs Pillow: pip install 'motags[media]'")
    stream = io.BytesIO()
    with _rgb_picture(data, size) as image:
        image.thumbnail((size, size))
        image.info.clear()  # a comment would be written again
        image.save(stream, "JPEG", quality=85)
    return stream.getvalue()


@contextmanager
def _rgb_picture(data: bytes, size: int) -> "Iterator[PillowImage]":
    """A picture in RGB, upright, of at least twice `size` px where the file has as many.

    Raises:
        Unseen: see `read_picture`; also for what goes wrong with the picture inside the block.
    """
    _quiet()
    from PIL import Image  # noqa: PLC0415

    try:
        image = Image.open(io.BytesIO(data), formats=PICTURE_FORMATS)
    except Image.DecompressionBombError:
        raise Unseen("too many pixels") from None
    except NOT_READABLE:
        raise Unseen("no JPEG, PNG or WebP picture") from None
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise Unseen("too many pixels")
        try:
            if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # the others of an MPO are for 3D or HDR
                raise Unseen("an animation")
            image.draft("RGB", (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size
            image.load()
            yield _upright(image)
        except (*NOT_READABLE, Image.DecompressionBombError):
            raise Unseen("damaged") from None


@cache
def _quiet() -> None:
    """Keep what Pillow says of odd files out of logs: the reasons are counted, and `MAX_PIXELS` is below its bound."""
    warnings.filterwarnings("ignore", module="PIL")


def _upright(image: "PillowImage") -> "PillowImage":
    """The image in RGB, turned as its EXIF data says, on white where it is transparent."""
    from PIL import Image  # noqa: PLC0415

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }  # fmt: skip
    try:
        turn = turns.get(image.getexif().get(ORIENTATION, 1))
    except NOT_READABLE:
        turn = None  # damaged EXIF data costs no poster
    rgb = _rgb(image)
    return rgb if turn is None else rgb.transpose(turn)


def _rgb(image: "PillowImage") -> "PillowImage":
    from PIL import Image  # noqa: PLC0415

    if image.mode.startswith("I"):  # grey in 16 bits, which `convert` would cut at 255
        grey = np.clip(np.asarray(image, dtype=np.int64) >> 8, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def frames(path: Path, count: int, takes: PictureInput) -> list[np.ndarray]:
    """Pictures of a trailer, spread over it: of each of `count` equal parts one from near its middle.

    A part is seen at the key frame before its middle, or at its middle where that key frame was seen already.
    A film of fewer frames gives fewer. A file that can't be searched is decoded from its beginning.

    Returns:
        1 to `count` pictures (3, size, size) float32, normalised, in their order.

    Raises:
        Unseen: missing, no file, unreadable, empty, too large, no video, no frame, too slow.
        MotagsError: PyAV is not installed.
    """
    require_media()
    deadline = time.monotonic() + MAX_SECONDS
    with opened(path, MAX_VIDEO_BYTES) as file:
        spread = _by_seeking(file, count, takes.size, deadline)
        if not spread:
            file.seek(0)
            spread = _forwards(file, count, takes.size, deadline)
    if not spread:
        raise Unseen("no frame that can be decoded")
    return [takes.normalized(rgb) for rgb in spread]


@contextmanager
def _video(file: BinaryIO, deadline: float) -> "Iterator[tuple[InputContainer, VideoStream]]":
    """A container that opens nothing but this file, and its first moving pictures, decoded on this thread."""
    import av  # noqa: PLC0415, an extra
    from av.stream import Disposition  # noqa: PLC0415

    options = {"format_whitelist": VIDEO_FORMATS, "protocol_whitelist": "none", "max_pixels": str(MAX_PIXELS)}
    try:
        container = av.open(file, "r", options=options, metadata_errors="replace", timeout=MAX_SECONDS)
    except (av.error.FFmpegError, OSError, ValueError):
        raise Unseen(_slow(deadline) or "no video") from None
    with container:
        streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
        if not streams:
            raise Unseen("no video")
        if streams[0].codec_context is None:
            raise Unseen("no decoder for its video")
        if streams[0].codec_context.width * streams[0].codec_context.height > MAX_PIXELS:
            raise Unseen("too many pixels")
        streams[0].codec_context.thread_count = 1  # files are read beside each other instead
        yield container, streams[0]


def _by_seeking(file: BinaryIO, count: int, size: int, deadline: float) -> list[np.ndarray]:
    """The pictures (size, size, 3) uint8 of `frames`; none where the file has no length or can't be searched."""
    import av  # noqa: PLC0415

    with _video(file, deadline) as (container, stream):
        length = _length(container, stream)
        if not length:
            return []
        spread: dict[int, np.ndarray] = {}
        for part in range(count):
            middle = (stream.start_time or 0) + length * (2 * part + 1) // (2 * count)
            try:
                container.seek(middle, stream=stream)
            except (av.error.FFmpegError, OverflowError):
                return []
            frame = _near(container, stream, middle, set(spread), deadline)
            if frame is not None and _time(frame) not in spread:
                spread[_time(frame)] = _squashed(frame, size)
    return [spread[when] for when in sorted(spread)]


def _length(container: "InputContainer", stream: "VideoStream") -> int:
    """The length of a stream in units of its time base; 0 where it isn't known."""
    import av  # noqa: PLC0415

    if stream.duration:
        return max(stream.duration, 0)
    if not container.duration or not stream.time_base:
        return 0
    return max(int(container.duration / av.time_base / stream.time_base), 0)


def _near(
    container: "InputContainer", stream: "VideoStream", middle: int, seen: set[int], deadline: float
) -> "VideoFrame | None":
    """The frame on which a search has landed; where it was seen already, the one at `middle`."""
    decoded = islice(_decoded(container, stream, deadline), MAX_BETWEEN)
    frame = next(decoded, None)
    if frame is not None and _time(frame) in seen:
        for later in decoded:
            frame = later
            if _time(frame) >= middle:
                break
    return frame


def _forwards(file: BinaryIO, count: int, size: int, deadline: float) -> list[np.ndarray]:
    """The same for a file that can't be searched: every stride-th frame is kept, at most 2 x count at any time."""
    kept: list[np.ndarray] = []
    stride = 1
    with _video(file, deadline) as (container, stream):
        for n, frame in enumerate(islice(_decoded(container, stream, deadline), MAX_FORWARDS)):
            if n % stride:
                continue
            if len(kept) == 2 * count:
                kept, stride = kept[::2], 2 * stride
            if n % stride == 0:
                kept.append(_squashed(frame, size))
    places = sorted({len(kept) * (2 * part + 1) // (2 * count) for part in range(count)})
    return [kept[place] for place in places if place < len(kept)]


def _decoded(container: "InputContainer", stream: "VideoStream", deadline: float) -> "Iterator[VideoFrame]":
    """Frames from here on; a damaged packet costs its own frames, and a file that ends too early its end."""
    import av  # noqa: PLC0415

    packets = container.demux(stream)
    while True:
        if slow := _slow(deadline):
            raise Unseen(slow)
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            continue


def _slow(deadline: float) -> str:
    return "too slow to decode" if time.monotonic() > deadline else ""


def _time(frame: "VideoFrame") -> int:
    return frame.pts if frame.pts is not None else frame.dts or 0


def _squashed(frame: "VideoFrame", size: int) -> np.ndarray:
    """A frame as (size, size, 3) uint8, turned as the file says."""
    import av  # noqa: PLC0415

    try:
        rgb: Any = frame.reformat(width=size, height=size, format="rgb24", interpolation="BICUBIC").to_ndarray()
    except (av.error.FFmpegError, ValueError):
        raise Unseen("no frame that can be decoded") from None
    return np.rot90(rgb, round(frame.rotation / 90))
