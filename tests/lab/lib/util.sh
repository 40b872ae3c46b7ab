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

# A sleep without a process: reading what nobody writes to.
exec {LAB_NOTHING}<> <(:)
lab_nap() { # SECONDS
	read -r -t "$1" -u "$LAB_NOTHING" _ || true
}

# lab_until SECONDS COMMAND...: waits (scaled) until the command succeeds; 1 when time is up.
lab_until() {
	local end=$((SECONDS + $1 * ${VGRANT_LAB_SLOW:-1})) nap=0.01 naps=0
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		lab_nap $nap
		((++naps < 50)) || nap=0.05
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
	{ mkdir -p "$dir" 2>/dev/null && [[ -w $dir ]]; } || lab_die "cannot write the cache directory $dir (XDG_CACHE_HOME names another)"
	echo "$dir"
}

# lab_cached NAME KEY COMMAND...: prints the directory NAME-KEY of the cache. When it is not there,
# COMMAND fills an empty directory (its last argument), which is renamed into place only on success,
# so that two runs at once, or one that was interrupted, leave nothing half made.
lab_cached() {
	local dir tmp
	dir=$(lab_cache)/$1-$2 || return 1
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

# lab_fetched NAME LIST COMMAND...: as lab_cached, for what comes through apt: LIST is what it would
# take now, name=version. Where it knows of nothing (no lists), or cannot fetch what it knows of, the
# newest in the cache serves. Those that nobody asked for in two months go.
lab_fetched() {
	local name=$1 list=$2 cache newest dir
	shift 2
	cache=$(lab_cache) || return 1
	newest=$(find "$cache" -maxdepth 1 -type d -name "$name-????????????????" -printf '%T@ %p\n' | sort -n | awk 'END { print $2 }')
	if [[ ! $list ]]; then
		dir=$newest
		[[ $dir ]] || lab_die "apt knows of no package for $name, and none is in the cache: run apt-get update"
	elif ! dir=$(lab_cached "$name" "$(lab_hash <<<"$list")" "$@"); then
		dir=$newest
		[[ $dir ]] || lab_die "$name could not be fetched (apt's words are above); with newer lists, by apt-get update and" \
			"tests/lab/run $LAB_ARCH --fetch, it may be"
		lab_note "$name: what apt knows of now could not be fetched; the one in the cache serves"
	fi
	touch "$dir"
	find "$cache" -maxdepth 1 -type d -name "$name-????????????????" -mtime +60 -exec rm -rf {} +
	echo "$dir"
}
