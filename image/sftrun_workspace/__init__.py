"""What lies in a workspace, and what of it may go: listed, judged and removed apart from one another.

`listings.read` looks and follows no link, `plans.plan` decides and touches nothing, `removals.remove` looks
once more before each removal. The command line uses them on a mounted workspace; in a pod of the trainer's
image `python -m sftrun_workspace` does the same and prints lines of JSON. Neither torch nor a cluster is
needed. Where things lie is the trainer's to say; a test holds both to each other.
"""
