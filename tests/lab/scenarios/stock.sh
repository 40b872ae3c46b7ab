# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# what: the driver domain runs Debian's own kernel: what boot and verify do
# boots: pv-stock
# full: yes
# needs: vgrantd vgrantctl

scenario() {
	on driver 'cat /proc/version; grep -q debian-kernel@lists.debian.org /proc/version; cut -d" " -f1 /proc/modules | xargs echo modules:'
	part boot
	part verify
}
