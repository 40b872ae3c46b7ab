#!/bin/bash
# SPDX-License-Identifier: MIT
# vgrantd's nodes through their lives: guests that use them, die, do not answer or write without
# end, workers that are killed, directories that are made anew, vgrantd ending and starting again.
# shellcheck disable=SC2119 # vgrantd is started without options
# shellcheck source=ctl_lib.sh
. "$(dirname "$0")/ctl_lib.sh" || exit 1

test_guests()
{
	local pid user2 user3

	use 2 51712
	user2=$USER
	use 3 51712
	user3=$USER
	expect show-connected 0 'state: +connected.*guest state: connected' 0 show guest xvda
	figures stats-connected 'requests +[1-9].*worker-turns +[1-9]' guest xvda
	expect stats-all-json 0 '"domain": 2.*"domain": 3' 0 stats --json

	pid=$(worker_pid 2)
	kill -KILL "$pid"
	becomes worker-killed-state "$(back 2 51712)/state" 6
	RC=0 OUT=$(xs 0 read "$(back 2 51712)/vgrant-error")
	check worker-killed-says 0 'worker process of domain 2 was ended by signal 9'
	expect worker-killed-list 0 'guest +xvda +drv +w +failed' 0 list
	ended worker-killed-guest-sees "$user2"
	holds worker-killed-others-go-on "$(back 3 51712)/state" 4
	use 2 51712
	user2=$USER
	absent reconnect-clears-error "$(back 2 51712)/vgrant-error"

	# the toolstack makes the directory anew while the worker has the device
	xs 0 write "$(back 2 51712)/state" 1
	becomes replaced-in-use "$(back 2 51712)/state" 2
	ended replaced-guest-sees "$user2"
	use 2 51712
	user2=$USER
	xs 0 rm "$(back 2 51712)"
	xs 0 rm "$(front 2 51712)"
	expect removed-in-use 0 attached 0 attach guest --image "$WORK/a.img" --backend drv
	ended removed-guest-sees "$user2"
	use 2 51712
	user2=$USER

	expect detach-in-use 0 'guest xvda: detached' 0 detach guest xvda
	absent detach-in-use-cleans "$(back 2 51712)" "$(front 2 51712)"
	ended detach-in-use-guest-sees "$user2"
	says detach-ends-worker "$WORK/vgrantd.log" 'dom2 xvda: removed'
	expect attach-after 0 attached 0 attach guest --image "$WORK/a.img" --backend drv

	# a guest that is destroyed leaves nothing behind, connected or not
	in_domain 0 "$SIM/xensimctl" "$DIR" destroy 3 >/dev/null
	becomes destroyed-connected "$(back 3 51712)" -
	ended destroyed-program "$user3"
	expect destroyed-list 0 'guest +xvda' 0 list
	in_domain 0 "$SIM/xensimctl" "$DIR" destroy 2 >/dev/null
	becomes destroyed-unconnected "$(back 2 51712)" -
	expect destroyed-list-empty 0 'no devices' 0 list
	expect image-free-again 0 attached 0 attach 4 --image "$WORK/a.img" --backend drv
}

# A guest that does not answer an unplug is given a while.
test_unplug_unanswered()
{
	local user

	"$SIM/xensim-run" "$DIR" 4 "$GUEST" hang connected --devid 51712 >"$WORK/guest4.log" 2>&1 &
	user=$!
	becomes silent-connects "$(back 4 51712)/state" 4
	expect silent-detach 0 'detached' 0 detach 4 xvda --timeout $WAIT
	absent silent-detach-cleans "$(back 4 51712)" "$(front 4 51712)"
	kill "$user" 2>/dev/null
	wait "$user" 2>/dev/null
	ok silent-ended
}

# What one guest writes without end into its state costs the others nothing.
test_flood()
{
	local flood

	expect flood-attach 0 attached 0 attach 4 --image "$WORK/a.img" --backend drv
	expect flood-attach-other 0 attached 0 attach 5 --image "$WORK/b.img" --backend drv
	( while :; do
		xs 4 write "$(front 4 51712)/state" 3 2>/dev/null || exit
		xs 4 write "$(front 4 51712)/state" 6 2>/dev/null || exit
		xs 4 write "$(front 4 51712)/state" 1 2>/dev/null || exit
	done ) &
	flood=$!
	sleep 2
	OUT=$(in_domain 5 "$GUEST" verify 2>&1); RC=$?
	check flood-other-served 0 ''
	expect flood-detach 0 'detached' 0 detach 5 xvda --timeout $WAIT
	kill "$flood"
	wait "$flood" 2>/dev/null
	if [ "$(grep -c 'dom4 xvda' "$WORK/vgrantd.log")" -lt 100 ]; then
		ok flood-log
	else
		fail flood-log "$(grep -c 'dom4 xvda' "$WORK/vgrantd.log") lines about one device"
	fi
	expect flood-detached 0 'detached' 0 detach 4 xvda --timeout $WAIT
}

# ---- ending, and starting again ----

test_end()
{
	local user

	expect end-attach 0 attached 0 attach 4 --image "$WORK/a.img" --backend drv
	expect end-attach-idle 0 attached 0 attach 5 --image "$WORK/b.img" --backend drv
	use 4 51712
	user=$USER
	stop_vgrantd sigterm-exit
	holds sigterm-connected "$(back 4 51712)/state" 6
	holds sigterm-idle "$(back 5 51712)/state" 6
	ended sigterm-guest-sees "$user"
	if kill -0 "$(worker_pid 4)" 2>/dev/null; then fail sigterm-worker "it still runs"; else ok sigterm-worker; fi
	start_vgrantd
	becomes restart-idle "$(back 5 51712)/state" 2
	use 4 51712
	user=$USER
	# killed, nobody closes anything; the next one does
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2>/dev/null
	start_vgrantd
	becomes crash-restart "$(back 4 51712)/state" 6
	becomes crash-restart-idle "$(back 5 51712)/state" 2
	ended crash-guest-sees "$user"
	use 4 51712
	expect crash-detach 0 'detached' 0 detach 4 xvda
	ended crash-detach-guest "$USER"
	# unplugged while nobody was there
	stop_vgrantd sigterm-again
	expect absent-detach 1 'let go of|no vgrantd' 0 detach 5 xvda --timeout 1
	start_vgrantd
	becomes absent-detach-done "$(back 5 51712)" -
	expect absent-detach-front 0 'detached' 0 detach 5 xvda
	absent absent-detach-cleans "$(front 5 51712)"
	expect absent-detach-nothing 1 'no device' 0 detach 5 xvda
	stop_vgrantd sigterm-third
}

start_vgrantd
expect attach 0 attached 0 attach guest --image "$WORK/a.img" --backend drv
expect attach-other 0 attached 0 attach other --image "$WORK/b.img" --backend drv
test_guests
test_unplug_unanswered
test_flood
test_end
conclude
