# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2153
# what: another Xen, the same vgrantd: what boot and verify do
# boots: pv-xen4.20
# full: yes
# needs: vgrantd vgrantctl

scenario() {
	local domain
	for domain in dom0 driver; do
		equal "the version of Xen that $domain sees" "$(on $domain 'cat /sys/hypervisor/version/major /sys/hypervisor/version/minor | tr "\n" " "')" \
			"${BOOT_XEN/./ } "
	done
	part boot
	part verify
}
