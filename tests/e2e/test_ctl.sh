#!/bin/bash
# SPDX-License-Identifier: MIT
# vgrantctl: every message, what it does to xenstore, and what vgrantd refuses and why.
# shellcheck source=ctl_lib.sh
. "$(dirname "$0")/ctl_lib.sh" || exit 1

# ---- the command line, without xenstore ----

test_usage()
{
	expect usage-nothing 2 'what is to be done' 0
	expect usage-command 2 "no command 'mount'" 0 mount
	expect usage-option 2 "unrecognized option" 0 list --colour
	expect usage-not-for-command 2 'list takes no --image' 0 list --image /x
	expect usage-too-many 2 "'x' is one word too many" 0 list x
	expect usage-attach-domain 2 'attach needs a DOMAIN' 0 attach --image /x
	expect usage-attach-image 2 'which disk' 0 attach guest
	expect usage-attach-relative 2 'must be absolute' 0 attach guest --image disk.img
	expect usage-attach-engine 2 'engines file and null' 0 attach guest --engine qcow2
	expect usage-attach-null-size 2 'needs a --size' 0 attach guest --engine null
	expect usage-attach-null-image 2 'has no image' 0 attach guest --engine null --size 1M --image /x
	expect usage-attach-file-size 2 'its own size' 0 attach guest --image /x --size 1M
	for size in 0 1000 1X 99999999999T -512 ''; do
		expect "usage-size-${size:-empty}" 2 'write a multiple of 512 bytes' 0 attach guest --engine null --size "$size"
	done
	for irq in 0 1024 x ''; do
		expect "usage-irq-${irq:-empty}" 2 'from 1 to 1023' 0 attach guest --image /x --irq "$irq"
	done
	for queues in 0 17 x ''; do
		expect "usage-queues-${queues:-empty}" 2 'from 1 to 16' 0 attach guest --image /x --queues "$queues"
	done
	expect usage-timeout 2 'from 1 to 3600' 0 attach guest --image /x --timeout 0
	expect usage-vdev 2 'write xvda' 0 attach guest --image /x --vdev sda
	expect usage-vdev-partition 2 'write xvda' 0 attach guest --image /x --vdev xvda0
	expect usage-devid 2 'write a number' 0 attach guest --image /x --devid xvda
	expect usage-vdev-devid 2 'once is enough' 0 attach guest --image /x --vdev xvda --devid 51712
	expect usage-detach 2 'detach needs a VDEV' 0 detach guest
	expect usage-show 2 'show needs a DOMAIN' 0 show
	expect usage-escapes 2 'no command .\\x1b\[31mred' 0 $'\e[31mred'
	expect usage-help 0 'Usage: vgrantctl attach' 0 --help
	expect usage-version 0 '^vgrantctl [0-9]' 0 --version

	OUT=$(XENSTORED_PATH=/nonexistent/socket "$CTL" list 2>&1); RC=$?
	check no-xenstored 1 'cannot connect to xenstore.*xenstored running'

	OUT=$("$VGRANTD" --max-pages x 2>&1); RC=$?
	check vgrantd-usage-pages 2 'not a number from 16'
	OUT=$("$VGRANTD" --max-pages 512 --total-pages 100 2>&1); RC=$?
	check vgrantd-usage-total 2 'not one guest'
	OUT=$("$VGRANTD" --poll-us -1 2>&1); RC=$?
	check vgrantd-usage-poll 2 'not a number from 0'
	OUT=$("$VGRANTD" serve 2>&1); RC=$?
	check vgrantd-usage-word 2 "'serve' is not an option"
	OUT=$("$VGRANTD" --worker 2>&1); RC=$?
	check vgrantd-usage-worker 2 "vgrantd's own use"
	OUT=$("$VGRANTD" --version 2>&1); RC=$?
	check vgrantd-version 0 '^vgrantd [0-9]'
	OUT=$("$VGRANTD" --help 2>&1); RC=$?
	check vgrantd-help 0 'max-pages'
	OUT=$(XENSTORED_PATH=/nonexistent/socket "$VGRANTD" 2>&1); RC=$?
	check vgrantd-no-xenstored 1 'cannot connect to xenstore'
}

# ---- nobody serves yet ----

