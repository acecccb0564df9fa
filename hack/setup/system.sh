#!/usr/bin/env bash
# Installs the Debian packages that are listed beside it and in hack/cluster/ (with KUBECONFIG no cluster is started
# here, so those are not needed), if one is missing; else does nothing. Services that come with a package are for
# tests only: they are neither started now nor at the next boot.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lists=("$here/packages.txt")
own=$(realpath -m "${SFTRUN_CLUSTER_CACHE:-$here/../../.cache/cluster}")
case $(realpath -m "${KUBECONFIG:-$own/none}") in
  "$own"/*) lists+=("$here/../cluster/packages.txt") ;; # a KUBECONFIG of our own cluster is as good as none
esac

missing=()
for package in $(sed 's/#.*//' "${lists[@]}"); do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "These Debian packages are missing and only root can install them: ${missing[*]}" >&2
  echo "Install them, or work against a cluster of yours: set KUBECONFIG and REGISTRY (see docs/quickstart.md)." >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
case " ${missing[*]} " in *" prometheus "*)
  mkdir -p /etc/systemd/system
  [ -e /etc/systemd/system/prometheus.service ] || ln -s /dev/null /etc/systemd/system/prometheus.service
esac
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
echo "installing ${missing[*]}"
apt-get -qq -o DPkg::Lock::Timeout=120 update
apt-get -qq -o DPkg::Lock::Timeout=120 install --no-install-recommends "${missing[@]}" >/dev/null
