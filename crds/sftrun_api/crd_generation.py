"""The CustomResourceDefinition, generated from the models: `python -m sftrun_api.crd_generation`.

Without arguments it prints the CRD. `--write ROOT` writes every file that is derived from the contract below
the repository's root, `--check ROOT` exits with 1 and names those that differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sftrun_api import API_GROUP, API_VERSION, KIND, PLURAL
from sftrun_api.diagnoses.pages import diagnosis_page
from sftrun_api.field_pages import field_page
from sftrun_api.models import JsonObject
from sftrun_api.parameter_pages import parameter_page
from sftrun_api.policies.files import policy_schema
from sftrun_api.policies.pages import policy_page
from sftrun_api.rule_tables import root_rules, rule_page
from sftrun_api.rules import SECTION_RULES, Rule
from sftrun_api.schemas import VALIDATIONS, structural_schema
from sftrun_api.specs import SFTRunSpec
from sftrun_api.statuses import SFTRunStatus
from sftrun_api.version_pages import version_page

HEADER = "# Generated from crds/sftrun_api by `make generate`; edit the models, not this file.\n"

COLUMNS: tuple[tuple[str, str, str, int, str], ...] = (
    ("Phase", "string", ".status.phase", 0, "Where the run stands"),
    ("Progress", "string", ".status.display.progress", 0, "Share of the stage that is done"),
    ("Loss", "string", ".status.display.loss", 0, "Loss of the last logged step"),
    ("ETA", "string", ".status.display.eta", 0, "Estimated time to the end of the stage"),
    ("GPUs", "integer", ".status.display.gpus", 0, "GPUs that the run holds or asks for"),
    ("Age", "date", ".metadata.creationTimestamp", 0, "Time since the run was created"),
    ("Epoch", "number", ".status.progress.epoch", 1, "Passes over the data so far"),
    ("Checkpoint", "string", ".status.outputs.checkpointPath", 1, "The newest checkpoint"),
    ("Job", "string", ".status.jobName", 1, "The attempt's Job"),
    ("Node", "string", ".status.nodeName", 1, "The node that the pod runs on"),
    ("Message", "string", ".status.message", 1, "What happens now, or why it ended"),
)
SELECTABLE_FIELDS = (".status.phase", ".spec.infrastructure.queueName")


def object_schema() -> JsonObject:
    """Returns the structural schema of an SFTRun."""
    by_section: dict[str, tuple[Rule, ...]] = {}
    for rule in SECTION_RULES:
        if rule.where == "admission":
            by_section[rule.on] = (*by_section.get(rule.on, ()), rule)
    spec = structural_schema(SFTRunSpec, rules=by_section, defaults=True)
    status = structural_schema(SFTRunStatus, rules={}, defaults=False)
    return {
        "type": "object",
        "description": "One fine-tuning run of a language model: data, model and training in, a checkpoint "
        "and a truthful status out.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{API_GROUP}/{API_VERSION}."},
            "kind": {"type": "string", "description": f"{KIND}."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status | {"description": "The truth about the run, written by the operator alone."},
        },
        VALIDATIONS: [rule.to_validation() for rule in root_rules()],
    }


def custom_resource_definition() -> JsonObject:
    """Returns the whole CRD."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{PLURAL}.{API_GROUP}",
            "labels": {"app.kubernetes.io/name": "sftrun", "app.kubernetes.io/part-of": "sftrun"},
        },
        "spec": {
            "group": API_GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["sft"],
                "categories": ["ml"],
            },
            "versions": [
                {
                    "name": API_VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(*column) for column in COLUMNS],
                    "selectableFields": [{"jsonPath": path} for path in SELECTABLE_FIELDS],
                    "schema": {"openAPIV3Schema": object_schema()},
                }
            ],
        },
    }


def _column(name: str, kind: str, path: str, priority: int, description: str) -> JsonObject:
    column: JsonObject = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return column | ({"priority": priority} if priority else {})


class _Dumper(yaml.SafeDumper):
    """Writes equal parts out each time, as a person would, instead of an anchor and its aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Returns true: nothing becomes an alias."""
        return True


def crd_yaml() -> str:
    """Returns the CRD as the text of `crds/sftruns.yaml`."""
    body = yaml.dump(
        custom_resource_definition(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True
    )
    return HEADER + body


def generated_files() -> dict[Path, str]:
    """Returns every file that is derived from the contract, by its path below the repository's root."""
    crd = crd_yaml()
    return {
        Path("crds/sftruns.yaml"): crd,
        Path("charts/sftrun-operator/crds/sftruns.yaml"): crd,
        Path("docs/diagnosis.md"): diagnosis_page(),
        Path("docs/fields.md"): field_page(object_schema()),
        Path("docs/operator-policy.schema.json"): json.dumps(policy_schema(), indent=2) + "\n",
        Path("docs/policy.md"): policy_page(),
        Path("docs/parameters.md"): parameter_page(object_schema()),
        Path("docs/rules.md"): rule_page(),
        Path("docs/versions.md"): version_page(),
    }


def differing(root: Path) -> list[Path]:
    """Returns the files below `root` that are not what the models say."""
    return [
        path
        for path, text in generated_files().items()
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="sftrun_api.crd_generation", description=__doc__)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--write", metavar="ROOT", type=Path, help="write all derived files below ROOT")
    group.add_argument(
        "--check", metavar="ROOT", type=Path, help="name derived files that differ, exit with 1"
    )
    options = parser.parse_args(arguments)
    if options.write is not None:
        for path, text in generated_files().items():
            (options.write / path).parent.mkdir(parents=True, exist_ok=True)
            (options.write / path).write_text(text, encoding="utf-8")
        return 0
    if options.check is not None:
        paths = differing(options.check)
        for path in paths:
            sys.stderr.write(f"{path} is not what the models say; run `make generate`\n")
        return 1 if paths else 0
    sys.stdout.write(crd_yaml())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
