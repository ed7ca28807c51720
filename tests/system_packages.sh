#!/bin/sh
# Installs what the tests run beside us: a PACS, a browser and a database server. Does nothing where they are there.
set -eu
missing=""
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc orthanc-dicomweb"
command -v chromium >/dev/null || missing="$missing chromium"
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
[ -n "$missing" ] || exit 0
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo -n"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # a list of packages
{ $as_root apt-get update -q && $as_root apt-get install -y -q --no-install-recommends $missing; } || {
    echo "install these first, as root: apt-get install$missing" >&2
    exit 2
}
