"""From a model's config.json, and the index of its files where there is one, to its shape.

A known family is counted matrix by matrix. Of an unknown one, or of a config that lacks numbers, the number
of parameters is told from the size of the files; what was taken for granted is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sftrun_api.estimates import configs, families
from sftrun_api.estimates.configs import Config
from sftrun_api.estimates.layers import ModelShape

UNLIKE = 0.02
"""Share by which counted parameters and files may differ before it is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """What is known of a model's size."""

    shape: ModelShape | None = None
    """`None` for an unknown family."""
    parameters: int | None = None
    exact: bool = False
    """Whether the parameters are counted, and their number of bytes is the run's own choice."""
    notes: tuple[str, ...] = ()


def size(config: object, *, index: object = None) -> Sized:
    """Returns the model's size. Never raises, whatever the two hold."""
    found = configs.read(config)
    stored = configs.index_bytes(index)
    notes: list[str] = []
    shape = None
    if found is None:
        notes.append("the model's config.json is not known")
    else:
        shape = _shape(found)
        notes += found.faults
        if shape is None and not found.faults:
            name = found.family or "without a model_type"
            notes.append(f"the architecture ({name}) is not one whose parameters are counted here")
        if isinstance(found.outer.get("quantization_config"), dict):
            notes.append("the model's files are quantized; sizes are those of the unquantized model")
    by_files = _by_files(config, stored, notes if shape is None else [])
    if shape is None or found is None:
        return Sized(parameters=by_files, notes=tuple(notes))
    quantized = "quantization_config" in found.outer
    return _compared(shape, by_files, nested=found.nested, exact=not quantized, notes=notes)


def _shape(config: Config) -> ModelShape | None:
    family = families.FAMILIES.get(config.family)
    if family is None:
        return None
    decoder = families.decoder(config, family)
    vocabulary = config.need("vocab_size")
    if decoder is None or vocabulary is None:
        return None
    return ModelShape(
        family=config.family,
        vocabulary=vocabulary,
        layers=decoder.layers,
        widths=decoder.widths,
        tied=config.flag("tie_word_embeddings", default=family.tied),
        other=decoder.widths.hidden,  # the last norm
    )


def _by_files(config: object, stored: int | None, notes: list[str]) -> int | None:
    if stored is None:
        if config is not None:  # else nothing of the model is at hand, and that is said
            notes.append("the index of its files tells no total_size")
        return None
    each = configs.stored_bytes(config)
    if each is None:
        notes.append("estimated from the size of its files, taking 2 bytes a parameter")
        return stored // 2
    notes.append(f"estimated from the size of its files, {each} bytes a parameter")
    return stored // each


def _compared(
    shape: ModelShape, by_files: int | None, *, nested: bool, exact: bool, notes: list[str]
) -> Sized:
    counted = shape.parameters
    if nested:
        beside = max(0, by_files - counted) if by_files is not None else 0
        shape = replace(shape, other=shape.other + beside, frozen=beside)
        notes.append(
            f"{beside:,} parameters beside the language model, which are not trained"
            if beside
            else "what lies beside the language model (a vision tower) is not counted"
        )
    elif exact and by_files is not None and abs(by_files - counted) > UNLIKE * counted:
        notes.append(
            f"its config has {counted:,} parameters, its files have about {by_files:,}: they may be another "
            "precision, or another model's"
        )
    return Sized(shape=shape, parameters=shape.parameters, exact=exact, notes=tuple(notes))
