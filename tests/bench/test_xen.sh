#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrant-bench --xen, over programs that stand in for Xen's: its turns, its arithmetic, its JSON, which the
# report takes, and what it refuses. The real ones are in the lab's scenario xenbench.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" || exit 1
export VGRANT_BUILD=$build

# stand_in NAME: the script on standard input.
mkdir "$dir/bin"
stand_in()
{
	{
		echo "#!/bin/sh"
		echo "cd $dir"
		cat
	} >"$dir/bin/$1"
	chmod 755 "$dir/bin/$1"
}

stand_in xl <<'END'
case $1 in
info) echo "xen_version : 4.99.1" ;;
list) jobs=$(wc -l <jobs); echo "Name ID Mem VCPUs State Time(s)"; echo "g1 7 64 1 -b---- $((jobs * 2)).0"; echo "driver 1 64 1 -b---- $jobs.5" ;;
*) exit 1 ;;
esac
END
# It runs in the domain whose number is in "self". The agent: each policy has a speed of its own, and an
# error when it is told to have one.
stand_in xenstore-read <<'END'
case $1 in
domid) cat self ;;
"/local/domain/7/data/vgrant-bench/$(cat self)/agent") cat agent ;;
"/local/domain/7/data/vgrant-bench/$(cat self)/answer")
	set -- $(tail -n 1 jobs)
	# Writes take twice as long.
	[ ! -e broken ] || { printf '%s %s\n' "$1" "$(cat broken)"; exit; }
	case $2 in bounce) kib=400000 ;; hybrid) kib=200000 ;; grant) kib=$((100000 + $(grep -c grant jobs) % 4 / 2 * 600000)) ;; esac
	[ $3 = read ] || kib=$((kib / 2))
	echo "$1 ok $kib 1000 50 99 1000 3" ;;
*) exit 1 ;;
esac
END
# Only in the domain's own directory.
stand_in xenstore-write <<'END'
[ "$1" = data/vgrant-bench/7 ] && [ ! -e locked ] || exit 1
[ ! "$2" ] || echo "$2" >>jobs
END
stand_in xenstore-chmod <<'END'
[ "$*" = "data/vgrant-bench/7 n$(cat self) r7" ]
END
stand_in xenstore-rm <<'END'
echo "$*" >removed
END
stand_in sleep <<'END'
END
# A thousand requests a job; large ones of hybrid are copied, those of grant mapped.
stand_in vgrantctl <<'STOP'
guest=g1
[ "$(cat self)" = 0 ] || guest=7
[ "$2" = $guest ] || { echo "vgrantctl: there is no domain '$2'" >&2; exit 1; }
[ "$3" = xvda ] || { echo "vgrantctl: domain $2 has no device $3" >&2; exit 1; }
if [ "$1" = show ]; then
	printf 'domain:      7 (%s)\nbackend:     1 (driver)\nstate:       %s\nmode:        %s\n' $guest "$(cat state)" "$(cat mode)"
	exit
fi
[ "$1" = stats ] || exit 1
awk 'NF { n++ } $2 == "hybrid" && $4 == 65536 { c++ } $2 == "grant" { m++ }
	END { print "requests", n * 1000; print "copy-ops", c * 4000; print "bytes-copied", c * 4161000; print "map-ops", m * 2000; print "unmap-ops", m * 2000
		print "notifications-sent", n * 250; print "pages-reached", 300 }' jobs
STOP

# run OPTION…: its status is in $status.
run()
{
	status=0
	PATH=$dir/bin:$PATH "$top/bench/vgrant-bench" --xen "$@" >"$dir/out" 2>"$dir/err" || status=$?
}

