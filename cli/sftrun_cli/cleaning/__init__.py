"""Cleaning a workspace from the command line: one that is mounted here, or a cluster's through a short-lived
pod. What may go is decided by `sftrun_workspace`, the same in both."""
