# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# The kinds of boot on x86. One boot serves many scenarios; a scenario names the kinds it runs in.

ARCH_BOOTS=(pv pvh pv-stock pv-xen4.20 pvh-mmio pvh-mmio-xen4.20 hvm-mmio)

boot_select() { # NAME
	BOOT=$1
	BOOT_XEN=4.17
	BOOT_SUITE=bookworm
	BOOT_DRIVER=(memory=320) # options of domain_create
	BOOT_STOCK=
	BOOT_KERNEL=()
	BOOT_IOREQ=
	BOOT_DAEMON=
	BOOT_GUEST=()
	case $1 in
	pv) # the everyday pair: no nested paging to emulate
		BOOT_TYPE=pv
		BOOT_SMP=2
		;;
	pvh) # one processor: with two, guests die of triple faults under QEMU 7.2
		BOOT_TYPE=pvh
		BOOT_SMP=1
		;;
	pv-stock) # the driver domain runs Debian's own kernel, which takes more memory and longer to boot
		BOOT_TYPE=pv
		BOOT_SMP=2
		BOOT_DRIVER=(kernel=/lab/stock-kernel memory=512)
		BOOT_STOCK=yes
		;;
	pv-xen4.20) # another Xen and its tools, the same programs of ours
		BOOT_TYPE=pv
		BOOT_SMP=2
		BOOT_XEN=4.20
		BOOT_SUITE=trixie
		;;
	pvh-mmio | pvh-mmio-xen4.20) # virtio-mmio: vgrantd in dom0, the one small patch in all kernels
		BOOT_TYPE=pvh
		BOOT_SMP=1
		BOOT_DRIVER=()
		BOOT_KERNEL=(--mmio)
		BOOT_DAEMON='--bus mmio'
		BOOT_VCPUS=1
		if [[ $1 == *-xen4.20 ]]; then
			BOOT_XEN=4.20
			BOOT_SUITE=trixie
			BOOT_IOREQ=yes
		fi
		;;
	hvm-mmio) # virtio-mmio by the guest's command line and an ISA interrupt: no patch in any kernel, QEMU beside vgrantd in dom0
		BOOT_TYPE=hvm
		BOOT_SMP=1
		BOOT_DRIVER=()
		BOOT_KERNEL=(--unpatched --fragment "$LAB_TOP/frontend-patches/linux-6.12/hvm.config")
		BOOT_DAEMON='--bus mmio'
		BOOT_VCPUS=1
		BOOT_GUEST=(kernel=/lab/bzImage memory=192 'device_model_version="qemu-xen"' 'vga="none"')
		;;
	*) lab_die "there is no boot '$1'; there are: ${ARCH_BOOTS[*]}" ;;
	esac
	# No more processors than the host has for this machine: those that wait for each other's locks
	# while they are not scheduled waste most of the time.
	((BOOT_SMP * JOBS <= $(nproc))) || BOOT_SMP=1
	BOOT_SMP=${VGRANT_LAB_CPUS:-$BOOT_SMP}
}
