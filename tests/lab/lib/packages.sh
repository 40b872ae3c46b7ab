# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Xen and what its tools need, from Debian packages that are unpacked and not installed.

packages_own_suite() {
	# shellcheck disable=SC1091
	(. /etc/os-release && echo "${VERSION_CODENAME:-}")
}

# apt's options for a suite, into PACKAGES_APT: the machine's own apt for its own suite and architecture;
# for another one, or with "source", an apt of the lab's own whose source is the machine's Debian
# source with the suite exchanged.
packages_apt() { # SUITE [source]
	local suite=$1 arch=$ARCH_DEBIAN dir uri keyring found deb
	PACKAGES_APT=(-qq -o APT::Sandbox::User=root)
	[[ ! ${2:-} ]] || arch=amd64
	[[ $suite != "$(packages_own_suite)" || $arch != amd64 || ${2:-} ]] || return 0
	uri=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 2>/dev/null |
		awk -v own="$(packages_own_suite)" '$1 == own && $2 == "main" { print $3; exit }')
	[[ $uri ]] || lab_die "no Debian source in this machine's apt configuration to take $suite from"
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	dir=$(lab_cache)/apt-$suite
	[[ $arch == amd64 ]] || dir+=-$arch
	mkdir -p "$dir"/{lists/partial,archives/partial} || return 1
	touch "$dir/status"
	deb="[signed-by=$keyring arch=$arch] $uri $suite main"
	printf '%s\n' "deb $deb" >"$dir/sources.list"
	[[ $arch != amd64 ]] || printf '%s\n' "deb-src $deb" >>"$dir/sources.list"
	PACKAGES_APT+=(-o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir" -o Dir::State::status="$dir/status"
		-o Dir::Cache::archives="$dir/archives" -o APT::Architecture="$arch" -o APT::Architectures="$arch")
	found=$(find "$dir/lists" -name '*Packages*' -print -quit)
	if [[ ${LAB_FETCH:-} || ! $found ]]; then
		apt-get "${PACKAGES_APT[@]}" -o APT::Update::Error-Mode=any update >&2 || {
			[[ $found ]] || lab_die "apt cannot fetch the lists of Debian's $suite from where this machine's apt has" \
				"$(packages_own_suite) from; its words are above"
			lab_note "the lists of Debian's $suite could not be fetched anew; the old ones serve"
		}
	fi
}

# name=version of each package that apt would take, one a line.
packages_candidates() { # PACKAGE...
	apt-cache "${PACKAGES_APT[@]}" policy "$@" 2>/dev/null |
		awk '/^[^ ]/ { n = $1; sub(/:$/, "", n) } $1 == "Candidate:" && $2 != "(none)" { print n "=" $2 }' | sort
}

# The named packages and the libraries that they depend on. Perl, Python and the like are not
# followed: no program that the lab starts needs them.
packages_closure() { # PACKAGE...
	apt-cache "${PACKAGES_APT[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts \
		--no-breaks --no-replaces --no-enhances "$@" 2>/dev/null |
		awk -v wanted="$*" '
			/^[^ ]/ { from = $1 }
			/Depends:/ && $2 ~ /^lib/ && $2 !~ /^lib(perl|python|newt|debian-installer)/ { needs[from] = needs[from] " " $2 }
			END {
				n = split(wanted, queue)
				for (i = 1; i <= n; i++) {
					if (queue[i] in seen)
						continue
					seen[queue[i]]
					print queue[i]
					m = split(needs[queue[i]], more)
					for (j = 1; j <= m; j++)
						queue[++n] = more[j]
				}
			}'
}

packages_unpack() { # PACKAGE... DIRECTORY
	local dir=${!#} deb
	local -a list
	mapfile -t list < <(packages_closure "${@:1:$#-1}")
	mapfile -t list < <(packages_candidates "${list[@]}")
	((${#list[@]} >= $# - 1)) || return 1
	mkdir "$dir/debs" "$dir/root" || return 1
	(cd "$dir/debs" && apt-get "${PACKAGES_APT[@]}" download "${list[@]}") || return 1
	for deb in "$dir"/debs/*.deb; do
		dpkg-deb -x "$deb" "$dir/root" || return 1
	done
	rm -rf "$dir/debs" "$dir/root/usr/share/doc" "$dir/root/usr/share/man" "$dir/root/usr/share/locale"
}

# packages_root NAME SUITE PACKAGE...: prints the directory that holds the packages, unpacked.
packages_root() {
	local name=$1 suite=$2 list dir
	shift 2
	packages_apt "$suite" || return 1
	list=$(packages_candidates "$@")
	[[ $list == *"$1="* ]] || list=
	[[ $ARCH_DEBIAN == amd64 ]] || suite+=-$ARCH_DEBIAN
	dir=$(lab_fetched "$name-$suite" "$list" packages_unpack "$@") || return 1
	echo "$dir/root"
}

# packages_source PACKAGE SUITE DIRECTORY: its source with Debian's patches, in DIRECTORY/src. The tarballs
# are all that it takes: a mirror may lack the .dsc that its own list names (apt checks each file against that).
packages_source() {
	local patch
	packages_apt "$2" source || return 1
	(
		cd "$3" || exit 1
		apt-get "${PACKAGES_APT[@]}" source --download-only "$1" || ls ./*.orig.tar.?z ./*.debian.tar.?z || exit 1
		mkdir src && tar -xf ./*.orig.tar.?z -C src --strip-components=1 && tar -xf ./*.debian.tar.?z -C src || exit 1
		sed 's/[[:space:]]*#.*//; /^$/d' src/debian/patches/series 2>/dev/null | while read -r patch; do
			patch -d src -p1 --silent -i "debian/patches/$patch" || exit 1
		done
	)
}
