# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What one boot consists of: Xen, the kernel, and the images of dom0, of the driver domain and of the
# guests. What depends on the architecture of the machine is in its directory (x86/, arm64/):
#   boots.sh   ARCH_BOOTS; boot_select NAME sets BOOT and
#                BOOT_XEN, BOOT_SUITE   Xen's version, and Debian's suite that it and its tools are from
#                BOOT_TYPE, BOOT_SMP    the domains' type, the machine's processors
#                BOOT_DRIVER            options of domain_create for the driver domain; empty: there is none
#                BOOT_KERNEL            options of frontend-patches/build
#                BOOT_CMDLINE           words for the command line of each domain but dom0 (may be unset)
#                BOOT_GUEST             options of domain_create for every domain but dom0, before its own (may be unset)
#                BOOT_DAEMON            options of vgrantd, which no scenario need know (may be unset)
#                BOOT_IOREQ             not empty: xl wants to be told that disks are served by grants (may be unset)
#                BOOT_VCPUS             processors of a guest where they matter to a scenario (unset: 2)
#                BOOT_STOCK             not empty: the driver domain has Debian's kernel
#   arch.sh    ARCH_DEBIAN, ARCH_TRIPLET; ARCH_CROSS, the prefix of the compiler's name; ARCH_PRESET, that of our programs;
#              ARCH_LINK, dom0's device for the line to the lab; ARCH_TOOLS, what this machine needs
#              arch_sysroot        prints where the libraries are that our programs are linked with; nothing:
#                                  this machine's own
#              arch_xen FILE       the hypervisor of the boot selected
#              arch_kernel IMAGE FILE   the kernel as Xen and xl take it
#              arch_image_driver, arch_image_guest, arch_image_dom0 DIRECTORY   what else is in them
#              arch_prepare        the same for lab_prepare
#              machine_command     QEMU's command line, one word a line
# and any other file there may add to DOM0_PARTS, functions that put more into dom0's image, given its
# directory, and to FETCH_PARTS, such that fetch something and print where it is.

# By boot, for a run.
declare -A KERNELS=()

# The kernel of all domains of the boot selected: VGRANT_LAB_KERNEL, which is one with the series, or what
# frontend-patches/build makes (it has its own cache, keyed by source, configuration and patches).
lab_kernel() {
	local out log
	if [[ ${VGRANT_LAB_KERNEL:-} && " ${BOOT_KERNEL[*]} " != *" --mmio "* && " ${BOOT_KERNEL[*]} " != *" --fragment "* ]]; then
		[[ -f $VGRANT_LAB_KERNEL ]] || lab_die "VGRANT_LAB_KERNEL names no file: $VGRANT_LAB_KERNEL"
		echo "$VGRANT_LAB_KERNEL"
		return 0
	fi
	# shellcheck disable=SC2153
	log=$LAB_OUT/kernel.$BOOT.log
	lab_note "the kernel of $BOOT (minutes when it is not in the cache)"
	out=$(nice -n 10 "$LAB_TOP/frontend-patches/build" "${BOOT_KERNEL[@]}" 2>"$log" | tail -n 1)
	if [[ ! -f $out ]]; then
		tail -n 20 "$log" >&2
		lab_die "frontend-patches/build gave no kernel; its output is in $log"
	fi
	echo "$out"
}

# The build directory with our programs: VGRANT_LAB_BUILD (or --build), or the architecture's preset.
lab_build() {
	if [[ ${VGRANT_LAB_BUILD:-} ]]; then
		[[ -d $VGRANT_LAB_BUILD ]] || lab_die "there is no build directory $VGRANT_LAB_BUILD"
		echo "$VGRANT_LAB_BUILD"
		return 0
	fi
	lab_note "our programs (preset $ARCH_PRESET)"
	(cd "$LAB_TOP" && export VGRANT_SYSROOT=$LAB_SYSROOT && nice -n 10 cmake --preset "$ARCH_PRESET" &&
		nice -n 10 cmake --build --preset "$ARCH_PRESET") >"$LAB_OUT/build.log" 2>&1 || {
		tail -n 20 "$LAB_OUT/build.log" >&2
		lab_die "the build failed; its output is in $LAB_OUT/build.log"
	}
	echo "$LAB_TOP/build/$ARCH_PRESET"
}

