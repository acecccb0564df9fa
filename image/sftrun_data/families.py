"""What a template demands of the records that are written for it.

The table comes from LLaMA-Factory itself (`hack/template_families.py`); the model's own special tokens are
added
where its tokenizer is at hand, because any of them, standing literally in a text, becomes a real token.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from sftrun_data import files, jsons
from sftrun_data.errors import BadRequest
from sftrun_data.exclusions import LeftOut

_COMMON_ENDS = (
    "</s>",
    "<eos>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
)
"""What models of templates that end in the tokenizer's own token call it; used where no tokenizer is at
hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How turns are written for one template."""

    template: str
    reasoning: bool
    """LLaMA-Factory adds an empty thought to turns without one."""
    folded: bool
    """LLaMA-Factory reads a function turn as bare JSON: text and thoughts beside calls must be rendered by
    us."""
    multimodal: bool
    tool_format: str
    thought: tuple[str, str]
    tool_call: tuple[str, str]
    results_join: str
    """Between the results of parallel calls, in one observation."""
    markers: frozenset[str]
    """Control tokens: literal ones in a text would become real."""


def family_of(template: str, *, special_tokens: Iterable[str] = ()) -> Family:
    """Returns the family of a template. `special_tokens` are the tokenizer's, none if it is not at hand.

    Raises BadRequest for a template that LLaMA-Factory does not have.
    """
    entry = _table().get(template)
    if entry is None:
        raise BadRequest(f"training.template: LLaMA-Factory has no template {template!r}")
    family = Family(
        template=template,
        reasoning=entry["reasoning"],
        folded=entry["folded"],
        multimodal=entry["multimodal"],
        tool_format=entry["toolFormat"],
        thought=tuple(entry["thought"]),
        tool_call=tuple(entry["toolCall"]),
        results_join=entry["resultsJoin"],
        markers=frozenset(entry["markers"]),
    )
    known = frozenset(special_tokens)
    guessed = frozenset(_COMMON_ENDS) if entry["endsWithEos"] and not known else frozenset()
    return replace(family, markers=family.markers | known | guessed)


def special_tokens_of(model: Path | None) -> tuple[str, ...]:
    """Returns the special tokens of the tokenizer in a model's folder, sorted; none if it cannot be read
    there.

    A tokenizer without `tokenizer.json` (or no model yet) is not an error here: the template's own tokens are
    always known, and the model itself is checked before training.
    """
    if model is None:
        return ()
    tokens: set[str] = set()
    for name, find in (("tokenizer.json", _added_tokens), ("tokenizer_config.json", _decoded_tokens)):
        try:
            document = jsons.loads(
                files.read(model / name, root=Path("/"), limit=files.MAX_METADATA_BYTES)
            ).value
        except (LeftOut, jsons.BrokenJSON):
            continue
        if isinstance(document, dict):
            tokens.update(find(document))
    return tuple(sorted(tokens))


def _added_tokens(document: dict[str, Any]) -> Iterable[str]:
    added = document.get("added_tokens")
    return _special(added if isinstance(added, list) else [])


def _decoded_tokens(document: dict[str, Any]) -> Iterable[str]:
    added = document.get("added_tokens_decoder")
    return _special(added.values() if isinstance(added, dict) else [])


def _special(tokens: Iterable[Any]) -> Iterable[str]:
    for token in tokens:
        content = token.get("content") if isinstance(token, dict) and token.get("special") is True else None
        if isinstance(content, str) and len(content) > 1:
            yield content


@cache
def _table() -> dict[str, dict[str, Any]]:
    # importlib.resources is a twentieth of what a worker spends to start
    text = Path(__file__).with_name("templates.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = json.loads(text)
    return table
