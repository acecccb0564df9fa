"""`python -m release`: everything that a release publishes, into `dist/`.

sftrun-<version>-py3-none-any.whl, .tar.gz   the Python package: command line, operator, trainer
sftrun-operator-<version>.tgz                the chart
sftrun-operator-<version>.yaml               the same for `kubectl apply`, with the CRD
sftruns-<version>.yaml                       the CRD alone
sftrun-{operator,trainer}-<version>.oci.tar  the images, for `skopeo copy`, `buildah pull`, `ctr image import`
….cdx.json, ….THIRD_PARTY.md                 what is in each image, and under which licences
RELEASE_NOTES.md                             the changelog's section
SHA256SUMS                                   digests of all of it

The same commit gives the same bytes as far as the tools allow: wheel, chart, manifests and the operator's
image, which needs the same base image for it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from cluster import programs
from release import archives, changelogs, image_builds
from release.image_builds import Source
from rig import commands
from rig.commands import REPOSITORY
from rig.errors import RigError
from sftrun_api.versions import CURRENT

CHART = REPOSITORY / "charts" / "sftrun-operator"


def source() -> Source:
    """Returns what this checkout is: the commit, and its time. A changed checkout says so in its revision."""
    revision = _git("rev-parse", "HEAD")
    changed = "-changed" if _git("status", "--porcelain", "--untracked-files=no") else ""
    return Source(version=CURRENT, revision=revision + changed, epoch=int(_git("log", "-1", "--format=%ct")))


def _git(*arguments: str) -> str:
    return commands.run(["git", *arguments], what=f"git {arguments[0]}").decode().strip()


def packages(made: Source, folder: Path) -> list[Path]:
    """Builds wheel and source archive."""
    with tempfile.TemporaryDirectory() as built:
        commands.run(
            [sys.executable, "-m", "hatchling", "build", "-d", built],
            env={"SOURCE_DATE_EPOCH": str(made.epoch)},
            what="building the wheel",
        )
        return [Path(shutil.move(path, folder / path.name)) for path in sorted(Path(built).iterdir())]


def manifests(made: Source, folder: Path) -> list[Path]:
    """Packs the chart, and what there is for those without Helm."""
    programs.ensure(["helm"])
    commands.run(
        [programs.binary("helm"), "package", CHART, "--destination", folder], what="packing the chart"
    )
    chart = folder / f"sftrun-operator-{made.version}.tgz"
    archives.settle(chart, epoch=made.epoch)
    whole = folder / f"sftrun-operator-{made.version}.yaml"
    whole.write_bytes(commands.run(["kubectl", "kustomize", "deploy"], what="kustomize"))
    crd = folder / f"sftruns-{made.version}.yaml"
    shutil.copyfile(REPOSITORY / "crds" / "sftruns.yaml", crd)
    return [chart, whole, crd]


def image(target: str) -> Callable[[Source, Path], list[Path]]:
    """Returns what builds and packs one image."""

    def made(of: Source, folder: Path) -> list[Path]:
        local = image_builds.build(target, source=of, tag=f"release-{of.revision[:12]}")
        return image_builds.pack(local, name=f"sftrun-{target}", source=of, folder=folder)

    return made


def notes(made: Source, folder: Path) -> list[Path]:
    """Writes the text of the release."""
    path = folder / "RELEASE_NOTES.md"
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    path.write_text(changelogs.section(changelog, version=made.version), encoding="utf-8")
    return [path]


PARTS: Mapping[str, Callable[[Source, Path], list[Path]]] = {
    "notes": notes,
    "packages": packages,
    "manifests": manifests,
    "operator": image("operator"),
    "trainer": image("trainer"),
}


def main(given: list[str] | None = None) -> int:
    """Makes the release; returns the exit code."""
    parser = argparse.ArgumentParser(prog="release", description="Everything that a release publishes.")
    parser.add_argument("--into", type=Path, default=REPOSITORY / "dist", metavar="FOLDER", help="(dist)")
    parser.add_argument(
        "--only", action="append", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}; repeatable"
    )
    options = parser.parse_args(given)
    folder: Path = options.into.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    archives.clear(folder)
    made = source()
    print(f"release {made.version} of {made.revision}")
    try:
        for part in options.only or PARTS:
            for path in PARTS[part](made, folder):
                print(f"  {path.name:44} {path.stat().st_size / 1e6:10.1f} MB", flush=True)
    except (RigError, changelogs.NoSectionError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print(f"  {archives.write_sums(folder).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
