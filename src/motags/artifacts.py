"""What stages hand to each other: written whole, sealed with a sha256, checked when read.

A file `X` is sealed by `X.sha256` beside it, a folder by `SHA256SUMS` inside it; both are in the
format of `sha256sum`, so that `sha256sum -c` checks them without motags. DVC does not notice a
damaged cache object, nor safetensors a flipped bit: every reader here does.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from motags.errors import MotagsError

CORPUS_KEY = "corpus"
SUMS = "SHA256SUMS"  # the seal of a folder


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it onto `path` if the block succeeds.

    Under `torchrun` only the first process keeps what it writes.

    Raises:
        MotagsError: the disk is full, the place can't be written to, or motags did not make the folder or device there.
    """
    if path.exists() and not (path.is_file() or (path / SUMS).is_file()):
        raise MotagsError(
            f"{path} is {'a folder' if path.is_dir() else 'no regular file'} that motags did not make: name another"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if is_first_process():
            if path.is_dir():
                _replace_folder(path, temporary)
            else:
                temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise MotagsError(f"{path} can't be written: {getattr(error, 'strerror', None) or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True) if temporary.is_dir() else temporary.unlink(missing_ok=True)


def _replace_folder(path: Path, replacement: Path) -> None:
    """Replace a folder by another; the old one stays whole until the new one has its name."""
    if not replacement.is_dir():
        raise MotagsError(f"{path} is a folder, which a file can't replace: name another")
    previous = replacement.with_name(f"{replacement.name}.old")
    path.rename(previous)
    replacement.replace(path)
    shutil.rmtree(previous)


def is_first_process() -> bool:
    """Whether this is the only process, or the first of those that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def sealing(path: Path) -> Iterator[Path]:
    """Like `replacing`, and seal what was written with its sha256."""
    with replacing(path) as temporary:
        yield temporary
        if temporary.is_dir():
            seal(temporary)
        else:
            with replacing(_seal(path)) as beside:
                beside.write_text(f"{sha256(temporary)}  {path.name}\n", encoding="utf-8")


def seal(folder: Path) -> None:
    """Seal the files of a folder as they are now."""
    sums = "".join(f"{sha256(file)}  {name}\n" for name, file in _files(folder).items())
    with replacing(folder / SUMS) as temporary:
        temporary.write_text(sums, encoding="utf-8")


def checked(path: Path) -> Path:
    """Return `path` if its bytes are the ones that were sealed.

    Raises:
        MotagsError: `path` or its seal is missing, or a file differs from its seal.
    """
    if not path.exists():
        raise MotagsError(f"{path} is missing: run `dvc repro` (or `dvc pull`) to make it")
    sums = path / SUMS if path.is_dir() else _seal(path)
    if not sums.exists():
        raise MotagsError(f"{path} has no seal {sums}: make it again with `dvc repro --force`")
    digests = _recorded(sums)
    files = _files(path) if path.is_dir() else {path.name: path}
    if odd := digests.keys() ^ files.keys():
        raise MotagsError(f"{path} and its seal {sums} name different files: {', '.join(sorted(odd))}")
    for name, file in files.items():
        if (found := sha256(file)) != digests[name]:
            raise MotagsError(
                f"{file} is damaged: its sha256 is {found}, the recorded one was {digests[name]}; "
                "remove it and its copy in DVC's cache, then run `dvc repro`"
            )
    return path


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recorded(seal: Path) -> dict[str, str]:
    try:
        pairs = [line.split("  ", 1) for line in seal.read_text(encoding="utf-8").splitlines()]
        return {name: digest for digest, name in pairs}
    except ValueError:
        raise MotagsError(f"the seal {seal} is damaged: make what it seals again with `dvc repro --force`") from None


def _seal(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _files(folder: Path) -> dict[str, Path]:
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file != folder / SUMS)
    return {file.relative_to(folder).as_posix(): file for file in files}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write nested numbers with sorted keys, floats to 4 decimals: metrics that a person compares."""
    with replacing(path) as temporary:
        text = json.dumps(_rounded(values), indent=2, sort_keys=True, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return round(value, 4) if isinstance(value, float) else value


def neutral(value: object) -> object:
    """Put an apostrophe before a text that a spreadsheet would run as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], corpus: str) -> None:
    """Write and seal arrays whose rows are the films of the corpus with digest `corpus`."""
    with sealing(path) as temporary:
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        save_file(contiguous, temporary, metadata={CORPUS_KEY: corpus})


def read_arrays(path: Path, corpus: str) -> dict[str, np.ndarray]:
    """Read sealed arrays that belong to the corpus with digest `corpus`.

    Raises:
        MotagsError: missing, damaged, or made from other films.
    """
    with safe_open(checked(path), framework="numpy") as file:
        made_from = (file.metadata() or {}).get(CORPUS_KEY)
        if made_from != corpus:
            raise MotagsError(f"{path} was made from other films ({made_from}, not {corpus}): run `dvc repro`")
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is not a mapping
