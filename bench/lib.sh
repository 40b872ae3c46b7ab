# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A guest that makes requests when it is told to (vgguest drive), on the machine of tests/e2e/lib.sh.
# shellcheck source=../tests/e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tests/e2e/lib.sh"

DRIVE=
DRIVE_LINES=0

drive_lines() { wc -l <"$E2E_DIR/DRIVE.out"; }

drive_answered()
{
	gone "$DRIVE" || [ "$(drive_lines)" -gt "$DRIVE_LINES" ]
}

# Waits for one answer.
drive_await()
{
	until_true "$LIMIT" drive_answered || fail "the guest does not answer"
	[ "$(drive_lines)" -gt "$DRIVE_LINES" ] || fail "the guest has ended"
	DRIVE_LINES=$(drive_lines)
}

# drive_start DOMID OPTION…: the device is up afterwards.
drive_start()
{
	local domid=$1
	shift
	mkfifo "$E2E_DIR/DRIVE.in"
	guest_bg DRIVE "$domid" drive "$@"
	exec 9>"$E2E_DIR/DRIVE.in"
	DRIVE_LINES=0
	drive_await
}

# drive_requests N: makes them and waits until they are done.
drive_requests()
{
	echo "requests $1" >&9
	drive_await
}

drive_stop()
{
	exec 9>&-
	rm "$E2E_DIR/DRIVE.in"
	reap "$DRIVE" || fail "the guest ended with status $?"
}

# WORKER gets the pid of the only one.
find_worker()
{
	local pids
	read -ra pids <<<"$(workers)"
	[ ${#pids[@]} -eq 1 ] || fail "vgrantd has ${#pids[@]} workers instead of one"
	# Not unused: the caller's.
	# shellcheck disable=SC2034
	WORKER=${pids[0]}
}
