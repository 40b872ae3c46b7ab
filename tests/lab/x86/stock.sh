# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Debian's own kernel, for a driver domain as its owner has it: the image and the modules that
# vgrantd and the scenarios need, since what our kernel has built in is modules there.

STOCK_MODULES=(xen-evtchn xen-gntdev xenfs brd loop crc32c_generic ext4)

# The modules that one needs, and then itself, in the order of loading; each once.
stock_order() { # DIRECTORY-OF-MODULES NAME...
	local dir=$1 name file needs
	shift
	for name in "$@"; do
		[[ " ${STOCK_ORDER[*]##*/} " != *" $name.ko "* ]] || continue
		file=$(find "$dir" -name "$name.ko")
		[[ $file ]] || lab_die "Debian's kernel has no module $name"
		needs=$(readelf -p .modinfo "$file" | sed -n 's/.*\] *depends=//p')
		# shellcheck disable=SC2086
		stock_order "$dir" ${needs//,/ }
		STOCK_ORDER+=("$file")
	done
}

stock_unpack() { # PACKAGE DIRECTORY
	local dir=$2 number=10 file
	local -a STOCK_ORDER=()
	(cd "$dir" && apt-get "${PACKAGES_APT[@]}" download "$1") || return 1
	dpkg-deb -x "$dir"/*.deb "$dir/root" || return 1
	cp "$dir"/root/boot/vmlinuz-* "$dir/vmlinuz" && mkdir "$dir/modules" || return 1
	stock_order "$dir/root/lib/modules" "${STOCK_MODULES[@]}"
	for file in "${STOCK_ORDER[@]}"; do
		cp "$file" "$dir/modules/$number-${file##*/}" || return 1
		number=$((number + 1))
	done
	rm -rf "$dir/root" "$dir"/*.deb
}

# Prints the directory with vmlinuz and modules/NUMBER-NAME.ko of the suite's present kernel, from
# the cache or fetched into it.
stock_kernel() {
	local package list=''
	packages_apt "$(packages_own_suite)" || return 1
	package=$(apt-cache "${PACKAGES_APT[@]}" depends linux-image-amd64 2>/dev/null | awk '$1 == "Depends:" { print $2; exit }')
	[[ ! $package ]] || list=$(packages_candidates "$package" && echo "${STOCK_MODULES[@]}")
	lab_fetched stock "$list" stock_unpack "$package"
}

FETCH_PARTS+=(stock_kernel)

# Makes an image load the modules before all else; their parameters stand on the command line as
# for modules that are built in.
stock_image() { # DIRECTORY STOCK-DIRECTORY
	cp -r "$2/modules" "$1/lab/modules" && mv "$1/init" "$1/lab/init" || return 1
	cat >"$1/init" <<'END'
#!/bin/sh
export PATH=/bin:/sbin
/bin/busybox --install -s /bin
mount -t proc proc /proc
for m in /lab/modules/*; do
	name=${m##*/??-}
	insmod "$m" $(tr ' ' '\n' </proc/cmdline | sed -n "s/^${name%.ko}\.//p")
done
umount /proc
exec /lab/init
END
	chmod 755 "$1/init"
}
