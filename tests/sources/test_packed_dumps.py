"""Dumps packed in other ways than bz2: read, or refused with what fits the cause."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from motags.errors import MotagsError
from motags.sources.dump import film_articles

TEXT = "{{Infobox film|name=Run}}\n'''Run''' is a film.\n[[Category:1999 films]]"
PAGE = (
    "<page><title>Run {n}</title><ns>0</ns><id>{n}</id><revision><id>{n}</id>"
    f"<timestamp>2024-01-01T00:00:00Z</timestamp><text>{TEXT}</text></revision></page>"
)
DUMP = f"<mediawiki>{''.join(PAGE.format(n=n) for n in range(1, 60))}</mediawiki>".encode()
PACKED: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}


def refused(path: Path) -> str:
    with pytest.raises(MotagsError) as refusal:
        list(film_articles(path, 1))
    message = str(refusal.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["pages.xml.{}", "pages.xml", "download"])
@pytest.mark.parametrize("kind", PACKED)
def test_a_dump_is_read_however_it_is_packed_and_named(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / name.format(kind)
    path.write_bytes(PACKED[kind](DUMP))
    assert [record.key for record in film_articles(path, 1)] == [f"Run {n}" for n in range(1, 60)]


def test_a_plain_dump_with_the_name_of_a_packed_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pages.xml.gz"
    path.write_bytes(DUMP)
    assert len(list(film_articles(path, 1))) == 59


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_one_that_is_cut_short_is_to_be_downloaded_again(tmp_path: Path, kind: str, share: float) -> None:
    path, packed = tmp_path / f"pages.xml.{kind}", PACKED[kind](DUMP)
    path.write_bytes(packed[: int(len(packed) * share)])
    assert "download it again" in refused(path)


@pytest.mark.parametrize("kind", ["gz", "xz"])
def test_one_that_is_damaged_is_to_be_downloaded_again(tmp_path: Path, kind: str) -> None:
    path, packed = tmp_path / f"pages.xml.{kind}", bytearray(PACKED[kind](DUMP))
    packed[len(packed) // 2] ^= 0xFF
    path.write_bytes(packed)
    assert "download it again" in refused(path)


@pytest.mark.parametrize(
    ("start", "kind"), [(b"7z\xbc\xaf\x27\x1c", "7z"), (b"PK\x03\x04", "zip"), (b"\x28\xb5\x2f\xfd", "Zstandard")]
)
def test_one_packed_in_a_way_that_is_not_read_says_so(tmp_path: Path, start: bytes, kind: str) -> None:
    path = tmp_path / "pages.xml"
    path.write_bytes(start + b"\0" * 100)
    message = refused(path)
    assert f"packed as {kind}" in message
    assert "as .bz2, .gz or .xz" in message
    assert "download it again" not in message


@pytest.mark.parametrize("pack", [bytes, *PACKED.values()])
def test_another_file_of_xml_is_named_by_what_it_begins_with(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "feed.xml"
    path.write_bytes(pack(b"<feed><entry/></feed>"))
    message = refused(path)
    assert "begins with <feed>, not with <mediawiki>" in message
    assert "download it again" not in message


def test_a_folder_is_no_dump(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path)
