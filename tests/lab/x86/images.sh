# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What one boot on x86 consists of: Xen, the kernel, and the images of dom0, of the driver domain
# and of the guests.

# The kernel of all domains: VGRANT_LAB_KERNEL, or what frontend-patches/build makes (it has its own
# cache, keyed by source, configuration and patches).
x86_kernel() {
	local out
	if [[ ${VGRANT_LAB_KERNEL:-} ]]; then
		[[ -f $VGRANT_LAB_KERNEL ]] || lab_die "VGRANT_LAB_KERNEL names no file: $VGRANT_LAB_KERNEL"
		echo "$VGRANT_LAB_KERNEL"
		return 0
	fi
	lab_note "the guest kernel (minutes when it is not in the cache)"
	out=$(nice -n 10 "$LAB_TOP/frontend-patches/build" 2>"$LAB_OUT/kernel.log" | tail -n 1)
	if [[ ! -f $out ]]; then
		tail -n 20 "$LAB_OUT/kernel.log" >&2
		lab_die "frontend-patches/build gave no kernel; its output is in $LAB_OUT/kernel.log"
	fi
	echo "$out"
}

# The build directory with our programs: VGRANT_LAB_BUILD (or --build), or the release preset.
x86_build() {
	if [[ ${VGRANT_LAB_BUILD:-} ]]; then
		[[ -d $VGRANT_LAB_BUILD ]] || lab_die "there is no build directory $VGRANT_LAB_BUILD"
		echo "$VGRANT_LAB_BUILD"
		return 0
	fi
	lab_note "our programs (preset release)"
	(cd "$LAB_TOP" && nice -n 10 cmake --preset release && nice -n 10 cmake --build --preset release) >"$LAB_OUT/build.log" 2>&1 || {
		tail -n 20 "$LAB_OUT/build.log" >&2
		lab_die "the build failed; its output is in $LAB_OUT/build.log"
	}
	echo "$LAB_TOP/build/release"
}

# Prints where the build put the program NAME; fails when it has none.
x86_program() { # NAME
	local found
	found=$(find "$X86_BUILD" -type f -name "$1" -perm -u+x -print -quit 2>/dev/null)
	[[ $found ]] && echo "$found"
}

# Copies those of our programs that the build has, with their libraries.
x86_add_ours() { # DIRECTORY PROGRAM...
	local dir=$1 name file
	shift
	for name in "$@"; do
		file=$(x86_program "$name") || continue
		LD_LIBRARY_PATH='' image_add_programs "$dir" "" "$file" || return 1
	done
}

# A package of this machine's own suite, unpacked; a program of the machine itself where it has it.
x86_host_programs() { # DIRECTORY PACKAGE PROGRAM...
	local dir=$1 package=$2 program file root
	shift 2
	for program in "$@"; do
		if file=$(command -v "$program"); then
			image_add_programs "$dir" "" "$file" || return 1
			continue
		fi
		root=$(packages_root "$package" "$(packages_own_suite)" "$package") || return 1
		file=$(find "$root" -type f -name "$program" -perm -u+x -print -quit)
		image_add_programs "$dir" "$root" "$file" || return 1
	done
}

