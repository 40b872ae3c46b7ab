# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Initramfs images: a directory that is filled, then written as an uncompressed cpio archive
# (unpacking a compressed one costs more under emulation than reading it).

IMAGE_LIBDIR=lib/x86_64-linux-gnu

image_new() { # DIRECTORY BUSYBOX
	local dir=$1 applet
	mkdir -p "$dir"/{bin,sbin,dev,proc,sys,tmp,run,root,mnt,etc,usr,var,lib/x86_64-linux-gnu,lab} || return 1
	ln -s lib "$dir/lib64"
	ln -s ../bin "$dir/usr/bin"
	ln -s ../sbin "$dir/usr/sbin"
	ln -s ../lib "$dir/usr/lib"
	ln -s ../run "$dir/var/run"
	cp "$2" "$dir/bin/busybox" || return 1
	while read -r applet; do
		[[ $applet == busybox ]] || ln -s busybox "$dir/bin/$applet"
	done < <("$2" --list)
	echo 'root::0:0:root:/root:/bin/sh' >"$dir/etc/passwd"
	echo 'root:x:0:' >"$dir/etc/group"
	: >"$dir/etc/mtab"
}

# Where the library NAME is: below ROOT when that is not empty, else on this machine.
image_find_library() { # NAME ROOT
	local dir
	if [[ $2 ]]; then
		for dir in "$2"/lib/x86_64-linux-gnu "$2"/usr/lib/x86_64-linux-gnu "$2"/usr/lib/xen-*/lib/x86_64-linux-gnu "$2"/lib64 \
			"$2"/usr/lib64 "$2"/usr/lib/xen-*/lib; do
			[[ -e $dir/$1 ]] && echo "$dir/$1" && return 0
		done
	fi
	/sbin/ldconfig -p | awk -v n="$1" '$1 == n && /x86-64/ { print $NF; exit }'
}

# What FILE needs and the image does not have yet, recursively. A library that is there stays: the
# one that came first is the one that everything in the image was checked with.
image_add_libraries() { # DIRECTORY ROOT FILE
	local dir=$1 root=$2 name found
	while read -r name; do
		[[ ! -e $dir/$IMAGE_LIBDIR/$name && ! -e $dir/lib/$name ]] || continue
		found=$(image_find_library "$name" "$root")
		[[ $found ]] || lab_die "$3 needs the library $name, which is nowhere on this machine"
		if [[ $name == ld-linux-* ]]; then
			cp -L "$found" "$dir/lib/$name" || return 1
		else
			cp -L "$found" "$dir/$IMAGE_LIBDIR/$name" || return 1
			image_add_libraries "$dir" "$root" "$found" || return 1
		fi
		# glibc loads it by name when a thread is cancelled; no program's header tells of it.
		[[ $name != libc.so.6 ]] || cp -L "$(image_find_library libgcc_s.so.1 "$root")" "$dir/$IMAGE_LIBDIR/" || return 1
	done < <(readelf -d "$3" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p'
		readelf -l "$3" 2>/dev/null | sed -n 's/.*interpreter: .*\/\(.*\)\].*/\1/p')
}

# Copies programs with their libraries into /bin; ROOT empty: from this machine.
image_add_programs() { # DIRECTORY ROOT FILE...
	local dir=$1 root=$2 file
	shift 2
	for file in "$@"; do
		[[ -f $file ]] || lab_die "$file is missing"
		rm -f "$dir/bin/${file##*/}"
		cp -L "$file" "$dir/bin/" || return 1
		image_add_libraries "$dir" "$root" "$file" || return 1
	done
}

# xenstore-read and its like are one program that looks at its name.
image_add_xenstore() { # DIRECTORY ROOT
	local name
	image_add_programs "$1" "$2" "$2/usr/bin/xenstore" || return 1
	for name in read write ls list rm chmod exists watch; do
		ln -sf xenstore "$1/bin/xenstore-$name"
	done
}

image_write() { # DIRECTORY FILE
	(cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio --quiet --null -o -H newc -R 0:0) >"$2" ||
		lab_die "cannot write the image $2"
}

# The kernel as it is inside a bzImage, an ELF file: Xen and its tools take that too, and need not
# unpack it, which under emulation costs a second for each domain. (Offsets: Linux's boot protocol.)
image_kernel() { # BZIMAGE FILE
	local setup magic offset length
	read -r setup < <(od -An -tu1 -j 497 -N 1 "$1")
	read -r magic < <(od -An -tx4 -j 514 -N 4 "$1")
	read -r offset length < <(od -An -tu4 -j 584 -N 8 "$1")
	[[ $magic == 53726448 ]] || lab_die "$1 is no bzImage"
	offset=$(((setup + 1) * 512 + offset))
	case $(od -An -tx1 -j $offset -N 4 "$1") in
	" 1f 8b"*) tail -c "+$((offset + 1))" "$1" | head -c "$length" | gunzip -q >"$2" ;;
	" fd 37"*) tail -c "+$((offset + 1))" "$1" | head -c "$length" | xz -dc --single-stream >"$2" ;;
	*)
		cp "$1" "$2"
		return
		;;
	esac
	# The last four bytes are the length of what was packed, which the programs take for rubbish.
	[[ $(stat -c %s "$2") == "$(od -An -tu4 -j $((offset + length - 4)) -N 4 "$1" | tr -d ' ')" ]] || lab_die "$1 cannot be unpacked"
}