test_names()
{
	expect domain-number-unknown 1 'no domain 77' 0 attach 77 --image "$WORK/a.img" --backend drv
	expect domain-name-unknown 1 "no domain 'nobody'" 0 attach nobody --image "$WORK/a.img" --backend drv
	expect backend-unknown 1 "no domain 'nobody'" 0 attach guest --image "$WORK/a.img" --backend nobody
	expect domain-zero 1 "domain 0 is given no disk: it is the toolstack's" 0 attach 0 --image "$WORK/a.img" --backend drv
	expect domain-itself 1 'cannot serve itself' 0 attach drv --image "$WORK/a.img" --backend drv
	xs 0 write /local/domain/3/name guest
	expect domain-ambiguous 1 "2 domains are called 'guest'" 0 attach guest --image "$WORK/a.img" --backend drv
	xs 0 write /local/domain/3/name other
	expect domain-unseen 1 "no domain 'guest' that this one may see" 1 show guest xvda
	expect image-missing-here 1 'nosuch.img: No such file.*correct the path' 0 attach guest --image "$WORK/nosuch.img"
	expect image-directory-here 1 'neither a regular file' 0 attach guest --image "$WORK"
	expect image-empty-here 1 'is empty: give it a size' 0 attach guest --image "$WORK/empty.img"
	expect device-unknown 1 'has no device xvda' 0 detach guest xvda
	expect device-malformed 1 "'disk' is not a virtual device" 0 show guest disk
	expect device-by-number 1 'has no device xvdaa ' 0 show 2 268442112
	expect list-empty 0 'no devices' 0 list
	expect list-empty-json 0 '^\[\]$' 0 list --json
	expect stats-none 0 'no devices' 0 stats
	expect stats-none-of-a-guest 1 "domain guest has no devices" 0 stats guest
	expect stats-none-json 1 "domain guest has no devices" 0 stats guest --json
}

test_no_vgrantd()
{
	local b f

	b=$(back 2 51712) f=$(front 2 51712)
	expect attach-unanswered 1 'no vgrantd answered in domain drv within 1 s: is it running there' \
		0 attach guest --image "$WORK/a.img" --backend drv --timeout 1
	absent attach-unanswered-cleans "$b" "$f"

	expect attach-no-wait 0 'guest xvda: attached from domain drv, not waited for' \
		0 attach guest --image "$WORK/a.img" --backend drv --no-wait
	OUT="$(xs 0 perms "$b"), $(xs 0 perms "$b/state"), $(xs 0 perms "$f"), $(xs 0 perms "$f/state")" RC=0
	check attach-permissions 0 '^n1 r2, n1 r2, n2 r1, n2 r1$'
	OUT=$(for key in frontend frontend-id params online state mode dev specification; do
		echo -n "$key=$(xs 0 read "$b/$key") "; done)
	check attach-backend-keys 0 "^frontend=$f frontend-id=2 params=$WORK/a.img online=1 state=1 mode=w dev=xvda specification=virtio \$"
	OUT=$(for key in backend backend-id state virtual-device device-type trusted; do
		echo -n "$key=$(xs 0 read "$f/$key") "; done)
	check attach-frontend-keys 0 "^backend=$b backend-id=1 state=1 virtual-device=51712 device-type=disk trusted=1 \$"
	expect attach-again 1 'has a device xvda already' 0 attach guest --image "$WORK/b.img" --backend drv --vdev xvda
	expect attach-next-free 0 '"vdev": "xvdb"' 0 attach guest --image "$WORK/b.img" --backend drv --no-wait \
		--json --read-only --untrusted --queues 4 --irq 33
	holds attach-read-only "$(back 2 51728)/mode" r
	holds attach-queues "$(back 2 51728)/vgrant-queues" 4
	holds attach-irq "$(back 2 51728)/irq" 33
	holds attach-irq-bus "$(back 2 51728)/vgrant-bus" mmio
	holds attach-untrusted "$(front 2 51728)/trusted" 0
	expect attach-extended 0 'xvdz2: attached' 0 attach guest --engine null --size 1G --backend drv --no-wait --vdev xvdz2
	holds attach-extended-number "$(back 2 268441858)/vgrant-size" 1073741824
	expect attach-many-unprivileged 1 'no permission.*dom0' 1 attach 3 --image "$WORK/a.img" --backend 4
	expect list-waiting 0 'guest +xvda +drv +w +waits for vgrantd +/tmp' 0 list
	expect list-in-driver-domain 0 '2 +xvdb +drv +r +waits for vgrantd' 1 list
	expect list-of-a-guest 0 'no devices' 2 list
	expect stats-unanswered 1 'no vgrantd answered in domain drv within 1 s for xvdb' 0 stats guest xvdb --timeout 1
	expect detach-unprivileged 1 'no permission to detach.*dom0' 1 detach 2 xvdb
	holds detach-unprivileged-changes-nothing "$(back 2 51728)/online" 1
	expect detach-unanswered 1 'no vgrantd answered.*--force' 0 detach guest xvdb --timeout 1
	holds detach-unanswered-state "$(back 2 51728)/state" 5
	expect detach-force 0 'guest xvdb: detached' 0 detach guest xvdb --force --timeout 1
	absent detach-force-cleans "$(back 2 51728)" "$(front 2 51728)"
	expect detach-force-extended 0 'xvdz2: detached' 0 detach guest 268441858 --force --timeout 1
	xs 0 write "$(back 2 51712 4)/state" 1
	expect device-two-backends 1 '2 driver domains have a device xvda.*--backend' 0 show guest xvda
	expect device-chosen-backend 0 'backend: +4' 0 show guest xvda --backend 4
	xs 0 rm "$(back 2 51712 4)"
}

