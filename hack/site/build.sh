#!/usr/bin/env bash
# Builds the documents as a site into .cache/site, and fails at a link, an anchor or a page that leads nowhere.
# mkdocs has an environment of its own: nothing that runs or tests the product needs it.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
place=.cache/docs
uv=.cache/tools/uv/bin/uv
mermaid=11.12.0
mermaid_sha256=93492e4d609be83653a41c435f4cbd7e74419f7fa6b4fc90a8c983195f64af82
export UV_SYSTEM_CERTS=1

state=$(cat requirements/docs.txt hack/site/build.sh | sha256sum)
if [ "$(cat "$place/stamp" 2>/dev/null)" != "$state" ]; then
  rm -rf "$place"
  mkdir -p "$place"
  "$uv" venv --quiet --python .venv/bin/python "$place/venv"
  VIRTUAL_ENV="$PWD/$place/venv" "$uv" pip sync --quiet --require-hashes requirements/docs.txt
  # The diagrams' renderer, pinned by its digest: readers without internet see them too. Without npm the site is built
  # all the same, and a reader's browser fetches the renderer.
  if command -v npm >/dev/null; then
    (cd "$place" && npm pack --silent "mermaid@$mermaid" >/dev/null)
    echo "$mermaid_sha256  $place/mermaid-$mermaid.tgz" | sha256sum --check --quiet
    tar -xzf "$place/mermaid-$mermaid.tgz" -C "$place" package/dist/mermaid.min.js
    rm "$place/mermaid-$mermaid.tgz"
  fi
  printf '%s\n' "$state" >"$place/stamp"
fi
NO_MKDOCS_2_WARNING=1 "$place/venv/bin/mkdocs" --quiet build --strict --clean
