#!/usr/bin/env bash
# Install what the page tests drive, where that is possible; say what is skipped where it is not.
set -euo pipefail

command -v chromium >/dev/null && exit 0
command -v google-chrome >/dev/null && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "There is no Chromium, and without root and apt none can be installed: the page tests are skipped." >&2
  exit 0
fi
echo "Installing Chromium for the page tests ..."
export DEBIAN_FRONTEND=noninteractive
if ! { timeout 600 apt-get -qq update && timeout 900 apt-get -qq install -y --no-install-recommends chromium; } >/dev/null; then
  echo "Chromium could not be installed: the page tests are skipped." >&2
fi
