"""Archives whose bytes depend on their content alone, and the list of their digests."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

SUMS = "SHA256SUMS"


def settle(path: Path, *, epoch: int) -> None:
    """Rewrites a .tgz in place: its members sorted, of nobody, and of one time."""
    made = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    path.write_bytes(gzip.compress(made.getvalue(), mtime=epoch))


def write_sums(folder: Path) -> Path:
    """Writes the digests of all files of a folder as `sha256sum --check` takes them; returns the file."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    text = "".join(f"{digest(path)}  {path.name}\n" for path in files)
    sums = folder / SUMS
    sums.write_text(text, encoding="utf-8")
    return sums


def digest(path: Path) -> str:
    """Returns the SHA-256 of a file, which may be gigabytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clear(folder: Path) -> None:
    """Removes from a folder what an earlier release wrote into it, and nothing else."""
    sums = folder / SUMS
    listed = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    for name in (line.partition("  ")[2] for line in listed):
        if name and "/" not in name:
            (folder / name).unlink(missing_ok=True)
    sums.unlink(missing_ok=True)
