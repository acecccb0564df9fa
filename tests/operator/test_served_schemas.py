"""A CRD that is older than the operator is noticed and named; one that has more is no trouble."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest

from sftrun_api.crd_generation import object_schema
from sftrun_operator.kube_errors import UnreachableError
from sftrun_operator.logs import LOGGER
from sftrun_operator.served_schemas import ServedSchema, missing, told


def document(schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """Returns an OpenAPI document as the API server serves it."""
    kept = object_schema() if schema is None else schema
    return {"components": {"schemas": {"dev.sftrun.v1alpha1.SFTRun": kept}}}


def without(*path: str) -> dict[str, Any]:
    """Returns the document of a CRD that lacks one field."""
    schema = copy.deepcopy(object_schema())
    place = schema
    for name in path[:-1]:
        place = place["items"] if name == "[]" else place["properties"][name]
    del place["properties"][path[-1]]
    return document(schema)


LACKING = {
    ("spec", "mode"): ("spec.mode",),
    ("spec", "deepspeed", "zeroStage"): ("spec.deepspeed.zeroStage",),
    ("spec", "sources", "[]", "conversion", "samples"): ("spec.sources[].conversion.samples",),
    ("status",): ("status",),
}


def test_our_own_schema_lacks_nothing() -> None:
    assert missing(document()) == ()


@pytest.mark.parametrize(("path", "fields"), LACKING.items())
def test_what_an_older_crd_drops_is_named(path: tuple[str, ...], fields: tuple[str, ...]) -> None:
    assert missing(without(*path)) == fields


def test_a_newer_crd_lacks_nothing() -> None:
    schema = copy.deepcopy(object_schema())
    schema["properties"]["spec"]["properties"]["another"] = {"type": "string"}
    assert missing(document(schema)) == ()


@pytest.mark.parametrize("rubbish", [{}, {"components": {}}, document({"type": "object"})])
def test_a_document_without_the_kind_lacks_all_of_it(rubbish: dict[str, Any]) -> None:
    assert missing(rubbish) == ("spec", "status")


def test_the_sentence_names_the_remedy_and_is_short() -> None:
    words = told(tuple(f"spec.field{number}" for number in range(40)))
    assert "spec.field0" in words and "and 34 more" in words and "kubectl apply" in words
    assert len(words) < 400


class Server:
    """Serves what it is told, one answer after another."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self._answers = list(answers)

    async def schema(self) -> dict[str, Any]:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_it_is_said_once_and_taken_back_when_the_crd_is_applied(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOGGER, "propagate", True)
    old = without("spec", "mode")
    server: Any = Server(old, old, UnreachableError("away"), document())
    changed: list[tuple[str, ...]] = []
    schema = ServedSchema(changed=lambda: changed.append(schema.missing))
    with caplog.at_level(logging.INFO):
        looks = [(await schema.look(server), schema.missing) for _ in range(4)]
    lacking = ("spec.mode",)
    assert looks == [(True, lacking), (True, lacking), (False, lacking), (True, ())]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert changed == [()], "what was refused meanwhile is tried again"


async def test_a_schema_that_allows_more_is_a_change_though_nothing_was_missing() -> None:
    narrow = copy.deepcopy(object_schema())
    narrow["properties"]["status"]["properties"]["phase"]["enum"] = ["Pending"]
    server: Any = Server(document(narrow), document(narrow), document())
    changes: list[bool] = []
    schema = ServedSchema(changed=lambda: changes.append(True))
    told = [(await schema.look(server), schema.missing, len(changes)) for _ in range(3)]
    assert told == [(True, (), 0), (True, (), 0), (True, (), 1)]
