"""What a release is put together from: archives of settled bytes, notes, notices, bills of materials."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from email.message import Message
from pathlib import Path

import pytest

from release import archives, changelogs, notices, sboms

ROOT = Path(__file__).parents[2]
EPOCH = 1_800_000_000


def packed(path: Path, *, names: list[str], mtime: int, owner: str) -> Path:
    """Writes a .tgz as some machine would."""
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname, member.mode = len(name), mtime, owner, 0o664
            tar.addfile(member, io.BytesIO(name.encode()))
    return path


def test_an_archive_s_bytes_depend_on_its_content_alone(tmp_path: Path) -> None:
    first = packed(tmp_path / "a.tgz", names=["x/a", "x/b"], mtime=1, owner="me")
    second = packed(tmp_path / "b.tgz", names=["x/b", "x/a"], mtime=2, owner="you")
    other = packed(tmp_path / "c.tgz", names=["x/b", "x/c"], mtime=2, owner="you")
    for path in (first, second, other):
        archives.settle(path, epoch=EPOCH)
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()
    with tarfile.open(first) as tar:
        found = [(each.name, each.mtime, each.uname, oct(each.mode)) for each in tar]
        assert found == [("x/a", EPOCH, "", "0o644"), ("x/b", EPOCH, "", "0o644")]
        content = tar.extractfile("x/a")
        assert content is not None and content.read() == b"x/a"


def test_digests_are_those_that_sha256sum_checks_and_an_earlier_release_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_text("a")
    archives.write_sums(tmp_path)
    (tmp_path / "mine").write_text("not of the release")
    done = subprocess.run(
        ["sha256sum", "--check", archives.SUMS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "a.tgz: OK\n")
    archives.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


CHANGELOG = "# Changelog\n\n## 0.2.0 (unreleased)\n\n- New.\n  More.\n\n## 0.2\n\n## 0.1.0\n\n- Old.\n"


def test_notes_are_one_version_s_section() -> None:
    assert changelogs.section(CHANGELOG, version="0.2.0") == "- New.\n  More.\n"
    assert changelogs.section(CHANGELOG, version="0.1.0") == "- Old.\n"


@pytest.mark.parametrize(("version", "words"), [("0.3.0", "no section"), ("0.2", "is empty")])
def test_a_version_of_which_nothing_is_said_is_not_released(version: str, words: str) -> None:
    with pytest.raises(changelogs.NoSectionError, match=words):
        changelogs.section(CHANGELOG, version=version)


LICENCES: dict[str, tuple[dict[str, list[str]], str]] = {
    "an expression": ({"License-Expression": ["MIT"], "License": ["The MIT"]}, "MIT"),
    "words": ({"License": ["BSD-3-Clause"]}, "BSD-3-Clause"),
    "a classifier": ({"Classifier": ["License :: OSI Approved :: MIT License"]}, "MIT License"),
    "no word, a classifier": (
        {"License": ["UNKNOWN"], "Classifier": ["License :: OSI Approved", "License :: Public Domain"]},
        "Public Domain",
    ),
    "a whole text": ({"License": ["Permission is hereby granted " * 9]}, "Permission is hereby granted "),
    "nothing": ({}, "unknown"),
}


@pytest.mark.parametrize("case", LICENCES)
def test_a_licence_is_found_where_packages_write_it(case: str) -> None:
    fields, expected = LICENCES[case]
    metadata = Message()
    for name, values in fields.items():
        for value in values:
            metadata[name] = value
    assert notices.licence(metadata).startswith(expected)


def test_every_package_of_the_images_names_its_licence() -> None:
    known = {one.name.lower().replace("_", "-").replace(".", "-"): one for one in notices.installed()}
    for target in ("operator", "trainer"):
        locked = (ROOT / "requirements" / f"{target}.txt").read_text()
        names = [name.replace(".", "-") for name in re.findall(r"^([a-z0-9._-]+)==", locked, re.MULTILINE)]
        assert len(names) > 20
        unknown = [name for name in names if name in known and known[name].licence == notices.UNKNOWN]
        assert unknown == [], f"of the {target} image"


def test_the_notices_need_nothing_but_python() -> None:
    script = ROOT / "hack" / "release" / "notices.py"
    done = subprocess.run([sys.executable, "-B", script], capture_output=True, text=True, check=True)
    assert "| pydantic | " in done.stdout and "| MIT | `pydantic-" in done.stdout
    assert "| sftrun |" not in done.stdout


def _root(folder: Path) -> Path:
    """A root file system with one package of each kind, and one that was removed."""
    info = folder / sboms.SITE / "Some_Package-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: Some_Package\nVersion: 1.2\nLicense: MIT\n")
    status = folder / sboms.DPKG
    status.parent.mkdir(parents=True)
    entry = "Package: {}\nStatus: {}\nArchitecture: amd64\nVersion: 2:3-1+deb12u1\nDescription: x\n more\n"
    status.write_text(
        entry.format("libc6", "install ok installed")
        + "\n"
        + entry.format("gone", "deinstall ok config-files")
    )
    return folder


def test_the_bill_of_an_image_lists_what_is_installed_and_is_the_same_each_time(tmp_path: Path) -> None:
    root = _root(tmp_path)
    digest = "sha256:" + "0" * 64
    made = [sboms.sbom(root, name="x", version="1", digest=digest, epoch=EPOCH) for _ in range(2)]
    assert made[0] == made[1]
    bill = json.loads(made[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert {part["purl"]: part.get("licenses") for part in bill["components"]} == {
        "pkg:pypi/some-package@1.2": [{"license": {"id": "MIT"}}],
        "pkg:deb/debian/libc6@2:3-1%2Bdeb12u1?arch=amd64&distro=debian-12": None,
    }
    assert bill["metadata"]["timestamp"].startswith("2027-01-15T08:00:00")
    other = sboms.sbom(root, name="x", version="1", digest="sha256:" + "1" * 64, epoch=EPOCH)
    assert json.loads(other)["serialNumber"] != bill["serialNumber"]


def test_a_root_without_packages_has_no_bill(tmp_path: Path) -> None:
    with pytest.raises(sboms.SbomError, match="neither"):
        sboms.sbom(tmp_path, name="x", version="1", digest="sha256:0", epoch=EPOCH)
