"""`docs/policy.md`: every rule of the policy's file, generated from the models."""

from __future__ import annotations

from sftrun_api.models import JsonObject
from sftrun_api.policies.files import policy_schema

_TOP = """\
<!-- Generated from crds/sftrun_api by `make generate`; edit the models, not this file. -->
# The operator's policy

What the creators of SFTRuns may ask for, said by whoever runs the cluster. Without one, the defaults below
hold: no trainer image but the operator's own, no code that comes with a model, no service account but the
namespace's default one. The chart's value `policy` holds `rules` and `namespaces`, puts them into a
ConfigMap, and mounts it; `sftrun-operator --policy FILE` reads any other file.

```yaml
apiVersion: sftrun.dev/v1alpha1
kind: OperatorPolicy
rules:
  images: [ghcr.io/acme/]
  maxGpus: 8
  claims: ["training-*", "models"]
  deniedEnv: ["NCCL_*", "!NCCL_DEBUG"]
namespaces:
  - names: ["research-*"]
    rules:
      maxGpus: 64
      trustRemoteCode: true
```

- **Names** are matched by patterns: `*` and `?` as in a shell; `!` before a pattern takes out what the
  others let in. An empty list lets nothing in.
- **Namespaces**: each entry that matches replaces the rules it names, in the order of the list.
- **When it is asked**: once, when a spec is accepted, and about image, queue and priority class when they
  are changed while the run is suspended. What was allowed stays so: a narrower policy ends nothing and
  stops no later attempt.
- **A run that is denied** has `Accepted=False` with reason `PolicyDenied`, which names rule, field, value
  and what is allowed. Nothing is created, and it is judged again when the policy or the spec changes.
- **A changed file** is taken over within seconds, without a restart (a mounted ConfigMap takes the kubelet
  up to a minute or two). A file with a mistake changes nothing: the log names the mistake, and the metric
  `sftrun_operator_policy_current` is 0. At the start such a file is refused: the operator ends with status
  2.

The file has a JSON schema, [operator-policy.schema.json](operator-policy.schema.json).

## The rules

| rule | type | meaning |
|---|---|---|
"""


def policy_page() -> str:
    """Returns the page."""
    rules: JsonObject = policy_schema()["properties"]["rules"]["properties"]
    return _TOP + "".join(
        f"| `{name}` | {_type(rule)} | {rule['description']} |\n" for name, rule in rules.items()
    )


def _type(rule: JsonObject) -> str:
    kinds = {"array": "list of names", "boolean": "true or false", "integer": "whole number"}
    return kinds[rule["type"]]
