#!/bin/sh
# deb says "remove" and rpm says 0 where the package goes, and not at an upgrade. What is in /var/lib/glassq stays.
set -e
[ -z "$DPKG_ROOT" ] || exit 0
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now glassq.service
	fi
	;;
esac
