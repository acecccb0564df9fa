"""The cluster as a command sees it: one client with the user's own rights, and sentences for what goes wrong.

A command takes the four options of `options` and connects; nothing heavy is imported before that:

    def watch(name: …, namespace: Namespace = None, context: Context = None,
              kubeconfig: Kubeconfig = None, request_timeout: RequestTimeout = SECONDS) -> None:
        from sftrun_cli.cluster import connections, resources

        with connections.connect(
            namespace=namespace, context=context, kubeconfig=kubeconfig, seconds=request_timeout
        ) as cluster:
            run = cluster.get(resources.SFTRUNS, name)           # or a sentence why not
            for each in cluster.items(resources.PODS, labels=f"sftrun.dev/run={name}"): …

`clients.Client` has the verbs. Every failure is a `refusals.ClusterError`, which is a `CommandError`: whoever
does not want to handle it lets it pass, and the person reads one sentence. Lists come page by page and are
never whole in memory. `helper_pods` runs a short program of the trainer's image on a run's workspace.
"""
