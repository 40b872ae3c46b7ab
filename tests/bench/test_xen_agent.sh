#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vgrant-bench-agent, in domain 7, over programs that stand in for xenstore's: whom it invites, what it refuses and
# in which words, and that nothing of it stays. What it measures is seen in the lab's scenario xenbench.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh" || exit 1
mkdir "$dir/bin" "$dir/store"
for name in awk cat cp cut grep head ls mkdir readlink rm sleep sort tr; do
	ln -s "$(command -v $name)" "$dir/bin/$name"
done

# stand_in NAME: the script on standard input, with the node of its first path in $node.
stand_in()
{
	{
		echo "#!/bin/sh"
		echo "case \$1 in /*) node=$dir/store\$1 ;; *) node=$dir/store/local/domain/7/\$1 ;; esac"
		cat
	} >"$dir/bin/$1"
	chmod 755 "$dir/bin/$1"
}

stand_in xenstore-read <<<"cat \"\$node/value\" 2>/dev/null"
stand_in xenstore-list <<<"ls \"\$node\" 2>/dev/null"
# Xenstore takes no message of more than 4 KiB.
stand_in xenstore-write <<<"[ \${#1} -lt \$((4096 - \${#2})) ] && mkdir -p \"\$node\" && printf '%s\n' \"\$2\" >\"\$node/new\" && cp \"\$node/new\" \"\$node/value\""
stand_in xenstore-chmod <<<"shift; echo \"\$*\" >\"\$node/perms\""
stand_in xenstore-rm <<<"rm -r \"\$node\""
stand_in fio <<<"echo libaio"

# write PATH VALUE, of any domain; value PATH
write() { mkdir -p "$dir/store/local/domain/$1" && echo "$2" >"$dir/store/local/domain/$1/value"; }
value() { cat "$dir/store/local/domain/$1/value" 2>/dev/null; }

run()
{
	status=0
	PATH=$dir/bin /bin/sh "$top/bench/xen/vgrant-bench-agent" "$@" >"$dir/out" 2>"$dir/err" || status=$?
}

# until_is PATH VALUE
until_is()
{
	local n=0
	until [ "$(value "$1")" = "$2" ]; do
		n=$((n + 1))
		[ $n -lt 1200 ] || fail "$1 is '$(value "$1")', not '$2'"
		sleep 0.05
	done
}

# refuses WORDS JOB: what domain 1 asks for.
refuses()
{
	seq=$((seq + 1))
	write 1/data/vgrant-bench/7 "$seq $2"
	until_is 7/data/vgrant-bench/1/answer "$seq error $1"
}

usage 1 "xenstore cannot be read or written"
usage 2 "'--nonsense' is not an option" --nonsense
usage 2 "--destroy needs the disk that may be overwritten" --destroy
usage 2 "overwritten, which /dev/null is not" --destroy /dev/null
write 7/domid 7
write 7/memory/target 65536
write 7/device/virtio_disk/51712/backend-id 1
mv "$dir/bin/fio" "$dir/fio"
usage 1 "fio is not here"
mv "$dir/fio" "$dir/bin/fio"

PATH=$dir/bin /bin/sh "$top/bench/xen/vgrant-bench-agent" >"$dir/out" 2>"$dir/err" &
agent=$!
trap 'kill $agent 2>/dev/null; rm -rf "$dir"' EXIT
for domain in 0 1; do
	until_is 7/data/vgrant-bench/$domain/agent "2 libaio 65536"
	[ "$(cat "$dir/store/local/domain/7/data/vgrant-bench/$domain/perms")" = "n7 r$domain" ] || fail "others than domain $domain read what it is told"
done
seq=100
write 2/data/vgrant-bench/7 "100 bounce"
for job in "bounce read 4096 8 1" "bounce read 4k 8 1 /dev/vda" "bounce read 4096 257 1 /dev/vda" "bounce read 4096 8 601 /dev/vda" "* read 4096 8 1 /dev/vda" \
	"bounce trim 4096 8 1 /dev/vda" "bounce read 4096 8 1 /etc/passwd" "bounce read 4096 8 1 /dev/../etc/passwd" "bounce read 4096 8 1 /dev/vda:/dev/vdb" "bounce read 4096 8 1 /dev/"; do
	refuses "this agent does not understand the job: $job" "$job"
done
long=$(printf '%0200d' 7)
refuses "this agent does not understand the job: $long" "$long$(printf '%03860d' 7)"
refuses "this guest has no /dev/none" "bounce read 4096 8 1 /dev/none"
refuses "this guest has no /dev/null" "bounce read 4096 8 1 /dev/null"
refuses "writing destroys what is on /dev/none: who runs vgrant-bench-agent must allow it, with --destroy /dev/none" "bounce write 4096 8 1 /dev/none"
[ ! "$(value 7/data/vgrant-bench/2/answer)" ] || fail "it serves a domain that serves it nothing"
write 1/data/vgrant-bench/7 "$(printf '%04000d' 7) bounce"
# A disk that comes later.
write 7/device/virtio_disk/51728/backend-id 2
until_is 7/data/vgrant-bench/2/answer "100 error this agent does not understand the job: bounce"
# A job is taken once.
write 7/data/vgrant-bench/2/answer "100 seen"
sleep 1
[ "$(value 7/data/vgrant-bench/2/answer)" = "100 seen" ] || fail "it takes a job twice"
kill $agent
wait $agent || fail "it ends with status $?"
[ ! -e "$dir/store/local/domain/7/data/vgrant-bench" ] || fail "it leaves something in xenstore"
[ ! -s "$dir/err" ] || fail "it complains"
