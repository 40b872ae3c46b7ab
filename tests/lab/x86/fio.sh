# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# fio, static: Debian's package links a dozen storage libraries that a guest's image has no room for.

FIO_WITHOUT=(rdma rados rbd gfapi http pmem numa libnbd libzbc tcmalloc dfs libnfs isal libblkio xnvme native)

fio_build() { # DIRECTORY
	local dir=$1 option
	local -a without=()
	packages_source fio "$dir" || return 1
	for option in "${FIO_WITHOUT[@]}"; do
		# configure refuses options that its version does not know.
		! grep -q -- "--disable-$option)" "$dir/src/configure" || without+=("--disable-$option")
	done
	(cd "$dir/src" && ./configure --build-static "${without[@]}" && nice -n 10 make -j2 fio && strip fio) >"$dir/log" 2>&1 || {
		tail -n 20 "$dir/log"
		return 1
	}
	cp "$dir/src/fio" "$dir/fio" && rm -rf "$dir/src" "$dir"/fio_*
}

# Prints the path of the program, from the cache or built into it (3 minutes).
fio_program() {
	local dir key
	key=$(apt-cache policy fio 2>/dev/null | awk '$1 == "Candidate:" { print $2 }' | lab_hash)
	dir=$(lab_cached fio "$key" fio_build) || lab_die "fio could not be built from Debian's source"
	echo "$dir/fio"
}
