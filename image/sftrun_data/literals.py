"""Markup that stands literally in what was said, and what is done about it.

A control token of the template, written out in a text, becomes the real token when the text is tokenised,
and the
decoded result looks right. In a trained turn it would teach the model to stop in mid-sentence: the record is
left
out. Anywhere else a space behind its first character keeps it readable and harmless. The same is done to what
LLaMA-Factory would act upon: `{{idx}}` in user turns, thought and call markers in trained text, media
placeholders
under multimodal templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from sftrun_data.exclusions import LeftOut, Reason
from sftrun_data.families import Family

MEDIA = ("<image>", "<video>", "<audio>")
TURN_NUMBER = "{{idx}}"


@dataclass(slots=True)
class Literals:
    """Cleans the texts of one record; `broken` says whether it had to."""

    family: Family
    broken: bool = field(default=False)
    _control: re.Pattern[str] | None = field(init=False)
    _media: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._control = _any_of(self.family.markers)
        self._media = MEDIA if self.family.multimodal else ()

    def heard(self, text: str, *, by_user: bool = False) -> str:
        """Returns a text that is not trained: nothing in it can become a token of the template."""
        if self._control:
            text = self._break_pattern(text, self._control)
        return self._break(text, (*self._media, TURN_NUMBER) if by_user else self._media)

    def retold(self, text: str, *, markers: Iterable[str] = ()) -> str:
        """Returns what the model said once and is not trained here."""
        return self._break(self.heard(text), markers)

    def spoken(self, text: str, *, markers: Iterable[str] = ()) -> str:
        """Returns a trained text. Raises LeftOut (StopTokenInContent)."""
        self._refuse_control(text)
        return self._break(text, (*self._media, *markers))

    def arguments(self, json_text: str, *, markers: Iterable[str], trained: bool) -> str:
        """Returns the JSON of calls, spelt so that no search finds a marker in it; its value is the same.

        Raises LeftOut (StopTokenInContent) for trained ones.
        """
        if trained:
            self._refuse_control(json_text)
        elif self._control:
            json_text = self._break_pattern(json_text, self._control)
        for marker in (*self._media, *markers):
            if marker in json_text:
                return json_text.replace("<", "\\u003c")
        return json_text

    def _refuse_control(self, text: str) -> None:
        if self._control and (match := self._control.search(text)):
            raise LeftOut(Reason.STOP_TOKEN_IN_CONTENT, f"{match[0]!r} in a trained turn")

    def _break_pattern(self, text: str, pattern: re.Pattern[str]) -> str:
        result, count = pattern.subn(lambda match: broken_up(match[0]), text)
        self.broken = self.broken or count > 0
        return result

    def _break(self, text: str, markers: Iterable[str]) -> str:
        for marker in markers:
            if marker and marker in text:
                text = text.replace(marker, broken_up(marker))
                self.broken = True
        return text


def broken_up(marker: str) -> str:
    """Returns a marker with a space behind its first character: readable, and no marker any more."""
    return f"{marker[0]} {marker[1:]}"


def _any_of(markers: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(markers, key=lambda marker: (-len(marker), marker))
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
