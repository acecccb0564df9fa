"""Harbor's export (ATIF) in place of a scaffold's own logs, for trials whose own logs were not kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sftrun_data import files
from sftrun_data.conversations import Conversation
from sftrun_data.raw_conversations import RawConversation
from sftrun_data.readers import atif_conversations
from sftrun_data.readers.base import Place, Reader
from sftrun_data.requests import Branches, ToolCallForm


@dataclass(frozen=True, slots=True)
class WithExport:
    """A reader of own logs that reads the export where there are none."""

    own: Reader
    agents: frozenset[str]
    """How the export names the scaffold."""
    claims_export: bool = True
    """False where another scaffold's export bears the same name."""

    @property
    def scaffold(self) -> str:
        """Returns the scaffold's word."""
        return self.own.scaffold

    @property
    def version(self) -> int:
        """Returns the version of the reader of own logs."""
        return self.own.version

    def inputs(self, place: Place) -> list[Path]:
        """Returns the own logs and the export."""
        return list(dict.fromkeys([*self.own.inputs(place), *atif_conversations.paths_of(place)]))

    def claims(self, place: Place) -> bool:
        """Whether the place holds own logs, or the export of this scaffold alone."""
        if self.own.claims(place):
            return True
        return self.claims_export and not self._holds_own(place) and self._is_export(place)

    def read(
        self, place: Place, *, form: ToolCallForm, branches: Branches
    ) -> Iterator[Conversation | RawConversation]:
        """Yields the conversations of a place. Raises LeftOut."""
        if not self._holds_own(place) and self._is_export(place):
            yield from atif_conversations.conversations(place, reader=self)
        else:
            yield from self.own.read(place, form=form, branches=branches)

    def _holds_own(self, place: Place) -> bool:
        if place.file:
            return not self._is_export(place)
        return any(files.exists(path) for path in self.own.inputs(place))

    def _is_export(self, place: Place) -> bool:
        return atif_conversations.is_of(place, self.agents)