# ---- what strings of others do to the terminal ----

test_hostile()
{
	local b

	b=$(back 2 51712)
	# what the driver domain and the guest write, and a file name with everything in it
	xs 1 write "$b/vgrant-error" $'\e]0;owned\a\x9b31m\r\xe2\x80\xaegpj.\xff\xc3\xa4'
	xs 1 write "$b/params" $'/tmp/\e[2Jx\n\xc3\x28'
	xs 1 write "$b/vgrant-engine" $'\e[31m'
	xs 1 write "$b/state" $'6\n'
	xs 2 write "$(front 2 51712)/state" $'4\e[5m'
	xs 2 write "$(front 2 51712)/backend" "/local/domain/0/backend/virtio_disk/3/51712"
	run 0 show guest xvda
	check hostile-error 0 '\\x1b\]0;owned\\x07\\x9b31m\\x0d\\xe2\\x80\\xaegpj\.\\xffä'
	check hostile-image 0 'image: +/tmp/\\x1b\[2Jx\\x0a\\xc3\('
	check hostile-engine 0 'engine: +\\x1b\[31m'
	check hostile-state 0 'state: +unknown'
	check hostile-front-state 0 'guest state: unknown'
	run 0 show guest xvda --json
	check hostile-json 0 '"error": "\\u001B\]0;owned\\u0007\\uFFFD31m\\r\\u202Egpj.\\uFFFD\\u00E4"'
	for words in "list" "show guest xvda" "list --json" "show guest xvda --json"; do
		# shellcheck disable=SC2086 # words are words
		in_domain 0 "$CTL" $words >"$WORK/out" 2>&1
		if LC_ALL=C grep -q '[^ -~ä]' <(tr -d '\n\303\244' <"$WORK/out"); then
			fail "hostile-bytes-${words// /-}" "raw bytes in the output"
		else
			ok "hostile-bytes-${words// /-}"
		fi
	done
	# nonsense where figures are expected: only what has the form of a figure is shown
	( for ((i = 0; i < 100; i++)); do
		nonce=$(xs 1 read "$b/vgrant-stats-request" 2>/dev/null) || { sleep 0.1; continue; }
		xs 1 write "$b/vgrant-stats" "$nonce reads=7 =x EVIL=1 b= engine="$'\e[31m'" big=99999999999999999999 $(printf 'x%.0s' {1..60})=1 $(printf 'figure-%s=9223372036854775807 ' {1..50})"
		break
	done ) &
	run 0 stats guest xvda --timeout $WAIT
	wait $!
	check hostile-stats 0 'reads +7'
	check long-stats 0 'figure-50 +9223372036854775807'
	if [[ $OUT =~ EVIL|xxxx|$'\e' ]]; then fail hostile-stats-filtered "$OUT"; else ok hostile-stats-filtered; fi
	run 0 detach guest xvda --force --timeout 1
	check hostile-detach 0 'detached'
	absent hostile-detach-cleans "$b" "$(front 2 51712)"
}

# ---- vgrantd: attaching and refusing ----

