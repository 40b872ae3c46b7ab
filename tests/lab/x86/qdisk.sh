# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# QEMU in dom0, as Xen's toolstack starts it for disks with backendtype=qdisk. It makes dom0's image
# three times as large, so only boots of which a scenario asks for it ("# dom0: qemu") have it, and those of HVM guests.

QDISK_PACKAGE=qemu-system-xen
QDISK_PROGRAM=xen-qemu-system-i386

# Prints where the package is, unpacked.
qdisk_fetch() { packages_root "$QDISK_PACKAGE" bookworm "$QDISK_PACKAGE" libgcc-s1; }

qdisk_part() { # DIRECTORY: dom0's image, which has Xen's own libraries already
	local root file
	[[ $BOOT_TYPE == hvm ]] || plan_wants dom0 qemu || return 0
	root=$(qdisk_fetch) || return 1
	file=$(find "$root" -type f -name "$QDISK_PROGRAM" -perm -u+x -print -quit)
	[[ $file ]] || lab_die "Debian's package $QDISK_PACKAGE has no program $QDISK_PROGRAM"
	image_add_programs "$1" "$root" "$file" || return 1
	# Where libxl looks for it, and beside which it looks for its data files. libxl gives it a VNC
	# server that listens to nobody, and that wants a file with this name.
	mkdir -p "$1/usr/libexec" "$1/usr/share/qemu/keymaps"
	mv "$1/bin/$QDISK_PROGRAM" "$1/usr/libexec/"
	: >"$1/usr/share/qemu/keymaps/en-us"
}

DOM0_PARTS+=(qdisk_part)
FETCH_PARTS+=(qdisk_fetch)
