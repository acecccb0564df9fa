"""Runs held against each other: what differs in them (`differences`), what came out (`results`), and whether
that is more than noise (`verdicts`). Pure."""