# Prints where the build put the program NAME; fails when it has none.
lab_program() { # NAME
	local found
	found=$(find "$LAB_BUILD" -type f -name "$1" -perm -u+x -print -quit 2>/dev/null)
	[[ $found ]] && echo "$found"
}

# A program of the lab's own, for the domains.
lab_compile() { # NAME ARGUMENT...
	local flags=()
	[[ ! $LAB_SYSROOT ]] || flags=(--sysroot="$LAB_SYSROOT")
	"${ARCH_CROSS}gcc" -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror "${flags[@]}" -o "$LAB_OUT/$1" "${@:2}"
}

# Copies those of our programs that the build has, with their libraries.
image_add_ours() { # DIRECTORY PROGRAM...
	local dir=$1 name file
	shift
	for name in "$@"; do
		file=$(lab_program "$name") || continue
		LD_LIBRARY_PATH='' image_add_programs "$dir" "" "$file" || return 1
	done
}

# Programs of a Debian package: from our programs' libraries' directory, or this machine's own, or from
# the package, unpacked.
image_add_packaged() { # DIRECTORY PACKAGE PROGRAM...
	local dir=$1 package=$2 program file root
	shift 2
	for program in "$@"; do
		root=$LAB_SYSROOT
		if [[ ! $root ]] && file=$(command -v "$program"); then
			image_add_programs "$dir" "" "$file" || return 1
			continue
		fi
		[[ $root ]] || root=$(packages_root "$package" "$(packages_own_suite)" "$package") || return 1
		file=$(find "$root" -type f -name "$program" -perm -u+x -print -quit)
		[[ $file ]] || lab_die "Debian's package $package has no program $program"
		image_add_programs "$dir" "$root" "$file" || return 1
	done
}

image_add_agent() { # DIRECTORY INIT
	image_add_programs "$1" "" "$LAB_OUT/labagent" && install -m 755 "$LAB_DIR/domains/$2" "$1/init"
}

# Scripts and what belongs to them.
image_add_bench() { # DIRECTORY NAME...
	local name
	for name in "${@:2}"; do
		install -m 755 "$LAB_TOP/bench/xen/$name" "$1/bin/" || return 1
	done
}

# Is the word in that field of a scenario that will run in this boot?
plan_wants() { # FIELD WORD
	local of file
	# shellcheck disable=SC2153
	while read -r of _ file; do
		[[ $of == "$BOOT" && " $(scenario_field "$file" "$1") " == *" $2 "* ]] && return 0
	done < <(printf '%s\n' "${PLAN[@]}")
	return 1
}

# The driver domain and the guests have one base: busybox, the xenstore tools, the agent.
image_domu_base() { # DIRECTORY
	image_new "$1" "$LAB_BUSYBOX" && image_add_xenstore "$1" "$LAB_XEN" && image_add_agent "$1" domu-init || return 1
	install -m 755 "$LAB_DIR/domains/domu-down" "$1/sbin/poweroff"
	ln -s poweroff "$1/sbin/reboot"
}

# What serves disks, wherever it runs.
image_add_backend() { # DIRECTORY
	image_add_packaged "$1" e2fsprogs mke2fs e2fsck || return 1
	image_add_ours "$1" vgrantd vgforbidden || return 1
	! plan_wants needs vgrantd-hostile || image_add_ours "$1" vgrantd-hostile || return 1
	! plan_wants needs vgrant-micro || image_add_ours "$1" vgrant-micro
}

image_driver() { # DIRECTORY
	image_domu_base "$1" && image_add_backend "$1" && image_add_ours "$1" vgrantctl && image_add_bench "$1" vgrant-bench-xen result.awk && arch_image_driver "$1"
}

image_guest() { # DIRECTORY
	image_domu_base "$1" || return 1
	image_add_packaged "$1" e2fsprogs mke2fs e2fsck || return 1
	image_add_programs "$1" "" "$LAB_FIO" || return 1
	! plan_wants needs vgrant-micro || image_add_ours "$1" vgrant-micro || return 1
	image_add_ours "$1" vgguest && image_add_bench "$1" vgrant-bench-agent && arch_image_guest "$1"
}

