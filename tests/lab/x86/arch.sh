# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# What is x86's: QEMU's machine, Xen and the kernel as multiboot takes them.

ARCH_DEBIAN=amd64
ARCH_TRIPLET=x86_64-linux-gnu
ARCH_CROSS=''
ARCH_PRESET=release
ARCH_LINK=/dev/ttyS1
ARCH_TOOLS=(qemu-system-x86_64)

arch_sysroot() { :; }

machine_command() {
	printf '%s\n' qemu-system-x86_64 -accel tcg,thread=multi -cpu "${LAB_CPU:-qemu64,+svm,+npt,+rdrand}" -smp "$BOOT_SMP" \
		-m "${LAB_MEMORY:-2048}" -nodefaults -no-user-config -no-reboot -display none -monitor none \
		-serial file:dom0.log -chardev pipe,id=link,path=state/link -serial chardev:link \
		-kernel state/xen \
		-append "com1=115200,8n1 console=com1 dom0_mem=${LAB_DOM0_MEMORY:-512}M,max:${LAB_DOM0_MEMORY:-512}M conring_size=1M spec-ctrl=no xpti=no loglvl=warning guest_loglvl=all" \
		-initrd "state/kernel console=hvc0 mitigations=off LABLINK=$ARCH_LINK brd.rd_nr=4 brd.rd_size=${LAB_DISK_KIB:-49152},state/dom0.cpio"
}

arch_xen() { gunzip -c "$LAB_XEN/boot/xen-$BOOT_XEN-amd64.gz" >"$1"; } # FILE

# The kernel as it is inside a bzImage, an ELF file: Xen and its tools take that too, and need not
# unpack it, which under emulation costs a second for each domain. (Offsets: Linux's boot protocol.)
arch_kernel() { # BZIMAGE FILE
	local setup magic offset length
	read -r setup < <(od -An -tu1 -j 497 -N 1 "$1")
	read -r magic < <(od -An -tx4 -j 514 -N 4 "$1")
	read -r offset length < <(od -An -tu4 -j 584 -N 8 "$1")
	[[ $magic == 53726448 ]] || lab_die "$1 is no bzImage"
	offset=$(((setup + 1) * 512 + offset))
	case $(od -An -tx1 -j $offset -N 4 "$1") in
	" 1f 8b"*) tail -c "+$((offset + 1))" "$1" | head -c "$length" | gunzip -q >"$2" ;;
	" fd 37"*) tail -c "+$((offset + 1))" "$1" | head -c "$length" | xz -dc --single-stream >"$2" ;;
	*)
		cp "$1" "$2"
		return
		;;
	esac
	# The last four bytes are the length of what was packed, which the programs take for rubbish.
	[[ $(stat -c %s "$2") == "$(od -An -tu4 -j $((offset + length - 4)) -N 4 "$1" | tr -d ' ')" ]] || lab_die "$1 cannot be unpacked"
}

arch_image_driver() { # DIRECTORY
	image_add_programs "$1" "" "$LAB_OUT"/{labprobe,labmem} || return 1
	[[ ! $BOOT_STOCK ]] || stock_image "$1" "$LAB_STOCK"
}

arch_image_guest() { image_add_programs "$1" "" "$LAB_OUT/labmem"; } # DIRECTORY
arch_image_dom0() { # DIRECTORY
	image_add_programs "$1" "$LAB_XEN" "$LAB_XEN/usr/lib/xen-$BOOT_XEN/bin/lsevtchn" && image_add_programs "$1" "" "$LAB_OUT/labprobe"
}

arch_prepare() {
	lab_compile labprobe -U_GNU_SOURCE -D__XEN_TOOLS__ "$LAB_DIR/x86/labprobe.c" -lxenforeignmemory -lxendevicemodel -lxenstore || return 1
	lab_compile labmem "$LAB_DIR"/x86/labmem{,-io,-pages}.c || return 1
	printf '%s\n' "${PLAN[@]%% *}" | grep -qx pv-stock || return 0
	LAB_STOCK=$(stock_kernel)
}
