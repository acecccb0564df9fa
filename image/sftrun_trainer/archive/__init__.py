"""The archive of an attempt: gathered, written into the workspace, and noted in its index."""

from sftrun_trainer.archive.attempts import Attempt
from sftrun_trainer.archive.writing import note, place_of, write

__all__ = ["Attempt", "note", "place_of", "write"]
