# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Words for the person at the terminal, time, and the cache outside the tree.

lab_note() { printf 'lab: %s\n' "$*" >&2; }

lab_die() {
	printf 'lab: %s\n' "$*" >&2
	exit 2
}

# One factor for every wait: VGRANT_LAB_SLOW=3 on a machine that is three times as slow.
lab_scale() { echo $(($1 * ${VGRANT_LAB_SLOW:-1})); }

lab_now_ms() {
	local t=${EPOCHREALTIME/[.,]/}
	echo $((t / 1000))
}

# lab_until SECONDS COMMAND...: waits (scaled) until the command succeeds; 1 when time is up.
lab_until() {
	local end=$((SECONDS + $(lab_scale "$1")))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.1
	done
}

lab_need() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null ||
			lab_die "the program $tool is missing: install the packages of group 'lab' in .dependencies"
	done
}

lab_cache() {
	local dir=${XDG_CACHE_HOME:-$HOME/.cache}/vgrant/lab
	mkdir -p "$dir" || lab_die "cannot make the cache directory $dir"
	echo "$dir"
}

# lab_cached NAME KEY COMMAND...: prints the directory NAME-KEY of the cache. When it is not there,
# COMMAND fills an empty directory (its last argument), which is renamed into place only on success,
# so that two runs at once, or one that was interrupted, leave nothing half made.
lab_cached() {
	local dir tmp
	dir=$(lab_cache)/$1-$2
	if [[ ! -d $dir ]]; then
		tmp=$(mktemp -d "$dir.XXXXXX") || return 1
		shift 2
		if ! "$@" "$tmp" >&2; then
			rm -rf "$tmp"
			return 1
		fi
		chmod 755 "$tmp"
		mv -T "$tmp" "$dir" 2>/dev/null || rm -rf "$tmp"
	fi
	echo "$dir"
}

lab_hash() { sha256sum | cut -c1-16; }
