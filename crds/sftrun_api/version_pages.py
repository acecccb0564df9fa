"""`docs/versions.md`, generated from the table of releases."""

from __future__ import annotations

from sftrun_api.versions import CURRENT, READABLE_REPORTS, RELEASES, TRAINER_NAMES

_TOP = """\
<!-- Generated from crds/sftrun_api by `make generate`; edit the table, not this file. -->
# Versions

A release is one version of everything: operator, chart, CRD, trainer image, command line. Take all of one
release; what works together beyond that is this table, which the operator asks at run time.

| release | Kubernetes | API | report | run file | LLaMA-Factory |
|---|---|---|---|---|---|
"""
_BOTTOM = """
- **API**: the version of `SFTRun`. Its CRD may gain fields and rules in a release; the operator compares the
  CRD that is served with its own, and says in its log, in the metric `sftrun_operator_crd_current` and in
  `helm test` when fields are missing: what is written into those is dropped in silence.
- **Report**: what the trainer says of itself, live and at its end. This operator reads {reads}: its own and
  the one before it, so that runs that were started before an upgrade go on being seen.
- **Run file**: what the operator tells the trainer. An operator writes one version, its own.

## What happens when they do not fit

| when | what |
|---|---|
"""
_CASES: tuple[tuple[str, str], ...] = (
    (
        "a spec names an image whose tag is a release that this operator cannot work with",
        "`Accepted=False`, `UnsupportedImage`: nothing is created; the same when the image is changed while "
        "the run is suspended",
    ),
    ("an image whose tag names no release, or a newer one", "it is taken: nobody can tell"),
    (
        "a running pod speaks another report version",
        "it is left alone: `ProgressAvailable=False`, `ReportVersionUnsupported`; training goes on unseen",
    ),
    (
        "such a pod's Job is Complete",
        "a helper of the operator's own trainer image looks at the files: loadable weights are a success",
    ),
    ("such a pod's Job has failed", "the Job says so: exit code and tries"),
    ("the trainer is given a run file of another version", "`BadRunFile`, before anything is trained"),
    (
        "the CRD is older than the operator",
        "the operator works, and says which fields are not served; apply the CRD of its release",
    ),
)
_END = """
A tag names a release when the repository is that of the operator's own trainer image, or ends in {names},
and the tag is a version, with or without more behind it: `0.1.0`, `v0.1.0`, `0.1.0-fa2`. An image by digest
says nothing.

The image of a run is pinned when it is accepted: an upgrade of the operator changes no run that is accepted,
suspended ones included. This is release {current}.
"""


def version_page() -> str:
    """Returns the page's text."""
    rows = "".join(
        f"| {version} | {row.kubernetes} or newer | {row.api} | {row.report} | {row.run_file} "
        f"| {row.llamafactory} |\n"
        for version, row in RELEASES.items()
    )
    cases = "".join(f"| {when} | {what} |\n" for when, what in _CASES)
    reads = "version " + " and ".join(map(str, READABLE_REPORTS))
    names = " or ".join(f"`{name}`" for name in TRAINER_NAMES)
    return _TOP + rows + _BOTTOM.format(reads=reads) + cases + _END.format(names=names, current=CURRENT)
