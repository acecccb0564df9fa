"""Reading files that others wrote: what a path leads to, and how much of it is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sftrun_data import files
from sftrun_data.exclusions import LeftOut, Reason


@pytest.fixture(params=[True, False], ids=["asked of the system", "worked out"])
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.delattr(os, "O_PATH", raising=False)


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a", "a"),
        ("folder/b", "folder/b"),
        ("folder/../a", "a"),
        ("inside", "folder/b"),
        ("by-folder/b", "folder/b"),
        ("outside", Reason.SYMLINK_OUTSIDE),
        ("beside", Reason.SYMLINK_OUTSIDE),
        ("gone", Reason.NO_TRAJECTORY),
        ("a/b", Reason.UNREADABLE_FILE),
        ("dangling", Reason.UNREADABLE_FILE),
        ("round", Reason.UNREADABLE_FILE),
    ],
)
def test_a_path_stays_inside_or_is_refused(name: str, found: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (tmp_path / "root-and-more").mkdir()
    for path in ("root/a", "root/folder/b", "c", "root-and-more/d"):
        (tmp_path / path).write_bytes(b"x")
    for link, target in {
        "inside": "folder/b",
        "by-folder": "folder",
        "outside": "../c",
        "beside": "../root-and-more/d",
        "dangling": "nowhere",
        "round": "round",
    }.items():
        (root / link).symlink_to(target, target_is_directory=link == "by-folder")
    try:
        assert files.confine(root / name, root=root) == root / found
    except LeftOut as left:
        assert left.reason == found
    linked = tmp_path / "linked"
    linked.symlink_to(root)
    assert files.confine(linked / "a", root=linked) == root / "a"


@pytest.mark.parametrize("said", [0, 1, 5, 6])
def test_a_file_that_grows_is_read_to_its_end(
    said: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"abcdef")
    status = list(path.stat())
    status[stat.ST_SIZE] = said
    monkeypatch.setattr(os, "fstat", lambda handle: os.stat_result(status))
    assert files.read(path, root=tmp_path) == b"abcdef"
    assert files.read(path, root=tmp_path, limit=6) == b"abcdef"


def test_more_than_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"abc")
    assert files.read(path, root=tmp_path, limit=3) == b"abc"
    with pytest.raises(LeftOut) as caught:
        files.read(path, root=tmp_path, limit=2)
    assert caught.value.reason == Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("path", "root", "name"),
    [
        ("/job/trial/log", "/job", "trial/log"),
        ("/log", "/", "log"),
        ("job/log", "job", "log"),
        ("log", ".", "log"),
        ("/job-2/log", "/job", "log"),
    ],
)
def test_files_are_named_within_their_folder(path: str, root: str, name: str) -> None:
    assert files.relative(Path(path), root=Path(root)) == files.relative(path, root=Path(root)) == name


def test_folders_are_listed_once_where_that_is_enough(tmp_path: Path) -> None:
    for name in ("b", "a", "folder/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listings = files.Listings()
    seen = [tmp_path / "a", tmp_path / "b", tmp_path / "folder" / "c"]
    assert list(files.walk(tmp_path, listings=listings)) == seen
    (tmp_path / "d").touch()
    assert list(files.walk(tmp_path, listings=listings)) == seen
    assert list(files.walk(tmp_path, listings=listings, depth=1)) == seen[:2]
    assert list(files.walk(tmp_path, depth=1)) == [*seen[:2], tmp_path / "d"]
