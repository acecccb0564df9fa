#!/usr/bin/env bash
# Builds one of the two images into the local build store.
# Usage: build.sh operator|trainer TAG    (does nothing when an image of that tag is there)
# ARCH=arm64 makes the operator for another architecture; BASE_IMAGE must then be of that one, and BUILD_IMAGE, where
# its files are put together, of this machine's (default: the base that base.sh makes).
#
# The machine's own certificates are mounted while packages are fetched, so that a machine behind a proxy with a
# certificate of its own can build; they are never part of the image. The machine's uv cache is mounted as well:
# what `make setup` fetched is not fetched twice.
#
# With SOURCE_DATE_EPOCH (seconds) the same inputs give the same digest, wherever and whenever: all times are that one,
# and no layer is taken from an earlier build. BASE_IMAGE is one of the inputs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/store.sh"
target=${1:?usage: build.sh operator|trainer TAG}
tag=${2:?usage: build.sh operator|trainer TAG}
base=${BASE_IMAGE:-localhost/sftrun-base:bookworm}
cache=${UV_CACHE_DIR:-$HOME/.cache/uv}
here_arch=$(dpkg --print-architecture)
arch=${ARCH:-$here_arch}
if [ "$arch" != "$here_arch" ] && { [ "$target" != operator ] || [ -z "${BASE_IMAGE:-}" ]; }; then
  echo "ARCH=$arch is for the operator, and needs BASE_IMAGE of that architecture" >&2
  exit 1
fi
mkdir -p "$cache"
if store inspect --type image "$tag" >/dev/null 2>&1; then
  exit 0
fi

build_image=$base
[ "$arch" = "$here_arch" ] || build_image=${BUILD_IMAGE:-localhost/sftrun-base:bookworm}
for image in "$base" "$build_image"; do
  [ "$image" != localhost/sftrun-base:bookworm ] || "$here/base.sh" "$image"
done
cd "$here/../.."
certificates=/etc/ssl/certs
[ -d "$certificates" ] || { echo "$certificates is missing: install ca-certificates" >&2; exit 1; }

if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
  layers=(--layers=false --no-cache --timestamp "$SOURCE_DATE_EPOCH")
else
  layers=(--layers)
fi
# Build arguments, not an environment: what `--env` sets would stay in the image.
build() {
  store bud "${layers[@]}" --isolation chroot --network host --format oci --quiet \
    --target "$target" --tag "$tag" \
    --volume "$certificates:$certificates:ro" --volume "$cache:/var/cache/uv" \
    --arch "$arch" --build-arg BUILDARCH="$here_arch" --build-arg BUILDPLATFORM="linux/$here_arch" --build-arg TARGETARCH="$arch" \
    --build-arg BASE_IMAGE="$base" --build-arg BUILD_IMAGE="$build_image" \
    --build-arg UV_CACHE_DIR=/var/cache/uv \
    --build-arg PIP_CERT="$certificates/ca-certificates.crt" \
    --build-arg SSL_CERT_FILE="$certificates/ca-certificates.crt" \
    --build-arg FLASH_ATTN_WHEEL="${FLASH_ATTN_WHEEL:-}" \
    --build-arg VERSION="${VERSION:-0.1.0}" \
    --build-arg REVISION="${REVISION:-}" \
    -f Dockerfile .
}
# Of each target the newest three stay: the trainer's packages are 8 GB whenever they change.
forget_old_ones() {
  store images --format '{{.Name}}:{{.Tag}}' 2>/dev/null | grep "^localhost/sftrun-$target:" | tail -n +4 |
    while read -r old; do store rmi "$old" >/dev/null 2>&1 || true; done
}
# buildah copies itself into memory for each step, and newer kernels refuse to seal the copy now and then.
log=$(mktemp)
trap 'rm -f -- "$log"' EXIT
for _ in 1 2 3; do
  if build 2>&1 | tee "$log"; then
    forget_old_ones
    exit 0
  fi
  grep -q "sealing memfd copy" "$log" || exit 1
done
exit 1
