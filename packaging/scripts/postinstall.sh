#!/bin/sh
# After the first installation and after an upgrade. The service is not started unasked; one that ran is started
# again. DPKG_ROOT is the folder that dpkg --root installs into, where nothing runs.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers ${DPKG_ROOT:+--root="$DPKG_ROOT"} glassq.conf
else
	getent passwd glassq >/dev/null 2>&1 ||
		useradd --system --home-dir /var/lib/glassq --no-create-home --shell /usr/sbin/nologin glassq
fi
if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart glassq.service
fi
