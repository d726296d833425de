#!/bin/sh
# Installs the servers that fetches are measured beside, memcached and Redis,
# where that is possible. Where it is not, it says so: they are left out then.
set -u

packages=
command -v memcached >/dev/null || packages=memcached
command -v redis-server >/dev/null || packages="$packages redis-server"
[ -n "$packages" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	# shellcheck disable=SC2086 # the packages are words
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages && exit
fi
echo "measured without what is not installed (Debian:$(echo " $packages" | tr -s ' '))" >&2
