# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Initramfs images: a directory that is filled, then written as an uncompressed cpio archive
# (unpacking a compressed one costs more under emulation than reading it).

# (busybox' links are made by each init: a program of another architecture cannot be asked for their names.)
image_new() { # DIRECTORY BUSYBOX
	local dir=$1
	mkdir -p "$dir"/{bin,sbin,dev,proc,sys,tmp,run,root,mnt,etc,usr,var,"lib/$ARCH_TRIPLET",lab} || return 1
	ln -s lib "$dir/lib64"
	ln -s ../bin "$dir/usr/bin"
	ln -s ../sbin "$dir/usr/sbin"
	ln -s ../lib "$dir/usr/lib"
	ln -s ../run "$dir/var/run"
	cp "$2" "$dir/bin/busybox" && ln -s busybox "$dir/bin/sh" || return 1
	echo 'root::0:0:root:/root:/bin/sh' >"$dir/etc/passwd"
	echo 'root:x:0:' >"$dir/etc/group"
	: >"$dir/etc/mtab"
}

# Where the library NAME is: below ROOT when that is not empty, else where our programs have theirs from.
image_find_library() { # NAME ROOT
	local root dir
	for root in "$2" "$LAB_SYSROOT"; do
		[[ $root ]] || continue
		for dir in "$root"{,/usr}/lib/"$ARCH_TRIPLET" "$root"/usr/lib/xen-*/lib/"$ARCH_TRIPLET" "$root"{,/usr}/lib{,64} "$root"/usr/lib/xen-*/lib; do
			[[ -e $dir/$1 ]] && echo "$dir/$1" && return 0
		done
	done
	[[ $LAB_SYSROOT ]] || /sbin/ldconfig -p | awk -v n="$1" '$1 == n && /x86-64/ { print $NF; exit }'
}

# What FILE needs and the image does not have yet, recursively. A library that is there stays: the
# one that came first is the one that everything in the image was checked with.
image_add_libraries() { # DIRECTORY ROOT FILE
	local dir=$1 root=$2 name found
	while read -r name; do
		[[ ! -e $dir/lib/$ARCH_TRIPLET/$name && ! -e $dir/lib/$name ]] || continue
		found=$(image_find_library "$name" "$root")
		[[ $found ]] || lab_die "$3 needs the library $name, which is nowhere"
		if [[ $name == ld-linux-* ]]; then
			cp -L "$found" "$dir/lib/$name" || return 1
		else
			cp -L "$found" "$dir/lib/$ARCH_TRIPLET/$name" || return 1
			image_add_libraries "$dir" "$root" "$found" || return 1
		fi
		# glibc loads it by name when a thread is cancelled; no program's header tells of it.
		[[ $name != libc.so.6 ]] || cp -L "$(image_find_library libgcc_s.so.1 "$root")" "$dir/lib/$ARCH_TRIPLET/" || return 1
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
