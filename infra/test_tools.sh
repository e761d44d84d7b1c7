#!/usr/bin/env bash
# Install what some tests need of the system, where that is possible; say what is skipped where it is not.
set -euo pipefail

# Debian's monitoring, unpacked beside the system: its packages would start services here.
monitoring=/var/cache/metachat-tests/prometheus
if ! [ -x "$monitoring/usr/bin/prometheus-node-exporter" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "Unpacking for the tests: prometheus prometheus-alertmanager prometheus-node-exporter ..."
  mkdir -p "$monitoring"
  if ! ( cd "$monitoring" && timeout 600 apt-get -qq update &&
    timeout 600 apt-get -qq -o APT::Sandbox::User=root download prometheus prometheus-alertmanager \
      prometheus-node-exporter && for package in ./*.deb; do dpkg-deb -x "$package" .; done && rm -f ./*.deb ) >/dev/null; then
    echo "They could not be unpacked, and their tests are skipped." >&2
  fi
fi
# Alertmanager looks for its own templates there, and nowhere else.
templates=/usr/share/prometheus/alertmanager
if [ -d "$monitoring$templates" ] && ! [ -e "$templates" ] && [ "$(id -u)" -eq 0 ]; then
  mkdir -p "$(dirname "$templates")"
  ln -s "$monitoring$templates" "$templates"
fi

missing=()
command -v chromium >/dev/null || missing+=(chromium)
[ -f /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || missing+=(fonts-dejavu-core)
# The server is in there too, without the service that the package redis-server would start.
command -v redis-server valkey-server redis-check-rdb >/dev/null || missing+=(redis-tools)
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "Without root and apt these cannot be installed, and their tests are skipped: ${missing[*]}" >&2
  exit 0
fi
echo "Installing for the tests: ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
if ! { timeout 600 apt-get -qq update && timeout 900 apt-get -qq install -y --no-install-recommends "${missing[@]}"; } >/dev/null; then
  echo "They could not be installed, and their tests are skipped: ${missing[*]}" >&2
fi
