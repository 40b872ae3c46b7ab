# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What an HVM guest needs in dom0 beside QEMU (qdisk.sh): the loader and the BIOS that run in it first, the option
# ROM by which QEMU gives it a kernel, and a kernel as that ROM takes it.

hvm_fetch() { packages_root hvm bookworm seabios qemu-system-data; }

hvm_part() { # DIRECTORY
	local root
	[[ $BOOT_TYPE == hvm ]] || return 0
	root=$(hvm_fetch) || return 1
	mkdir -p "$1/usr/lib/xen-$BOOT_XEN/boot" "$1"/usr/share/{seabios,qemu}
	cp "$LAB_XEN/usr/lib/xen-$BOOT_XEN/boot/hvmloader" "$1/usr/lib/xen-$BOOT_XEN/boot/"
	cp -L "$root/usr/share/seabios/bios-256k.bin" "$1/usr/share/seabios/"
	cp -L "$root/usr/share/qemu/linuxboot.bin" "$1/usr/share/qemu/"
	cp "${KERNELS[$BOOT]}" "$1/lab/bzImage"
}

DOM0_PARTS+=(hvm_part)
FETCH_PARTS+=(hvm_fetch)
