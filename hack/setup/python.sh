#!/usr/bin/env bash
# Makes .venv what requirements/dev.txt says, with this project in it. Quick when nothing changed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
want=3.11
tools=.cache/tools/uv
stamp=.venv/sftrun-setup
state=$(cat requirements/dev.txt requirements/uv.txt pyproject.toml hack/setup/python.sh | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$state" ] && .venv/bin/python -c '' 2>/dev/null; then
  exit 0
fi

if [ "$(uname -sm)" != "Linux x86_64" ]; then
  echo "requirements/*.txt are locked for Linux x86_64 (CUDA's packages are), and this is $(uname -sm)." >&2
  echo "Use such a machine, a virtual one or a container: .devcontainer/ has one." >&2
  exit 1
fi
python=$(command -v "python$want" || command -v python3 || true)
if [ -z "$python" ] || ! "$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$want')"; then
  echo "Python $want is needed (requirements/*.txt are locked for it); found: ${python:-none}." >&2
  echo "On Debian 12: apt-get install python3 python3-venv" >&2
  exit 1
fi
if [ ! -x "$tools/bin/uv" ] || ! "$tools/bin/uv" --version | grep -qF "$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements/uv.txt)"; then
  rm -rf "$tools"
  "$python" -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
fi
uv="$PWD/$tools/bin/uv"
[ -x .venv/bin/python ] || "$uv" venv --quiet --python "$python" .venv
export VIRTUAL_ENV="$PWD/.venv"
export UV_SYSTEM_CERTS=1 # the machine's certificates, not uv's own: there may be a proxy with one of its own
"$uv" pip sync --quiet --require-hashes requirements/dev.txt
"$uv" pip install --quiet --no-deps --no-build-isolation --editable .
printf '%s\n' "$state" >"$stamp"
