"""Runs on a cluster as commands see them: what an object says (`views`), its pods, its curve, its events.

`views`, `curves` and whatever draws are pure; `sources` and `pods` ask the cluster.
"""
