# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# What the cases share: called with the build tree, they get $build, $top, a directory of their own, $dir, and
# the functions below. A case defines run, which leaves its command's status in $status and what it
# said in $dir/out and $dir/err.
set -uo pipefail
build=$(cd "$1" && pwd)
top=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail()
{
	echo "FAIL: $1" >&2
	cat "$dir/out" "$dir/err" >&2
	exit 1
}

# usage STATUS WORDS WHAT-RUN-TAKES…: it ends with that status, and says those words.
usage()
{
	local want=$1 words=$2
	shift 2
	run "$@"
	[ "$status" -eq "$want" ] || fail "$*: status $status"
	grep -q -- "$words" "$dir/err" || fail "$*: it does not say: $words"
}
