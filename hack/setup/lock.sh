#!/usr/bin/env bash
# Recompiles requirements/*.txt. dev.txt is resolved first; both images take their versions from it, so that tests
# run what ships.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
compile() {
  .cache/tools/uv/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url "$@"
}
export UV_SYSTEM_CERTS=1
compile requirements/uv.in -o requirements/uv.txt
compile requirements/dev.in -o requirements/dev.txt
compile -c requirements/dev.txt requirements/operator.in -o requirements/operator.txt
compile -c requirements/dev.txt requirements/trainer.in -o requirements/trainer.txt
compile requirements/docs.in -o requirements/docs.txt