: >"$dir/jobs"
echo 0 >"$dir/self"
echo "connected (connected)" >"$dir/state"
echo read-write >"$dir/mode"
echo "2 libaio 65536" >"$dir/agent"
run --guest g1 --size 4k,64k --depth 8 --rounds 4 --seconds 1 --json "$dir/json"
[ $status -eq 0 ] || fail "it gives status $status"
[ "$(cat "$dir/removed")" = data/vgrant-bench/7 ] || fail "it leaves something in xenstore"
[ "$(wc -l <"$dir/jobs")" -eq 24 ] || fail "it has not asked for 24 jobs"
[ "$(head -n 12 "$dir/jobs" | awk '{ print $2 }' | xargs)" = "bounce hybrid grant bounce hybrid grant hybrid grant bounce hybrid grant bounce" ] ||
	fail "the policies do not take turns"
[ "$(cut -d' ' -f1 "$dir/jobs" | sort -u | wc -l)" -eq 24 ] || fail "two jobs have one number"
# bounce: 400000 KiB in a second are 100000 requests of 4 KiB; 2 s and 1 s of CPU time are for a thousand requests.
line=$(grep '"policy": "bounce".*"size": 4096' "$dir/json")
for words in '"way": "region"' '"median": 100000.0, "low": 100000.0, "high": 100000.0' '"backend_cpu_ns": 1000000.0, "guest_cpu_ns": 2000000.0' \
	'"grant_operations": 0.0000' '"notifications": 0.2500' '"p50": 50000, "p99": 99000, "p999": 1000000' '"pages_reachable": 300, "guest_pages": 16384'; do
	grep -qF -- "$words" <<<"$line" || fail "of bounce it does not say: $words"
done
grep '"policy": "hybrid".*"size": 65536' "$dir/json" | grep -q '"way": "copy".*"grant_operations": 4.0000, "bytes_copied_by_hypervisor": 4161.0' || fail "hybrid is not told as copied"
grep '"policy": "hybrid".*"size": 4096' "$dir/json" | grep -q '"way": "copy".*"grant_operations": 0.0000' || fail "hybrid has another name at another size"
grep '"policy": "grant".*"size": 4096' "$dir/json" | grep -q '"way": "map-batch".*"grant_operations": 4.0000' || fail "grant is not told as mapped"
# Half as fast, always; and now slower, now faster: nobody may say which.
grep -q '"name": "hybrid/bounce".*"size": 4096.*"ratio": 0.5000, "low": 0.5000, "high": 0.5000, "distinguishable": true' "$dir/json" || fail "hybrid is not half as fast"
grep -q '"name": "grant/bounce".*"size": 4096.*"distinguishable": false' "$dir/json" || fail "it judges what it cannot tell"
grep -q 'cannot tell which is faster' "$dir/out" || fail "the table judges what it cannot tell"
"$top/bench/vgrant-bench" --report "$dir/page" "$dir/json" >"$dir/out" 2>"$dir/err" || fail "the report does not take its JSON"
grep -q 'hypervisor: Xen 4.99.1' "$dir/page/index.html" || fail "the report does not say that this is Xen"

# Writes stand beside reads, and are compared with writes.
: >"$dir/jobs"
run --guest g1 --op read,write --destroy --size 4k --depth 8 --rounds 3 --seconds 1 --policy bounce,hybrid --json "$dir/json"
[ $status -eq 0 ] || fail "with writes it gives status $status"
[ "$(cut -d' ' -f 3 "$dir/jobs" | xargs)" = "read read write write read read write write read read write write" ] || fail "it does not ask for reads and writes"
grep '"group": 1,' "$dir/json" | grep -vq '"op": "read"' && fail "not only reads are in the first group"
[ "$(grep -c '"group": 3,.*"op": "write"' "$dir/json")" -eq 2 ] || fail "writes are no group"
grep -q '"policy": "bounce".*"op": "write".*"median": 50000.0' "$dir/json" || fail "writes have the speed of reads"
[ "$(sed -n 's/.*"name": "hybrid\/bounce", \("a": [0-9], "b": [0-9]\),.*/\1/p' "$dir/json" | xargs)" = "a: 1, b: 0 a: 3, b: 2" ] || fail "writes are not compared with writes"
grep -q 'hybrid / bounce, writes of 4096 bytes, depth 8: 0.500' "$dir/out" || fail "the table does not compare writes"
"$top/bench/vgrant-bench" --report "$dir/page" "$dir/json" >"$dir/out" 2>"$dir/err" || fail "the report does not take the JSON of writes"
echo read-only >"$dir/mode"
usage 1 "xvda of g1 is read-only" --guest g1 --op write --destroy
echo read-write >"$dir/mode"
usage 2 "--op write destroys what is on the disk" --guest g1 --op read,write
usage 2 "--op trim: there are read, write" --guest g1 --op trim

