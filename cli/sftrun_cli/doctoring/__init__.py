"""Is the cluster fit to run SFTRuns? One line a thing that a run needs, with what to do where it is not so.

`looks` asks with the user's own rights and keeps what may not be seen apart from what is wrong; each of
`contracts`, `operators`, `machines`, `namespaces` and `queues` judges plain objects; `examining` orders them.
"""
