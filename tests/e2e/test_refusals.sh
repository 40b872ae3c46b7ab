#!/bin/bash
# SPDX-License-Identifier: MIT
# vgrantd where it is refused something: writes, watches and nodes by xenstored, which may go, too;
# pages by its own quotas.
# shellcheck source=ctl_lib.sh
. "$(dirname "$0")/ctl_lib.sh" || exit 1

fault() { in_domain 0 "$SIM/xensimctl" "$DIR" fault 1 "$1" >/dev/null; }

# What xenstored refuses is written as soon as it takes it: when a quota is raised, or a directory given to
# the driver domain.
test_refused_writes()
{
	local rule user

	for rule in store.write:errno=EACCES store.write:errno=ENOSPC store.transaction_start:errno=ENOSPC; do
		fault $rule
		expect "writes-$rule" 0 'not waited' 0 attach 4 --engine null --size 1M --backend drv --no-wait
		says "writes-$rule-said" "$WORK/vgrantd.log" 'dom4 xvda: cannot write to backend.*trying again'
		sleep 1 # some tries
		if [ "$(grep -c 'dom4 xvda: cannot write' "$WORK/vgrantd.log")" -le 2 ]; then
			ok "writes-$rule-log"
		else
			fail "writes-$rule-log" "each try is logged"
		fi
		fault clear
		becomes "writes-$rule-mended" "$(back 4 51712)/state" 2
		# The frontend has come, and nobody can tell it so.
		fault $rule
		"$SIM/xensim-run" "$DIR" 4 "$GUEST" bench --requests 100 --timeout 60000 --devid 51712 >"$WORK/guest4.log" 2>&1 &
		user=$!
		becomes "writes-$rule-offered" "$(front 4 51712)/state" 3
		sleep 1
		fault clear
		wait $user
		RC=$? OUT=$(cat "$WORK/guest4.log")
		check "writes-$rule-served" 0 ''
		expect "writes-$rule-detach" 0 detached 0 detach 4 xvda --timeout $WAIT
		: >"$WORK/vgrantd.log"
	done
	# The end of a directory is refused too.
	expect writes-attach 0 attached 0 attach 4 --engine null --size 1M --backend drv
	fault store.rm:errno=EACCES
	expect writes-remove-refused 1 'let go of|no vgrantd' 0 detach 4 xvda --timeout 3
	says writes-remove-said "$WORK/vgrantd.log" 'cannot remove backend.*trying again'
	fault clear
	becomes writes-removed "$(back 4 51712)" -
	expect writes-detach 0 detached 0 detach 4 xvda
}

test_limits()
{
	local i user

	start_vgrantd --max-pages 4096 --total-pages 6000
	expect pages-attach-1 0 attached 0 attach 4 --engine null --size 1M --backend drv
	expect pages-attach-2 0 attached 0 attach 5 --engine null --size 1M --backend drv
	use 4 51712
	user=$USER
	in_domain 5 "$GUEST" info --timeout 3000 >/dev/null 2>&1
	RC=0 OUT=$(xs 0 read "$(back 5 51712)/vgrant-error")
	check pages-refused 0 'raise --total-pages or lower --max-pages'
	expect pages-detach-1 0 detached 0 detach 4 xvda
	ended pages-guest "$user"
	expect pages-detach-2 0 detached 0 detach 5 xvda

	# xenstored refuses a watch: said in words, and mended when there is room again
	in_domain 0 "$SIM/xensimctl" "$DIR" fault 1 store.watch:errno=E2BIG >/dev/null
	expect watches-exhausted 1 "quota of xenstore watches is used up.*raise" 0 attach 4 --engine null --size 1M --backend drv
	expect watches-attach 0 'not waited' 0 attach 4 --engine null --size 1M --backend drv --no-wait
	becomes watches-refused "$(back 4 51712)/state" 6
	in_domain 0 "$SIM/xensimctl" "$DIR" fault 1 clear >/dev/null
	becomes watches-free-again "$(back 4 51712)/state" 2
	# an unprivileged domain owns so many nodes and no more: far fewer than these devices have
	for ((i = 0; i < 70; i++)); do
		in_domain 0 "$CTL" attach 4 --engine null --size 1M --backend drv --no-wait --devid $((1000 + i)) >/dev/null || break
	done
	says nodes-exhausted "$WORK/vgrantd.log" "quota of nodes is used up"
	becomes nodes-first-served "$(back 4 1000)/state" 2
	becomes nodes-last-refused "$(back 4 1069)/state" 6
	in_domain 0 "$SIM/xensimctl" "$DIR" destroy 4 >/dev/null
	becomes nodes-first-removed "$(back 4 1000)" -
	becomes nodes-last-removed "$(back 4 1069)" -
	# a guest that goes while its directory is not watched
	in_domain 0 "$SIM/xensimctl" "$DIR" fault 1 store.watch:errno=E2BIG >/dev/null
	expect unwatched-attach 0 'not waited' 0 attach 5 --engine null --size 1M --backend drv --no-wait
	becomes unwatched-refused "$(back 5 51712)/state" 6
	in_domain 0 "$SIM/xensimctl" "$DIR" destroy 5 >/dev/null
	becomes unwatched-removed "$(back 5 51712)" -
	expect limits-nothing-left 0 'no devices' 0 list
}

# Without xenstored there is nothing to do: vgrantd says so and ends, also when nobody asks it to.
test_no_xenstored()
{
	local status

	kill -KILL "$SIMPID"
	wait "$SIMPID" 2>/dev/null
	SIMPID=''
	says xenstored-lost "$WORK/vgrantd.log" 'connection to xenstored is lost'
	wait "$DAEMON"
	status=$?
	DAEMON=''
	if [ $status = 1 ]; then ok xenstored-lost-exit; else fail xenstored-lost-exit "status $status"; fi
}

start_vgrantd
test_refused_writes
stop_vgrantd sigterm-refused
test_limits
test_no_xenstored
conclude
