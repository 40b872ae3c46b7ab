# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Xen with IOREQ servers, which Debian's own for arm64 does not have: Debian's source and
# configuration, and that option.

XEN_OPTIONS=(CONFIG_EXPERT=y CONFIG_UNSUPPORTED=y CONFIG_IOREQ_SERVER=y)

xen_build() { # DIRECTORY
	local dir=$1
	packages_source xen trixie "$dir" || return 1
	(
		cd "$dir/src" || exit 1
		cp debian/xen-kconfig xen/.config && printf '%s\n' "${XEN_OPTIONS[@]}" >>xen/.config
		run=(nice -n 10 make -C xen -j2 XEN_TARGET_ARCH=arm64 CROSS_COMPILE="$ARCH_CROSS")
		"${run[@]}" olddefconfig && grep -x 'CONFIG_IOREQ_SERVER=y' xen/.config && "${run[@]}" build
	) >"$dir/log" 2>&1 || {
		tail -n 20 "$dir/log"
		return 1
	}
	cp "$dir/src/xen/xen" "$dir/xen" && rm -rf "$dir/src" "$dir"/xen_*
}

# Prints the directory that has it as "xen", from the cache or built into it.
xen_ioreq() {
	local list
	packages_apt trixie || return 1
	list=$(packages_candidates xen-hypervisor-4.20-arm64)
	[[ ! $list ]] || list+=" ${XEN_OPTIONS[*]} $("${ARCH_CROSS}gcc" --version | head -n 1)"
	lab_fetched xen-ioreq-arm64 "$list" xen_build
}
FETCH_PARTS+=(xen_ioreq)