test_attach()
{
	local b other

	b=$(back 2 51712)
	expect early-attach 0 attached 0 attach guest --image "$WORK/a.img" --backend drv --no-wait
	start_vgrantd --poll-us 0
	OUT=$(in_domain 1 "$VGRANTD" 2>&1); RC=$?
	check vgrantd-twice 1 'another vgrantd runs in this domain already'
	becomes picks-up-existing "$b/state" 2
	holds publishes-version "$b/vgrant-version" 1
	holds publishes-pages "$b/vgrant-max-pages" 16384
	expect attach 0 'other xvda: attached from domain drv, waits for the guest' \
		0 attach other --image "$WORK/b.img" --backend drv
	expect attach-same-image 1 'refused: image .*a.img is already served to dom2 xvda read-write' \
		0 attach other --image "$WORK/a.img" --backend drv
	expect attach-same-image-by-link 1 'is already served to dom2 xvda' \
		0 attach other --image "$WORK/link.img" --backend drv --read-only
	absent refused-cleans "$(back 3 51728)" "$(front 3 51728)"
	expect attach-shared-1 0 attached 0 attach guest --image "$WORK/c.img" --backend drv --read-only
	expect attach-shared-2 0 attached 0 attach other --image "$WORK/c.img" --backend drv --read-only
	expect attach-shared-writer 1 'already served to .*attach this one read-only too' \
		0 attach other --image "$WORK/c.img" --backend drv
	expect attach-null 0 'xvdc: attached' 0 attach guest --engine null --size 64M --backend drv --vdev xvdc --queues 2
	expect stats-idle 0 'state +2.*engine +null.*queues +2' 0 stats guest xvdc
	expect stats-json 0 '"engine": "file"' 0 stats guest --json
	expect stats-in-driver-domain 0 'state +2' 1 stats 2 xvdc
	expect image-missing 1 'refused: image .*nosuch.img: there is no such file in the driver domain' \
		0 attach guest --image "$WORK/nosuch.img" --backend drv
	expect image-directory 1 'refused: image .*is a directory' 0 attach guest --image "$WORK" --backend drv
	expect image-empty 1 'refused: image .*has 0 bytes' 0 attach guest --image "$WORK/empty.img" --backend drv
	expect image-pipe 1 'refused: image .*neither a regular file nor' 0 attach guest --image "$WORK/pipe" --backend drv
	expect image-device 1 'refused: image .*(neither a regular|no device)' 0 attach guest --image /dev/null --backend drv
	absent refused-cleans-all "$(back 2 51760)" "$(front 2 51760)"
	# another driver domain of this machine, and the same file
	"$SIM/xensim-run" "$DIR" 4 "$VGRANTD" 2>"$WORK/vgrantd4.log" &
	other=$!
	says vgrantd-second "$WORK/vgrantd4.log" serving
	expect image-locked 1 'refused: image .*a.img is locked by another process' \
		0 attach other --image "$WORK/a.img" --backend third --timeout $WAIT
	expect image-locked-read-only 1 'is locked by another process' \
		0 attach other --image "$WORK/a.img" --backend third --read-only --timeout $WAIT
	expect image-shared-lock 0 'attached' 0 attach other --image "$WORK/c.img" --backend third --read-only --vdev xvdd
	expect image-shared-detach 0 'detached' 0 detach other xvdd
	# refused because it is in use, and served when it is not any more
	truncate -s 1M "$WORK/held.img"
	expect image-held 0 'attached' 0 attach guest --image "$WORK/held.img" --backend drv --vdev xvde
	expect image-wanted 0 'not waited for' 0 attach other --image "$WORK/held.img" --backend third --vdev xvde --no-wait
	becomes image-wanted-refused "$(back 3 51776 4)/state" 6
	expect image-freed 0 'detached' 0 detach guest xvde
	becomes image-wanted-served "$(back 3 51776 4)/state" 2
	expect image-wanted-detached 0 'detached' 0 detach other xvde
	kill "$other"
	wait "$other" 2>/dev/null
	expect detach 0 'guest xvdc: detached' 0 detach guest xvdc
	absent detach-cleans "$(back 2 51744)" "$(front 2 51744)"
	expect detach-json 0 '"vdev": "xvdb"' 0 detach other xvdb --json
	expect detach-other-shared 0 'detached' 0 detach guest xvdb
}

# A detach that is killed between its two halves: what is left is shown, and how to go on.
test_interrupted_detach()
{
	local b pid

	expect interrupted-attach 0 attached 0 attach guest --engine null --size 1M --backend drv --vdev xvdc
	b=$(back 2 51744)
	"$SIM/xensim-run" "$DIR" 0 "$CTL" detach guest xvdc >/dev/null 2>&1 &
	pid=$!
	becomes interrupted-asks "$b/online" 0
	kill -KILL $pid
	wait $pid 2>/dev/null
	becomes interrupted-half "$b" -
	expect interrupted-list 0 'guest +xvdc +drv +- +half removed' 0 list
	check interrupted-list-says 0 "'vgrantctl detach guest xvdc' removes what is left"
	expect interrupted-json 0 '"half-removed": true' 0 list --json
	expect interrupted-heal 0 'guest xvdc: detached' 0 detach guest xvdc
	absent interrupted-clean "$(front 2 51744)"
	run 0 list
	if [[ $OUT =~ half ]]; then fail interrupted-gone "$OUT"; else ok interrupted-gone; fi
}

