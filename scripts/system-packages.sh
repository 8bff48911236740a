#!/bin/sh
# Makes sure that the named Debian packages are there: installs the missing ones where this user may, else says what to
# install and fails. A machine that has a package's program from elsewhere counts as having it.
#
#   scripts/system-packages.sh prometheus postgresql
set -eu

# Is the package's program there, whoever put it there?
present() {
  case $1 in
    prometheus) command -v prometheus >/dev/null && command -v promtool >/dev/null ;;
    victoria-metrics) command -v victoria-metrics >/dev/null && command -v vmauth >/dev/null ;;
    # Debian keeps the server's programs off the path; the tests look for them here.
    postgresql) ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=
for package in "$@"; do
  present "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

refuse() {
  echo "Missing system packages:$missing" >&2
  echo "$1" >&2
  exit 1
}

command -v apt-get >/dev/null || refuse 'Install them with the package manager of this system, then try again.'

if [ "$(id -u)" -eq 0 ]; then
  as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  as_root='sudo -n'
else
  refuse "Run: sudo apt-get install --no-install-recommends$missing"
fi

echo "Installing system packages:$missing" >&2
# The packages bring services that start themselves. Tests run private copies of the programs on free ports, so it does
# not matter whether those services run.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || refuse 'apt-get update failed (see above).'
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2 ||
  refuse 'apt-get install failed (see above).'
for package in $missing; do
  present "$package" || refuse "$package was installed, but its program cannot be found."
done
