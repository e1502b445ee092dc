# SPDX-License-Identifier: GPL-2.0-or-later
#
# lib.sh - what with-kvm and guest-image share: the cache, Debian kernels
# in it, and initramfs archives made from their modules.  Sourced, not run.
#
# The cache holds one folder per Debian kernel package and version, and a
# link from the name of its metapackage to the newest one:
#
#   kernel/linux-image-amd64 -> linux-image-6.1.0-50-amd64_6.1.190-1
#   kernel/linux-image-6.1.0-50-amd64_6.1.190-1/{vmlinuz,release,lib/modules/}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/kvmbus

say()
{
	echo "${0##*/}: $*" >&2
}

die()
{
	say "$*"
	exit 1
}

# with_lock NAME CMD...: run CMD while holding the cache's lock NAME.
with_lock()
{
	local name=$1
	shift
	mkdir -p "$cache"
	(
		flock 9
		"$@" 9>&-
	) 9>"$cache/$name.lock"
}

# kernel_resolve META: print "PACKAGE VERSION" behind a kernel metapackage.
kernel_resolve()
{
	local package version
	package=$(apt-cache depends "$1" 2>/dev/null |
		awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
	version=$(apt-cache policy "$package" 2>/dev/null |
		awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }')
	[ -n "$package" ] && [ -n "$version" ] && echo "$package $version"
}

# kernel_unpack PACKAGE VERSION DIR: download, unpack, index; all or nothing.
kernel_unpack()
{
	local tmp release
	tmp=$(mktemp -d "$cache/kernel/tmp.XXXXXX")
	say "fetching $1 $2"
	if (cd "$tmp" && apt-get download -q "$1=$2" >apt.log 2>&1) &&
	   dpkg -x "$tmp"/*.deb "$tmp/root"; then
		release=${1#linux-image-}
		mkdir "$tmp/out"
		mv "$tmp/root/lib" "$tmp/out/lib"
		mv "$tmp/root/boot/vmlinuz-$release" "$tmp/out/vmlinuz"
		echo "$release" >"$tmp/out/release"
		depmod -b "$tmp/out" "$release" && chmod 755 "$tmp/out" &&
			mv "$tmp/out" "$3"
	else
		tail -n 3 "$tmp/apt.log" >&2
	fi
	rm -rf "$tmp"
	[ -d "$3" ]
}

# The newest version apt knows, or else the one cached before.
kernel_update()
{
	local link=$cache/kernel/$1 package version dir
	mkdir -p "$cache/kernel"
	if read -r package version < <(kernel_resolve "$1"); then
		dir=${package}_${version//[:~]/-}
		if [ -d "$cache/kernel/$dir" ] ||
		   kernel_unpack "$package" "$version" "$cache/kernel/$dir"; then
			ln -sfn "$dir" "$link"
		fi
	fi
	[ -d "$link/" ] || die "no $1: apt does not know it or cannot fetch it" \
		"(try apt-get update)"
	touch -h "$link"
}

# kernel META: print the folder of that kernel; fetches it when needed.
# apt is asked again only when its lists have changed.
kernel()
{
	local link=$cache/kernel/$1
	if ! [ -d "$link/" ] ||
	   [ -n "$(find /var/lib/apt/lists -maxdepth 0 -newer "$link")" ]; then
		with_lock kernel kernel_update "$1" || return
	fi
	readlink -f "$link"
}

# kernel_elf KERNEL: print a file for QEMU's -kernel: the kernel unpacked, which
# saves seconds where the processor is emulated, or as it is if that fails.
kernel_elf()
{
	local elf=$1/vmlinux
	[ -e "$elf" ] || with_lock kernel kernel_extract "$1/vmlinuz" "$elf"
	[ -s "$elf" ] && echo "$elf" || echo "$1/vmlinuz"
}

kernel_extract()
{
	local at
	at=$(LC_ALL=C grep -m1 -abo -P '\xfd7zXZ\x00' "$1" | head -n 1 | cut -d: -f1)
	tail -c "+$((${at:-0} + 1))" "$1" | xz -dcq >"$2.new" 2>/dev/null || true
	[ "$(head -c 4 "$2.new" | tail -c 3)" = ELF ] || : >"$2.new"
	mv "$2.new" "$2"
}

# add_modules KERNEL DIR MODULE...: put MODULEs and what they need below
# DIR/lib/modules, uncompressed, for modprobe to find.  Those that this kernel
# has built in or does not have at all are left out.
add_modules()
{
	local kernel=$1 dir=$2 release path to name
	shift 2
	release=$(<"$kernel/release")
	for name; do
		modprobe -d "$kernel" -S "$release" --show-depends "$name" \
			2>/dev/null || say "$release has no module $name"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
	while read -r path; do
		to=$dir/lib/modules/${path#*/lib/modules/}
		mkdir -p "${to%/*}"
		case $to in
		*.xz)	xz -dc "$path" >"${to%.xz}" ;;
		*.zst)	zstd -qdc "$path" >"${to%.zst}" ;;
		*)	cp "$path" "$to" ;;
		esac
	done
	cp "$kernel/lib/modules/$release"/modules.{order,builtin,builtin.modinfo} \
		"$dir/lib/modules/$release/"
	depmod -b "$dir" "$release"
}

# pack_initrd DIR OUT: everything in DIR as a cpio archive.  Reproducible,
# and not compressed: unpacking is slow where these are booted.
pack_initrd()
{
	(cd "$1" && find . -print0 | LC_ALL=C sort -z |
		cpio -0 -o -H newc -R 0:0 --reproducible --quiet) >"$2"
}

# prune PATTERN: forget what older versions of our inputs have left behind.
prune()
{
	find "$cache" -maxdepth 1 -name "$1" -mtime +30 -delete
}

# make_initrd OUT KERNEL INIT MODULE...: busybox, INIT as /init, and modules.
make_initrd()
{
	local out=$1 kernel=$2 init=$3 tmp applet
	shift 3
	tmp=$(mktemp -d "$out.XXXXXX")
	mkdir -p "$tmp"/{bin,dev,proc,sys,root,run,tmp} "$tmp/lib/modules"
	ln -s bin "$tmp/sbin"
	cp "$(command -v busybox)" "$tmp/bin/busybox"
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$tmp/bin/$applet"
	done
	install -m 755 "$init" "$tmp/init"
	add_modules "$kernel" "$tmp" "$@" &&
		pack_initrd "$tmp" "$out.new" && mv "$out.new" "$out" && prune '*.cpio'
	rm -rf "$tmp"
	[ -e "$out" ]
}

# cached_initrd NAME KERNEL INIT MODULE...: print the path of that initramfs in
# the cache, made again when anything that goes into it has changed.
cached_initrd()
{
	local name=$1 key out
	shift
	key=$(cat "$2" "$(dirname "${BASH_SOURCE[0]}")/lib.sh" \
		"$(command -v busybox)" - <<<"$*" | sha256sum)
	out=$cache/$name-${key::16}.cpio
	[ -e "$out" ] || with_lock initrd make_initrd "$out" "$@" || return
	echo "$out"
}
