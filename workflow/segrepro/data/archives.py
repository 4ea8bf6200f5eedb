"""Reading tar, tar.gz and zip archives that nobody vouches for: no byte is used before its member is checked.

Nothing is ever unpacked to a path that an archive names: readers get ``(name, bytes)`` and choose their own
file names. Still, an archive with one member that no dataset has (an absolute path, ``..``, a link, a device,
a name that comes twice, an encrypted member, a decompression bomb) is refused as a whole, and so is one that
ends early.

- `iter_files` streams an archive once, in archive order: for VOC's tar, SBD's tgz and any zip.
- `open_zip` and `read_member` give access by name, for COCO's 118,287 pictures: each process opens its own.
"""

import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from segrepro.errors import UserError

# The largest honest member is COCO's instances_train2017.json (448 MB), the largest archive train2017.zip (18
# GB, 118,287 members). The bounds leave room above these, and keep a bomb from filling memory or disk.
MAX_MEMBER_BYTES = 1 << 30
MAX_TOTAL_BYTES = 64 << 30
MAX_MEMBERS = 1_000_000
# COCO's annotations deflate by 3 to 5 and pictures not at all; zeros, the stuff of bombs, by 1000. What unpacks to
# less than RATIO_FROM_BYTES does no harm and may have any ratio (an all-background mask, say).
MAX_RATIO = 200
RATIO_FROM_BYTES = 16 << 20

_BOMB = f"unpacks to more than {MAX_RATIO} times its size, as a decompression bomb does"
_TOO_BIG = (
    f"holds more than any archive of this project ({MAX_MEMBER_BYTES >> 30} GiB per member, "
    f"{MAX_TOTAL_BYTES >> 30} GiB and {MAX_MEMBERS:,} members in all); "
    "do not use it, fetch the official archive."
)
_CHUNK_BYTES = 1 << 20
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error, EOFError),
    *(ValueError, OverflowError, NotImplementedError, RecursionError),
)