image_dom0() { # DIRECTORY OTHER-IMAGE...
	local dir=$1 xen part
	shift
	image_new "$dir" "$LAB_BUSYBOX" || return 1
	mkdir -p "$dir"/var/{lib/xen,lib/xenstored,log/xen,lock} "$dir"/etc/xen/scripts "$dir/lib/xen-$BOOT_XEN"
	xen=$LAB_XEN/usr/lib/xen-$BOOT_XEN/bin
	image_add_programs "$dir" "$LAB_XEN" "$xen"/{xl,xenstored,xen-init-dom0,xenconsoled,xenconsole,libxl-save-helper} || return 1
	ln -s ../../bin "$dir/lib/xen-$BOOT_XEN/bin"
	image_add_xenstore "$dir" "$LAB_XEN" || return 1
	echo 'autoballoon=0' >"$dir/etc/xen/xl.conf"
	image_add_agent "$dir" dom0-init || return 1
	image_add_ours "$dir" vgrantctl && image_add_bench "$dir" vgrant-bench-xen result.awk || return 1
	# Where there is no driver domain, dom0 serves the disks.
	((${#BOOT_DRIVER[@]})) || image_add_backend "$dir" || return 1
	arch_image_dom0 "$dir" || return 1
	for part in "${DOM0_PARTS[@]}"; do
		$part "$dir" || return 1
	done
	cp "$@" "$dir/lab/"
}

# Xen's tools for the boot selected, and on x86 Xen itself.
lab_xen() {
	packages_root "xen-$BOOT_XEN" "$BOOT_SUITE" "xen-utils-$BOOT_XEN" "xen-hypervisor-$BOOT_XEN-$ARCH_DEBIAN" xenstore-utils busybox-static libgcc-s1
}

# Once per run: what all boots share, and what those of the plan need from the network.
lab_prepare() {
	local boot
	lab_need "${ARCH_TOOLS[@]}" cpio readelf "${ARCH_CROSS}gcc" make apt-get apt-cache dpkg-deb patch
	LAB_SYSROOT=$(arch_sysroot) || exit 2
	while read -r boot; do
		boot_select "$boot"
		lab_xen >/dev/null || exit 2
		KERNELS["$BOOT"]=$(lab_kernel) || exit 2
	done < <(printf '%s\n' "${PLAN[@]%% *}" | sort -u)
	LAB_BUILD=$(lab_build) || exit 2
	LAB_FIO=$(fio_program) || exit 2
	lab_compile labagent "$LAB_DIR"/agent/{main,request,serial,store}.c -lxenstore || exit 2
	arch_prepare || exit 2
}

# All that the network is needed for, into the cache.
lab_fetch() {
	local boot function got
	lab_need apt-get apt-cache dpkg-deb patch "${ARCH_CROSS}gcc" make
	# shellcheck disable=SC2034 # packages_apt looks at it
	LAB_FETCH=yes
	for boot in "${ARCH_BOOTS[@]}"; do
		boot_select "$boot"
		got=$(lab_xen) || exit 2
		lab_note "Xen $BOOT_XEN for $boot: $got"
	done
	for function in "${FETCH_PARTS[@]}"; do
		got=$($function) || exit 2
		lab_note "$function: $got"
	done
}

# Per boot: fills LAB_RUN/state with xen, the kernel and dom0.cpio.
lab_images() {
	local state=$LAB_RUN/state work
	local -a images=("$state/guest.cpio" "$state/kernel")
	LAB_XEN=$(lab_xen) || return 1
	# Suites differ in whether /bin is a directory of its own.
	LAB_BUSYBOX=$(find "$LAB_XEN" -type f -name busybox -perm -u+x -print -quit)
	work=$(mktemp -d "$LAB_RUN/images.XXXXXX") || return 1
	arch_xen "$state/xen" && arch_kernel "${KERNELS[$BOOT]}" "$state/kernel" || return 1
	if [[ $BOOT_STOCK ]]; then
		arch_kernel "$LAB_STOCK/vmlinuz" "$state/stock-kernel" || return 1
		images+=("$state/stock-kernel")
	fi
	if ((${#BOOT_DRIVER[@]})); then
		image_driver "$work/driver" && image_write "$work/driver" "$state/driver.cpio" || return 1
		images+=("$state/driver.cpio")
	fi
	image_guest "$work/guest" && image_write "$work/guest" "$state/guest.cpio" &&
		image_dom0 "$work/dom0" "${images[@]}" && image_write "$work/dom0" "$state/dom0.cpio" || return 1
	rm -rf "$work"
}