# In the driver domain: CPU time is this domain's own and what the agent tells, names are not seen.
mv "$dir/bin/xl" "$dir/xl"
echo 1 >"$dir/self"
: >"$dir/jobs"
run --guest 7 --size 4k --depth 8 --rounds 1 --seconds 1 --json "$dir/json"
[ $status -eq 0 ] || fail "in the driver domain it gives status $status"
[ "$(wc -l <"$dir/jobs")" -eq 3 ] || fail "in the driver domain it has not asked for 3 jobs"
grep -q '"cpu_time": "/proc/stat"' "$dir/json" || fail "it does not say where the CPU time is from"
[ "$(grep -c '"backend_cpu_ns": [0-9.]*, "guest_cpu_ns": 3000000.0' "$dir/json")" -eq 3 ] || fail "the agent's CPU time is not the guest's"
"$top/bench/vgrant-bench" --report "$dir/page" "$dir/json" >"$dir/out" 2>"$dir/err" || fail "the report does not take the JSON of a driver domain"
usage 1 "there is no domain 'g1'" --guest g1
echo 0 >"$dir/self"
usage 1 "xl is not here" --guest g1
mv "$dir/xl" "$dir/bin/xl"

usage 2 "name the guest"
usage 2 "--rounds 0: not a number" --guest g1 --rounds 0
usage 2 "--seconds x: not a number" --guest g1 --seconds x
usage 2 "--size 100: not a multiple" --guest g1 --size 100
usage 2 "--size 2m: not a multiple" --guest g1 --size 4k,2m
usage 2 "--depth 257: not a number" --guest g1 --depth 257
usage 2 "there are bounce, hybrid, grant" --guest g1 --policy bounce,none
usage 2 "not a path of a device" --guest g1 --device "/dev/vda; reboot"
usage 2 "is not an option" --guest g1 --nonsense
usage 1 "there is no domain 'g2'" --guest g2
usage 1 "domain g1 has no device xvdz" --guest g1 --vdev xvdz
usage 1 "cannot write" --guest g1 --json "$dir/none/json"
echo "error fio: it does not work" >"$dir/broken"
usage 1 "policy bounce, read of 4096 bytes, depth 1: fio: it does not work" --guest g1
printf '%s\n' 'ok 1 2 3 4 5 \033[2J' >"$dir/broken"
usage 1 'the agent.s figures are none: 1 2 3 4 5 .033' --guest g1
# Nothing done, no time, too few figures.
for figures in "0 1000 1 2 3 4" "400 0 1 2 3 4" "400 1000 1 2 4"; do
	echo "ok $figures" >"$dir/broken"
	usage 1 "the agent.s figures are none: $figures" --guest g1 --rounds 1 --seconds 1
done
rm "$dir/broken"
echo "waits for the guest (init-wait)" >"$dir/state"
usage 1 "xvda of g1 is not connected: waits for the guest" --guest g1
echo "connected (connected)" >"$dir/state"
: >"$dir/locked"
usage 1 "data/vgrant-bench/7, in this domain's own directory in xenstore, cannot be written" --guest g1
echo "3 libaio" >"$dir/agent"
usage 1 "agent in g1 is of another version" --guest g1
rm "$dir/agent"
usage 1 "no vgrant-bench-agent answers in g1" --guest g1
rm "$dir/self"
usage 1 "xenstore does not answer" --guest g1
rm "$dir/bin/vgrantctl"
usage 1 "vgrantctl is not here" --guest g1
