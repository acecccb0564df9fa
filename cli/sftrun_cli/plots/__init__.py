"""Loss curves of one or several runs: in the terminal, as pictures and as tables. Pure.

Curves are told apart by letter and by colour, from a palette for every kind of colour vision (Okabe and Ito).
"""

from sftrun_cli.plots.series import Series

__all__ = ["Series"]
