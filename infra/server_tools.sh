#!/usr/bin/env bash
# Install what throwaway servers and their tests need, where that is possible; say what is missing where it is not.
set -euo pipefail

missing=()
command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
command -v debootstrap >/dev/null || missing+=(debootstrap)
command -v nft >/dev/null || missing+=(nftables)
command -v ssh >/dev/null || missing+=(openssh-client)
command -v ip >/dev/null || missing+=(iproute2)
command -v node >/dev/null || missing+=(nodejs npm)
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "Without root and apt these cannot be installed: ${missing[*]}" >&2
  exit 0
fi
echo "Installing for the tests: ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
if ! { timeout 600 apt-get -qq update && timeout 900 apt-get -qq install -y --no-install-recommends "${missing[@]}"; } >/dev/null; then
  echo "They could not be installed: ${missing[*]}" >&2
fi