def iter_files(archive: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Read an archive once, front to back, and yield name and content of each wanted file.

    Every member is checked, wanted or not; folders are passed over. The format (tar, tar.gz, zip) is taken from the
    first bytes, not from the name. That a tar is whole is known only when the iterator is exhausted: keep what was read
    under a temporary name until then (`segrepro.files.atomic_directory`). ``wanted`` is asked by a member's name
    (``a/b/c.jpg``; no leading ``./``). An archive that is missing, damaged or of another format is refused.
    """
    first_bytes = _first_bytes(archive)
    if first_bytes.startswith(b"PK"):
        with open_zip(archive) as opened:
            for info in sorted(opened.infolist(), key=lambda info: info.header_offset):
                if not info.is_dir() and wanted(info.filename):
                    yield info.filename, read_member(opened, info.filename)
        return
    zipped = first_bytes.startswith(b"\x1f\x8b")
    with (gzip.open if zipped else open)(archive, "rb") as stream:
        packed_bytes = archive.stat().st_size if zipped else None
        yield from _iter_tar(archive, _ForwardStream(archive, stream, packed_bytes), wanted)


def open_zip(archive: Path) -> zipfile.ZipFile:
    """Open a zip after its whole member table has been checked (about 1 s of CPU for COCO's 118,287 pictures).

    The handle must not be shared between processes: each worker opens its own. Read with `read_member`. Refuses a file
    that is missing, truncated or not a zip, or has a member that no dataset has.
    """
    if not _first_bytes(archive).startswith(b"PK"):
        raise UserError(f"{archive}: is not a zip archive; check the address it came from and fetch it again.")
    with _damage_named(archive):
        opened = zipfile.ZipFile(archive)
    try:
        _check_zip_table(archive, opened)
    except UserError:
        opened.close()
        raise
    return opened


def read_member(opened: zipfile.ZipFile, name: str) -> bytes:
    """Return the content of one file of a zip from `open_zip`; refuse one that is not there or fails its CRC."""
    archive = Path(opened.filename)
    try:
        info = opened.getinfo(name)
    except KeyError:
        raise UserError(
            f"{archive}: has no member {name!r}; check that it is the archive that belongs to this list."
        ) from None
    with _damage_named(archive, name):
        return opened.read(info)


class _ForwardStream:
    """What `tarfile` reads from: forward only, within the bounds, remembering the last bytes handed out.

    `tarfile` itself would follow sizes into gigabytes of memory, seek backwards on negative ones, and take a
    damaged header in the middle for the end of the archive.
    """

    def __init__(self, archive: Path, source: IO[bytes], packed_bytes: int | None):
        self.archive, self._source = archive, source
        self._packed_bytes = packed_bytes  # the compressed size, None where nothing is compressed
        self.last, self._position = b"", 0

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise tarfile.ReadError("a member has a negative size")
        if self._packed_bytes is None:
            self._source.seek(position)
            self._position = position
        while self._position < position and self._read_chunk(position - self._position):
            pass

    def read(self, count: int) -> bytes:
        if not 0 <= count <= MAX_MEMBER_BYTES + tarfile.BLOCKSIZE:
            raise UserError(f"{self.archive}: {_TOO_BIG}")
        chunks = []
        while count and (chunk := self._read_chunk(count)):
            chunks.append(chunk)
            count -= len(chunk)
        self.last = b"".join(chunks)
        return self.last

    def drain(self) -> None:
        """Read to the end, where gzip keeps the checksum of it all."""
        while self._read_chunk(_CHUNK_BYTES):
            pass

    def _read_chunk(self, count: int) -> bytes:
        chunk = self._source.read(min(count, _CHUNK_BYTES))
        self._position += len(chunk)
        if self._position > MAX_TOTAL_BYTES:
            raise UserError(f"{self.archive}: {_TOO_BIG}")
        if self._packed_bytes is not None and _is_bomb(self._position, self._packed_bytes):
            raise UserError(f"{self.archive}: {_BOMB}; do not use it, fetch the official archive.")
        return chunk


def _iter_tar(archive: Path, stream: _ForwardStream, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    try:
        with _damage_named(archive):
            tar = tarfile.TarFile(fileobj=stream, mode="r", encoding="utf-8", errors="surrogateescape")
    except UserError as error:
        if isinstance(error.__cause__, tarfile.ReadError):  # not even the first header makes sense
            raise UserError(
                f"{archive}: is not a tar, tar.gz or zip archive; check the address it came from, "
                "delete it and run again."
            ) from error
        raise
    while True:
        with _damage_named(archive):
            member = tar.next()
            tar.members = []  # tarfile keeps every member otherwise
        if member is None:
            break
        name = _checked_name(archive, member.name, seen, is_folder=member.isdir())
        _check_tar_type(archive, member, name)
        _check_size(archive, name, member.size)
        if member.isdir() or not wanted(name):
            continue
        with _damage_named(archive, name):
            stream.seek(member.offset_data)
            content = stream.read(member.size)
            if len(content) < member.size:
                raise EOFError
        yield name, content
    with _damage_named(archive):
        if stream.last != bytes(tarfile.BLOCKSIZE):  # a whole tar ends with blocks of zeros
            raise EOFError
        stream.drain()


def _check_tar_type(archive: Path, member: tarfile.TarInfo, name: str) -> None:
    kinds = {
        tarfile.SYMTYPE: "a symbolic link",
        tarfile.LNKTYPE: "a hard link",
        tarfile.CHRTYPE: "a device",
        tarfile.BLKTYPE: "a device",
        tarfile.FIFOTYPE: "a named pipe",
    }
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or member.issparse():
        _refuse(archive, name, f"is {kinds.get(member.type, 'neither a plain file nor a folder')}")


def _check_zip_table(archive: Path, opened: zipfile.ZipFile) -> None:
    seen: set[str] = set()
    total = 0
    end_of_previous = 0
    for info in sorted(opened.infolist(), key=lambda info: info.header_offset):
        name = _checked_name(archive, info.orig_filename, seen, is_folder=info.orig_filename.endswith("/"))
        if name != info.filename.removesuffix("/"):  # or the name could not be looked up
            _refuse(archive, info.orig_filename, "has a name that is not in its plain form")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFLNK:
            _refuse(archive, name, "is a symbolic link")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            _refuse(archive, name, "is neither a plain file nor a folder")
        if info.flag_bits & 0x1:
            _refuse(archive, name, "is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            _refuse(archive, name, "is neither stored nor deflated, but compressed in another way")
        _check_size(archive, name, info.file_size)
        if _is_bomb(info.file_size, info.compress_size):
            _refuse(archive, name, _BOMB)
        if info.header_offset < end_of_previous:
            _refuse(archive, name, "shares its bytes with another member, as in a decompression bomb")
        end_of_previous = info.header_offset + zipfile.sizeFileHeader + info.compress_size
        if end_of_previous > opened.start_dir:
            _refuse(archive, name, "reaches beyond the end of the members")
        total += info.file_size
        if total > MAX_TOTAL_BYTES:
            raise UserError(f"{archive}: {_TOO_BIG}")


def _checked_name(archive: Path, name: str, seen: set[str], *, is_folder: bool) -> str:
    """Return the plain form of a member's name, and remember it; refuse what could leave a folder or hide."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    plain = "/".join(parts) or "."
    if not name or "\0" in name or "\\" in name or (plain == "." and not is_folder):
        _refuse(archive, name, "has a name that no file may have")
    if name.startswith("/") or name[1:2] == ":":
        _refuse(archive, name, "has an absolute path")
    if ".." in parts:
        _refuse(archive, name, "leads out of the archive by '..'")
    if plain in seen and not is_folder:  # a folder listed again changes nothing
        _refuse(archive, name, "comes twice")
    seen.add(plain)
    if len(seen) > MAX_MEMBERS:
        raise UserError(f"{archive}: {_TOO_BIG}")
    return plain


def _check_size(archive: Path, name: str, size: int) -> None:
    if not 0 <= size <= MAX_MEMBER_BYTES:
        _refuse(archive, name, f"claims {size:,} bytes, where at most {MAX_MEMBER_BYTES:,} are expected")


def _is_bomb(unpacked: int, packed: int) -> bool:
    return unpacked > RATIO_FROM_BYTES and unpacked > MAX_RATIO * packed


def _refuse(archive: Path, name: str, reason: str) -> NoReturn:
    raise UserError(f"{archive}: member {name!r} {reason}; do not use this archive, fetch the official one.") from None


def _first_bytes(archive: Path) -> bytes:
    try:
        with archive.open("rb") as stream:
            first_bytes = stream.read(4)
    except FileNotFoundError:
        raise UserError(f"{archive}: no such archive; get it with `segrepro fetch`.") from None
    except OSError as error:
        raise UserError(f"{archive}: cannot be read ({error.strerror}); check its permissions.") from error
    if not first_bytes:
        raise UserError(f"{archive}: is empty; delete it and run again.")
    return first_bytes


@contextmanager
def _damage_named(archive: Path, name: str | None = None) -> Iterator[None]:
    """Turn what the libraries raise on damaged bytes into a `UserError` that names archive and member."""
    where = f"{archive}, member {name!r}" if name else f"{archive}"
    try:
        yield
    except _DAMAGE as error:
        raise UserError(f"{where}: is truncated or damaged; delete it and run again.") from error
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({error.strerror}); check the disk and run again.") from error
