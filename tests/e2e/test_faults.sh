#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Calls of the driver domain fail, are short or late: vgrantd does not crash, leaks nothing and passes on
# no wrong byte; when the fault is over, the guest is served.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh" || exit 1
g=''
e2e_begin "$@"

random_image "$E2E_DIR/disk" 8
new_guest g
attach "$g" "$E2E_DIR/disk" --queues 2
daemon=$VGRANTD

# faulty RULES OPTION…: a guest's whole life while the rules hold. It may fail, in words; what it says
# it has read must be the image.
faulty() {
	local rules=$1 status said
	shift
	sim fault 1 "$rules" || fail "cannot set the fault $rules"
	: >"$E2E_DIR/guest$g.log"
	guest "$g" read-all --out "$E2E_DIR/copy" --timeout 2000 "$@"
	status=$?
	said=$(tail -n 1 "$E2E_DIR/guest$g.log")
	sim fault 1 clear || fail "cannot clear the fault $rules"
	case $status in
	0) same "$E2E_DIR/disk" "$E2E_DIR/copy" "with $rules ($*), wrong bytes were read without an error" ;;
	1 | 3 | 4) [ -n "$said" ] || fail "with $rules the guest failed without a word" ;;
	*) fail "with $rules the guest ended with status $status" ;;
	esac
	gone "$daemon" && fail "vgrantd ended with $rules"
	# What vgrantd could not write, it does not write later: the toolstack plugs the device anew.
	case $rules in
	store.write*)
		detach "$g" xvda
		attach "$g" "$E2E_DIR/disk" --queues 2
		;;
	esac
	guest "$g" read-all --out "$E2E_DIR/copy" || fail "not served after $rules: $(tail -n 1 "$E2E_DIR/guest$g.log")"
	same "$E2E_DIR/disk" "$E2E_DIR/copy" "after $rules, something else is read"
}

# fails RULES WORDS OPTION…: a fault that must be noticed, with these words in vgrantd's log.
fails() {
	local rules=$1 words=$2
	shift 2
	: >"$E2E_DIR/vgrantd.log"
	faulty "$rules" "$@"
	grep -q "$words" "$E2E_DIR/vgrantd.log" || fail "with $rules vgrantd does not say '$words'"
}

fails map:errno=EINVAL 'cannot map control page'
fails map:errno=ENOMEM 'cannot map control page'
faulty map:errno=EINVAL:after=1
faulty map:errno=ENOMEM:after=2
faulty map:errno=EINVAL:prob=30 --mode grant --size 262144 --depth 4
faulty map:short:after=3 --mode grant --size 262144
faulty map:eagain:count=2
faulty map:late=20
faulty unmap:defer=300
faulty grant_copy:errno=EIO --mode grant --size 4096
faulty grant_copy:errno=ENOMEM:after=5:count=3 --mode grant --size 4096
faulty grant_copy:status=-3:prob=10 --mode grant --size 4096
faulty grant_copy:status=-1:after=7:count=1 --mode hybrid --size 4096
faulty grant_copy:short:after=4:count=1 --mode grant --size 4096
faulty grant_copy:status=-12:prob=20 --mode grant --size 4096
faulty notify:errno=EIO:after=20:count=3 --depth 4 --size 4096
faulty notify:drop:after=20:count=3 --depth 4 --size 4096
faulty notify:late=3 --depth 4
faulty pending:errno=EIO:count=1
faulty unmask:errno=EIO:after=5:count=1
faulty open:errno=EMFILE
faulty store.read:errno=EIO:prob=10
faulty store.read:errno=ENOENT:after=3:count=1
faulty store.write:errno=ENOSPC:prob=30
faulty store.write:errno=EACCES:count=1

detach "$g" xvda
e2e_end