# raw NAME KIND DEVID REGEX [KEY VALUE]...: a directory written by hand that vgrantd refuses
raw()
{
	local name=$1 kind=$2 devid=$3 regex=$4
	local b=/local/domain/1/backend/$kind/2/$devid f=/local/domain/2/device/$kind/$devid

	shift 4
	xs 0 write "$f" '' && xs 0 own "$f" 2 1 && xs 0 write "$f/state" 1
	xs 0 write "$b" '' && xs 0 own "$b" 1 2 &&
		xs 0 write "$b/frontend" "$f" "$b/frontend-id" 2 "$b/online" 1 "$b/mode" w \
			"$b/params" "$WORK/d.img" "$b/specification" virtio "$b/type" standalone "$@" "$b/state" 1
	if ! xs 0 wait "$b/state" 6 $WAIT; then
		fail "$name" "it is not refused"
	else
		RC=0 OUT=$(xs 0 read "$b/vgrant-error")
		check "$name" 0 "$regex"
	fi
	xs 0 rm "$b"
	xs 0 rm "$f"
}

test_refuse()
{
	local b=/local/domain/1/backend/virtio_disk/2/99 i

	raw refuse-kind virtio 0 "does not serve devices of kind virtio \(type 'virtio,device22'\)" \
		/local/domain/1/backend/virtio/2/0/type virtio,device22
	raw refuse-specification virtio_disk 99 "specification is 'xen'" $b/specification xen
	raw refuse-frontend virtio_disk 99 'frontend is not /local/domain/2/device/virtio_disk/99' \
		$b/frontend /local/domain/3/device/virtio_disk/51712
	raw refuse-frontend-id virtio_disk 99 'frontend-id is not 2' $b/frontend-id 3
	raw refuse-mode virtio_disk 99 'mode is neither' $b/mode rw
	raw refuse-params virtio_disk 99 'names no image' $b/params ''
	raw refuse-relative virtio_disk 99 'must be absolute' $b/params d.img
	raw refuse-engine virtio_disk 99 'engines file and null' $b/vgrant-engine qcow2
	raw refuse-null-size virtio_disk 99 'vgrant-size is not' $b/vgrant-engine null $b/vgrant-size 1000
	raw refuse-null-no-size virtio_disk 99 'vgrant-size is not' $b/vgrant-engine null
	raw refuse-queues virtio_disk 99 'from 1 to 16' $b/vgrant-queues 17
	raw refuse-escapes virtio_disk 99 "engine is '\?\[31m" $b/vgrant-engine $'\e[31m'
	# put right, it is tried again
	xs 0 write $b '' && xs 0 own $b 1 2
	xs 0 write "$(front 2 99)" '' && xs 0 own "$(front 2 99)" 2 1 && xs 0 write "$(front 2 99)/state" 1
	xs 0 write $b/frontend "$(front 2 99)" $b/frontend-id 2 $b/online 1 $b/mode w $b/params "$WORK/late.img" $b/state 1
	becomes retry-refused $b/state 6
	truncate -s 1M "$WORK/late.img"
	xs 0 write $b/state 1
	becomes retry-served $b/state 2
	absent retry-clears-error $b/vgrant-error
	# the toolstack takes it away without asking
	xs 0 rm $b
	xs 0 rm "$(front 2 99)"
	expect removed-is-forgotten 0 'attached' 0 attach guest --image "$WORK/late.img" --backend drv --devid 99
	expect removed-detach 0 'detached' 0 detach guest 99
	# an unplug whose state 5 vgrantd has overwritten with one that it wrote at that very moment
	expect unplug-overwritten-attach 0 'attached' 0 attach guest --image "$WORK/late.img" --backend drv --devid 99
	xs 0 write $b/online 0
	for ((i = 0; i < WAIT * 10; i++)); do
		xs 0 read $b/state >/dev/null 2>&1 || break
		sleep 0.1
	done
	absent unplug-overwritten $b
	xs 0 rm "$(front 2 99)"
}

: >"$WORK/empty.img"
mkfifo "$WORK/pipe"
ln "$WORK/a.img" "$WORK/link.img"

test_usage
test_names
test_no_vgrantd
expect hostile-attach 0 attached 0 attach guest --image "$WORK/a.img" --backend drv --no-wait --vdev xvdb
xs 0 rm "$(back 2 51728)"
xs 0 rm "$(front 2 51728)"
test_hostile
test_attach
test_interrupted_detach
test_refuse
stop_vgrantd sigterm-exit
conclude
