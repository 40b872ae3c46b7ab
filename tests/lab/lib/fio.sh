# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# fio, static: Debian's package links a dozen storage libraries that a guest's image has no room for.

FIO_WITHOUT=(rdma rados rbd gfapi http pmem numa libnbd libzbc tcmalloc dfs libnfs isal libblkio xnvme native)

fio_build() { # DIRECTORY
	local dir=$1 option
	local -a without=()
	packages_source fio "$(packages_own_suite)" "$dir" || return 1
	for option in "${FIO_WITHOUT[@]}"; do
		# configure refuses options that its version does not know.
		! grep -q -- "--disable-$option)" "$dir/src/configure" || without+=("--disable-$option")
	done
	(cd "$dir/src" && ./configure --cc="${ARCH_CROSS}gcc" --build-static "${without[@]}" && nice -n 10 make -j2 fio && "${ARCH_CROSS}strip" fio) >"$dir/log" 2>&1 || {
		tail -n 20 "$dir/log"
		return 1
	}
	cp "$dir/src/fio" "$dir/fio" && rm -rf "$dir/src" "$dir"/fio_*
}

# Prints the path of the program, from the cache or built into it (a minute or two).
fio_program() {
	local name=fio dir list
	[[ $ARCH_DEBIAN == amd64 ]] || name+=-$ARCH_DEBIAN
	packages_apt "$(packages_own_suite)" || return 1
	list=$(packages_candidates fio)
	dir=$(lab_fetched "$name" "$list" fio_build) || return 1
	echo "$dir/fio"
}
