"""Cleaning a workspace on disk that the trainer's own functions have written: what is seen, what goes, and
that nothing leads out of it."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from tests.image import workspace_samples as samples

from sftrun_api import archives
from sftrun_trainer import checkpoints, files, folders, locks, ropes, tokenising
from sftrun_workspace import __main__ as program
from sftrun_workspace import lines, listings, places, plans, removals
from sftrun_workspace.values import Category, Plan, Wish

ALL = Wish(categories=frozenset(Category))


def look(workspace: Path, wish: Wish = ALL, *, now: float = samples.LONG_AGO * 2) -> Plan:
    return plans.plan(listings.read(workspace), wish, now=now)


def paths(plan: Plan) -> list[str]:
    return [item.extent.path for item in plan.items]


def test_places_are_the_trainers() -> None:
    assert str(tokenising.FOLDER) == places.TOKENIZED
    assert str(folders.TRIALS) == places.TRIALS
    assert str(ropes.MODELS_CACHE) == places.LINKED_MODELS
    assert str(archives.ARCHIVES) == places.ARCHIVES
    names = (places.STATE, places.LOCK, places.CLAIM, places.REPORT, places.TRAINER_STATE)
    assert names == (
        folders.STATE, locks.LOCK_FILE, folders.CLAIM_FILE, folders.REPORT_FILE, checkpoints.STATE_FILE,
    )  # fmt: skip
    assert checkpoints.NAME.pattern.startswith("^checkpoint-([1-9]")


def test_a_workspace_as_the_trainer_leaves_it(tmp_path: Path) -> None:
    run, other = samples.identity("a"), samples.identity("b", "22222222-0000")
    folder = samples.output_folder(tmp_path, run, 2, 4)
    samples.checkpoint(folder, 6, best=2)
    (folder / "model.safetensors").write_bytes(b"weights")
    samples.archive(tmp_path, run)
    samples.tokenized(tmp_path, "d1", of=folder)
    samples.cache(tmp_path, ".cache/triton")
    samples.cache(tmp_path, ".cache/huggingface/hub")
    samples.cache(tmp_path, ".cache/wandb/offline-run-1")
    living = samples.output_folder(tmp_path, other, 2, 4, ended=None)
    samples.hold(living, other)
    (tmp_path / "artifacts" / "model" / "mine" / "checkpoint-1").mkdir(parents=True)
    (tmp_path / "artifacts" / "model" / "mine" / "checkpoint-2").mkdir(parents=True)

    now = (living / ".sftrun" / "lock.json").stat().st_mtime
    plan = look(tmp_path, now=now)
    assert paths(plan) == ["artifacts/archives/a-11111-1", "artifacts/model/a/checkpoint-4"]
    kept = {each.path: each.why for each in plan.kept}
    assert kept == {
        "artifacts/model/a/checkpoint-2": "the best checkpoint",
        "artifacts/model/a/checkpoint-6": "the last checkpoint",
        "artifacts/model/b": "ns/b works in it",
        "artifacts/model/mine": "no claim says that a run of ours made it",
        ".cache/sftrun/tokenized/d1": "artifacts/model/b may be about to use it",
        ".cache/triton": "artifacts/model/b may be using it",
        ".cache/huggingface/hub": "artifacts/model/b may be using it",
    }
    (item,) = (each for each in plan.items if each.category is Category.CHECKPOINTS)
    assert samples.MEGABYTE <= item.extent.num_bytes < 1.1 * samples.MEGABYTE

    later = look(tmp_path, now=now + 2 * plans.SILENCE)
    assert "artifacts/model/b/checkpoint-2" not in paths(later)  # not at its end: the last two stay
    assert ".cache/triton" in paths(later)


def test_what_is_planned_goes_and_nothing_else(tmp_path: Path) -> None:
    folder = samples.output_folder(tmp_path, samples.identity(), 2, 4, 6)
    before = set(tmp_path.rglob("*"))
    gone = {folder / "checkpoint-2", folder / "checkpoint-4"}
    plan = look(tmp_path)
    assert [each.error for each in removals.remove(tmp_path, plan, ALL)] == ["", ""]
    after = set(tmp_path.rglob("*"))
    assert before - after == {path for path in before if gone & {path, *path.parents}}
    assert after <= before
    assert not look(tmp_path).items


def test_a_run_that_comes_to_life_meanwhile_keeps_what_it_has(tmp_path: Path) -> None:
    run = samples.identity()
    folder = samples.output_folder(tmp_path, run, 2, 4)
    plan = look(tmp_path)
    assert paths(plan) == ["artifacts/model/a/checkpoint-2"]
    samples.hold(folder, run)
    (removed,) = removals.remove(tmp_path, plan, ALL)
    assert removed.error == "ns/a works in it"
    assert (folder / "checkpoint-2").is_dir()


def test_a_checkpoint_that_has_become_the_best_stays(tmp_path: Path) -> None:
    folder = samples.output_folder(tmp_path, samples.identity(), 2, 4)
    plan = look(tmp_path)
    samples.checkpoint(folder, 6, best=2)
    assert [each.error for each in removals.remove(tmp_path, plan, ALL)] == ["the best checkpoint"]


@pytest.mark.parametrize(
    "place",
    [
        "artifacts",
        "artifacts/model",
        "artifacts/model/a",
        "artifacts/model/a/checkpoint-2",
        "artifacts/model/a/.sftrun",
        ".cache",
        ".cache/triton",
    ],
)
def test_links_lead_nowhere(tmp_path: Path, place: str) -> None:
    elsewhere, workspace = tmp_path / "elsewhere", tmp_path / "workspace"
    for root in (elsewhere, workspace):
        samples.output_folder(root, samples.identity(), 2, 4)
        samples.cache(root, ".cache/triton")
        samples.archive(root, samples.identity())
    linked = workspace / place
    linked.rename(tmp_path / "aside")
    linked.symlink_to(elsewhere / place)
    before = sorted(elsewhere.rglob("*"))
    plan = look(workspace)
    assert place not in paths(plan)
    assert not any(path.startswith(f"{place}/") for path in paths(plan))
    list(removals.remove(workspace, plan, ALL))
    assert sorted(elsewhere.rglob("*")) == before


def test_a_folder_that_becomes_a_link_before_it_goes_leads_nowhere(tmp_path: Path) -> None:
    elsewhere, workspace = tmp_path / "elsewhere", tmp_path / "workspace"
    for root in (elsewhere, workspace):
        samples.cache(root, ".cache/triton")
    plan = look(workspace)
    (workspace / ".cache").rename(tmp_path / "aside")
    (workspace / ".cache").symlink_to(elsewhere / ".cache")
    (removed,) = removals.remove(workspace, plan, ALL)
    assert removed.error == "it is not there any more"
    assert (elsewhere / ".cache" / "triton" / "file").exists()


def test_links_inside_are_removed_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "weights").write_bytes(b"\0" * samples.MEGABYTE)
    folder = samples.output_folder(tmp_path / "ws", samples.identity(), 2, 4)
    (folder / "checkpoint-2" / "out").symlink_to(precious)
    plan = look(tmp_path / "ws")
    assert plan.num_bytes < 1.1 * samples.MEGABYTE
    assert [each.error for each in removals.remove(tmp_path / "ws", plan, ALL)] == [""]
    assert (precious / "weights").exists()
    assert not (folder / "checkpoint-2").exists()


def test_what_an_interruption_left_is_no_checkpoint_and_goes_next_time(tmp_path: Path) -> None:
    folder = samples.output_folder(tmp_path, samples.identity(), 2)
    (folder / "checkpoint-2").rename(folder / f"{places.REMAINS}1")
    assert paths(look(tmp_path)) == [f"artifacts/model/a/{places.REMAINS}1"]
    list(removals.remove(tmp_path, look(tmp_path), ALL))
    assert not (folder / f"{places.REMAINS}1").exists()


BROKEN = {
    "torn state": ("checkpoint-4/trainer_state.json", b'{"global_step": 4', {"checkpoint-2", "checkpoint-4"}),
    "state of another step": ("checkpoint-4/trainer_state.json", b'{"global_step": 3}', {"checkpoint-4"}),
    "torn claim": (".sftrun/claim.json", b"{", {"checkpoint-2", "checkpoint-4"}),
    "claim of nobody": (".sftrun/claim.json", b'{"name": 1}', {"checkpoint-2", "checkpoint-4"}),
    "torn lock": (".sftrun/lock.json", b"\xff", {"checkpoint-2", "checkpoint-4"}),
    "torn report": ("sftrun-report.json", b"[]", {"checkpoint-2", "checkpoint-4"}),
    "torn final state": ("trainer_state.json", b"", {"checkpoint-2", "checkpoint-4"}),
    "report that names": (
        "sftrun-report.json", b'{"outputs": {"bestCheckpoint": {"path": "/w/a/checkpoint-2"}}}',
        {"checkpoint-2", "checkpoint-4"},
    ),
    "final state that names": (
        "trainer_state.json", b'{"best_model_checkpoint": "/w/a/checkpoint-2/"}',
        {"checkpoint-2", "checkpoint-4"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("place", "content", "stay"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_decides_nothing(
    tmp_path: Path, place: str, content: bytes, stay: set[str]
) -> None:
    folder = samples.output_folder(tmp_path, samples.identity(), 2, 4)
    (folder / place).write_bytes(content)
    list(removals.remove(tmp_path, look(tmp_path), ALL))
    left = {path.name for path in folder.iterdir() if path.name.startswith("checkpoint-")}
    assert left >= stay


def test_hard_links_are_counted_once(tmp_path: Path) -> None:
    place = samples.cache(tmp_path, ".cache/torch")
    os.link(place / "file", place / "again")
    (item,) = look(tmp_path).items
    assert item.extent.num_bytes < 1.1 * samples.MEGABYTE


def test_the_program_says_and_does_the_same(tmp_path: Path) -> None:
    folder = samples.output_folder(tmp_path, samples.identity(), 2, 4)
    samples.archive(tmp_path, samples.identity())
    samples.age(tmp_path)
    wish = Wish(
        categories=frozenset({Category.CHECKPOINTS, Category.ARCHIVES}),
        older_than=3600,
        live=frozenset({"u"}),
        protected=frozenset({"artifacts/archives"}),
    )

    def said(*, yes: bool) -> lines.Answer:
        out = io.StringIO()
        with redirect_stdout(out):
            assert program.main(program.arguments_of(str(tmp_path), wish, yes=yes)) == 0
        return lines.read(["noise", *out.getvalue().splitlines()])

    shown = said(yes=False)
    assert shown.whole and shown.plan == look(tmp_path, wish)
    assert (folder / "checkpoint-2").exists()
    done = said(yes=True)
    assert [(each.item.extent.path, each.error) for each in done.removed] == [
        ("artifacts/model/a/checkpoint-2", "")
    ]
    assert not (folder / "checkpoint-2").exists()
    assert (tmp_path / "artifacts" / "archives" / "a-11111-1").exists()


def test_a_workspace_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([str(tmp_path / "nothing"), "--caches"]) == 1
    assert "nothing: No such file" in capsys.readouterr().err
    assert files.read_json(tmp_path / "nothing") is None
