"""Suspending, resuming, retrying and deleting runs: what it comes to is said before it happens.

`verdicts` decides purely, from the object as the API server gives it; `acting` asks the person and the
cluster; `waits` follows a run until it is where it was sent.
"""