x86_agent() { # DIRECTORY INIT
	image_add_programs "$1" "" "$X86_AGENT" && install -m 755 "$LAB_DIR/x86/$2" "$1/init"
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
x86_domu_base() { # DIRECTORY
	image_new "$1" "$X86_BUSYBOX" && image_add_xenstore "$1" "$X86_XEN" && x86_agent "$1" domu-init || return 1
	install -m 755 "$LAB_DIR/x86/domu-down" "$1/sbin/poweroff"
	ln -s poweroff "$1/sbin/reboot"
}

x86_image_driver() { # DIRECTORY
	x86_domu_base "$1" || return 1
	x86_host_programs "$1" e2fsprogs mke2fs e2fsck || return 1
	image_add_programs "$1" "" "$X86_PROBE" "$X86_MEM" || return 1
	x86_add_ours "$1" vgrantd vgforbidden || return 1
	! plan_wants needs vgrantd-hostile || x86_add_ours "$1" vgrantd-hostile || return 1
	! plan_wants needs vgrant-micro || x86_add_ours "$1" vgrant-micro || return 1
	[[ ! $BOOT_STOCK ]] || stock_image "$1" "$X86_STOCK"
}

x86_image_guest() { # DIRECTORY
	x86_domu_base "$1" || return 1
	x86_host_programs "$1" e2fsprogs mke2fs e2fsck || return 1
	image_add_programs "$1" "" "$X86_FIO" "$X86_MEM" || return 1
	! plan_wants needs vgrant-micro || x86_add_ours "$1" vgrant-micro || return 1
	x86_add_ours "$1" vgguest
}

x86_image_dom0() { # DIRECTORY OTHER-IMAGE...
	local dir=$1 xen part
	shift
	image_new "$dir" "$X86_BUSYBOX" || return 1
	mkdir -p "$dir"/var/{lib/xen,lib/xenstored,log/xen,lock} "$dir"/etc/xen/scripts "$dir/lib/xen-$BOOT_XEN"
	xen=$X86_XEN/usr/lib/xen-$BOOT_XEN/bin
	image_add_programs "$dir" "$X86_XEN" "$xen"/{xl,xenstored,xen-init-dom0,xenconsoled,xenconsole,lsevtchn,libxl-save-helper} || return 1
	ln -s ../../bin "$dir/lib/xen-$BOOT_XEN/bin"
	image_add_xenstore "$dir" "$X86_XEN" || return 1
	echo 'autoballoon=0' >"$dir/etc/xen/xl.conf"
	x86_agent "$dir" dom0-init || return 1
	x86_add_ours "$dir" vgrantctl || return 1
	image_add_programs "$dir" "" "$X86_PROBE" || return 1
	for part in "${X86_DOM0_PARTS[@]}"; do
		$part "$dir" || return 1
	done
	cp "$@" "$dir/lab/"
}

# Xen and its tools for the boot selected.
x86_xen() {
	packages_root "xen-$BOOT_XEN" "$BOOT_SUITE" "xen-utils-$BOOT_XEN" "xen-hypervisor-$BOOT_XEN-amd64" xenstore-utils busybox-static libgcc-s1
}

# Once per run: what all boots share, and what those of the plan need from the network.
x86_prepare() {
	local boot
	lab_need qemu-system-x86_64 cpio readelf cc make apt-get apt-cache dpkg-deb dpkg-source
	X86_KERNEL=$(x86_kernel) || exit 2
	X86_BUILD=$(x86_build) || exit 2
	X86_FIO=$(fio_program) || exit 2
	X86_AGENT=$LAB_OUT/labagent
	cc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o "$X86_AGENT" "$LAB_DIR"/agent/{main,request,serial,store}.c \
		-lxenstore || exit 2
	X86_PROBE=$LAB_OUT/labprobe
	cc -std=gnu17 -O2 -Wall -Wextra -Werror -D__XEN_TOOLS__ -o "$X86_PROBE" "$LAB_DIR/x86/labprobe.c" \
		-lxenforeignmemory -lxendevicemodel -lxenstore || exit 2
	X86_MEM=$LAB_OUT/labmem
	cc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o "$X86_MEM" "$LAB_DIR"/x86/labmem{,-io,-pages}.c || exit 2
	while read -r boot; do
		boot_select "$boot"
		x86_xen >/dev/null || exit 2
		[[ ! $BOOT_STOCK ]] || X86_STOCK=$(stock_kernel) || exit 2
	done < <(printf '%s\n' "${PLAN[@]%% *}" | sort -u)
}

# All that the network is needed for, into the cache.
x86_fetch() {
	local boot function got
	lab_need apt-get apt-cache dpkg-deb dpkg-source cc make
	# shellcheck disable=SC2034 # packages_apt looks at it
	LAB_FETCH=yes
	for boot in "${X86_BOOTS[@]}"; do
		boot_select "$boot"
		got=$(x86_xen) || exit 2
		lab_note "Xen $BOOT_XEN for $boot: $got"
	done
	for function in "${X86_FETCH[@]}"; do
		got=$($function) || exit 2
		lab_note "$function: $got"
	done
}

# Per boot: fills LAB_RUN/state with xen, the kernel and dom0.cpio.
x86_images() {
	local state=$LAB_RUN/state work
	local -a kernels=("$state/kernel")
	X86_XEN=$(x86_xen) || return 1
	# Suites differ in whether /bin is a directory of its own.
	X86_BUSYBOX=$(find "$X86_XEN" -type f -name busybox -perm -u+x -print -quit)
	work=$(mktemp -d "$LAB_RUN/images.XXXXXX") || return 1
	gunzip -c "$X86_XEN/boot/xen-$BOOT_XEN-amd64.gz" >"$state/xen" || return 1
	image_kernel "$X86_KERNEL" "$state/kernel" || return 1
	if [[ $BOOT_STOCK ]]; then
		image_kernel "$X86_STOCK/vmlinuz" "$state/stock-kernel" || return 1
		kernels+=("$state/stock-kernel")
	fi
	x86_image_driver "$work/driver" && image_write "$work/driver" "$state/driver.cpio" &&
		x86_image_guest "$work/guest" && image_write "$work/guest" "$state/guest.cpio" &&
		x86_image_dom0 "$work/dom0" "$state/driver.cpio" "$state/guest.cpio" "${kernels[@]}" &&
		image_write "$work/dom0" "$state/dom0.cpio" || return 1
	rm -rf "$work"
}
