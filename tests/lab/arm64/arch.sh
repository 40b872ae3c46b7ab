# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# What is arm64's: QEMU's machine, the hypervisor, and where the libraries of our programs are from.

ARCH_DEBIAN=arm64
ARCH_TRIPLET=aarch64-linux-gnu
ARCH_CROSS=aarch64-linux-gnu-
ARCH_PRESET=arm64
ARCH_LINK=/dev/vport0p1
ARCH_TOOLS=(qemu-system-aarch64)

# What our programs and mke2fs are linked with: this machine's Debian release, since the compiler for
# arm64 comes from there. The C library of the images is that of Xen's tools, which is newer and takes them.
arch_sysroot() {
	packages_root sysroot "$(packages_own_suite)" libxen-dev liburing-dev libjansson-dev check libsubunit-dev libgcc-s1 libc6-dev linux-libc-dev e2fsprogs zlib1g
}
FETCH_PARTS+=(arch_sysroot)

# (The machine has one serial line, which Xen and dom0's console have; the lab's is a port of a virtio console.)
machine_command() {
	printf '%s\n' qemu-system-aarch64 -M virt,virtualization=on,gic-version=3 -cpu "${LAB_CPU:-cortex-a57}" \
		-accel tcg,thread=multi -smp "$BOOT_SMP" -m "${LAB_MEMORY:-2048}" \
		-nodefaults -no-user-config -no-reboot -display none -monitor none -serial file:dom0.log \
		-global virtio-mmio.force-legacy=false -device virtio-serial-device \
		-chardev pipe,id=link,path=state/link -device virtserialport,chardev=link,name=lab \
		-kernel state/xen -append "dom0_mem=${LAB_DOM0_MEMORY:-768}M console=dtuart xsm=$BOOT_XSM bootscrub=0 conring_size=1M loglvl=warning guest_loglvl=all" \
		-device "guest-loader,addr=0x4a000000,kernel=state/kernel,bootargs=console=hvc0 rdinit=/init LABLINK=$ARCH_LINK brd.rd_nr=4 brd.rd_size=${LAB_DISK_KIB:-49152}" \
		-device guest-loader,addr=0x50000000,initrd=state/dom0.cpio
}

arch_xen() { # FILE
	local dir file=$LAB_XEN/boot/xen-$BOOT_XEN-arm64
	if [[ $BOOT_IOREQ ]]; then
		dir=$(xen_ioreq) || return 1
		file=$dir/xen
	fi
	cp "$file" "$1"
}

arch_kernel() { cp "$1" "$2"; } # IMAGE FILE
arch_image_driver() { :; }
arch_image_guest() { :; }
arch_image_dom0() { image_add_programs "$1" "" "$LAB_OUT/lsevtchn"; } # DIRECTORY
arch_prepare() {
	lab_compile lsevtchn -D__XEN_TOOLS__ "$LAB_DIR/arm64/lsevtchn.c" -lxencall || return 1
	printf '%s\n' "${PLAN[@]%% *}" | grep -qx arm64 || return 0
	xen_ioreq >/dev/null
}
