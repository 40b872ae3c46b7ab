# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# The kinds of boot on arm64.

ARCH_BOOTS=(arm64-msg arm64)

boot_select() { # NAME
	BOOT=$1
	BOOT_XEN=4.20
	BOOT_SUITE=trixie
	BOOT_TYPE=pvh
	BOOT_SMP=2
	BOOT_STOCK=
	BOOT_IOREQ=
	BOOT_CMDLINE=
	BOOT_XSM=silo
	case $1 in
	arm64-msg) # as on x86: a driver domain, the series, virtio-msg; Debian's Xen as it is
		BOOT_DRIVER=(memory=320)
		BOOT_KERNEL=(--arch arm64)
		# On Arm libxl describes each virtio disk as one of virtio-mmio, too. Nobody serves those
		# addresses here, and what reads from there ends by a fault.
		BOOT_CMDLINE=initcall_blacklist=virtio_mmio_init
		# Xen's usual policy on Arm, "silo", lets no two unprivileged domains share anything.
		BOOT_XSM=dummy
		;;
	arm64) # virtio-mmio: no patch in any kernel; Xen with IOREQ servers, which only dom0 may be
		BOOT_DRIVER=()
		BOOT_KERNEL=(--arch arm64 --unpatched)
		BOOT_IOREQ=yes
		;;
	*) lab_die "there is no boot '$1'; there are: ${ARCH_BOOTS[*]}" ;;
	esac
	((BOOT_SMP * JOBS <= $(nproc))) || BOOT_SMP=1
	BOOT_SMP=${VGRANT_LAB_CPUS:-$BOOT_SMP}
}
