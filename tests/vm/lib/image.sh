# shellcheck shell=bash
# The micro-VM's kernel, modules and initramfs, kept in a cache directory. Nothing of it is installed.
#
#   $cache/<package>_<version>/vmlinux             the kernel, uncompressed: emulated, xz takes four seconds of each boot
#   $cache/<package>_<version>/vmlinuz             the same as it comes, for a boot loader
#   $cache/<package>_<version>/lib/modules/...     its modules, with depmod's indexes
#   $cache/<package>_<version>/initramfs-<digest>  busybox, guest/init and the modules that mounting the root takes
#   $cache/current -> <package>_<version>

readonly kernel_metapackage=linux-image-amd64
# What the initramfs needs to reach the host's root; every other module is loaded from there when it is asked for.
readonly boot_modules=(virtio_pci 9p 9pnet_virtio virtio_console configfs)
# Drivers that no virtual machine here has a use for: two thirds of the package's size.
readonly unused_modules=(sound drivers/gpu drivers/media drivers/net/wireless drivers/staging drivers/iio)

# Runs a command as root if there is a way without asking for a password.
as_root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

# "linux-image-6.1.0-1-amd64 6.1.1-1": the package and version that the metapackage stands for; fails if apt has none.
wanted_kernel() {
  apt-cache show --no-all-versions "$kernel_metapackage" 2>/dev/null |
    sed -nE 's/^Depends: (linux-image-[^ ,]+-amd64) \(= ([^)]+)\).*/\1 \2/p' | grep -m 1 .
}

refresh_package_lists() {
  say "refreshing the package lists (apt-get update)"
  as_root apt-get -q update >&2 || return 1
}

download_kernel() { # PACKAGE VERSION DIRECTORY
  local options=()
  # apt's own download user can't write here; the package's signature chain is checked all the same.
  ((EUID != 0)) || options=(-o APT::Sandbox::User=root)
  say "downloading $1 $2, about 70 MB: the kernel of the micro-VM, unpacked in $cache, not installed"
  (cd "$3" && apt-get -q "${options[@]}" download "$1=$2") >&2
}

# The digest of everything that the initramfs is made of.
initramfs_digest() {
  { cat "$vm_directory/guest/init" "$vm_directory/lib/image.sh" && sha256sum <"$(busybox_path)"; } | sha256sum | cut -c 1-16
}

busybox_path() { command -v busybox; }

build_initramfs() { # KERNEL_DIRECTORY OUTPUT
  local kernel=$1 output=$2 work version path
  version=$(kernel_version "$kernel")
  work=$(mktemp -d "$cache/.initramfs.XXXXXX")
  mkdir -p "$work"/{bin,modules}
  cp "$(busybox_path)" "$work/bin/busybox"
  install -m 755 "$vm_directory/guest/init" "$work/init"
  local module
  for module in "${boot_modules[@]}"; do
    modprobe -d "$kernel" -S "$version" --show-depends "$module" || return 1
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/paths"
  [[ -s "$work/paths" ]] || return 1
  while read -r path; do
    cp "$path" "$work/modules/"
    basename "$path"
  done <"$work/paths" >"$work/modules/load_order"
  rm "$work/paths"
  (cd "$work" && find . | busybox cpio -o -H newc -R 0:0 2>/dev/null) >"$output.new"
  mv "$output.new" "$output"
  rm -rf "$work"
}

kernel_version() { # KERNEL_DIRECTORY
  local directory
  directory=$(echo "$1"/lib/modules/*)
  echo "${directory##*/}"
}

# Prints the ELF image that a bzImage carries. The fields are those of the kernel's boot protocol
# (Documentation/x86/boot.rst): setup_sects at 0x1f1, payload_offset at 0x248, payload_length at 0x24c.
uncompress_kernel() { # BZIMAGE
  local setup_sectors offset length decompress
  setup_sectors=$(od -An -t u1 -j $((0x1f1)) -N 1 "$1")
  offset=$(od -An -t u4 -j $((0x248)) -N 4 "$1")
  length=$(od -An -t u4 -j $((0x24c)) -N 4 "$1")
  offset=$(((setup_sectors + 1) * 512 + offset))
  case "$(od -An -t x1 -j $offset -N 4 "$1")" in
    ' fd 37 7a 58') decompress=(xz -dc --single-stream) ;;
    ' 28 b5 2f fd') decompress=(zstd -dcq) ;;
    ' 1f 8b '*) decompress=(gzip -dcq) ;;
    *) return 1 ;;
  esac
  # The payload's last four bytes are its size, not data.
  dd if="$1" iflag=skip_bytes,count_bytes bs=1M skip=$offset count=$((length - 4)) status=none | "${decompress[@]}"
}

install_kernel() { # PACKAGE VERSION
  local work version target="$cache/$1_$2"
  [[ -e "$target/vmlinuz" ]] && return
  work=$(mktemp -d "$cache/.kernel.XXXXXX")
  if ! download_kernel "$1" "$2" "$work"; then
    # The mirrors drop a version when the next one comes out.
    rm -rf "$work"
    return 1
  fi
  dpkg -x "$work"/*.deb "$work/unpacked"
  version=$(kernel_version "$work/unpacked")
  mkdir "$work/kernel"
  mv "$work/unpacked/lib" "$work/kernel/lib"
  uncompress_kernel "$work/unpacked/boot/vmlinuz-$version" >"$work/kernel/vmlinux" ||
    fail 120 "can't uncompress the kernel of $1 $2"
  mv "$work/unpacked/boot/config-$version" "$work/kernel/config"
  mv "$work/unpacked/boot/vmlinuz-$version" "$work/kernel/vmlinuz"
  (cd "$work/kernel/lib/modules/$version/kernel" && rm -rf "${unused_modules[@]}")
  depmod -b "$work/kernel" "$version"
  if [[ -e "$target" ]]; then
    # Unpacked when the kernel as it comes wasn't kept yet. Machines may be running from the rest.
    mv "$work/kernel/vmlinuz" "$target/vmlinuz"
  else
    mv "$work/kernel" "$target"
  fi
  rm -rf "$work"
}

# Brings the cache up to date with the package lists. Without a network an older kernel that is there will do.
prepare_image() {
  local kernel
  mkdir -p "$cache"
  exec {lock}>"$cache/lock"
  flock --timeout 900 "$lock" || fail 120 "another process has been preparing $cache for 15 minutes"
  # Left by a process that was killed: we hold the lock, so nobody works in them.
  rm -rf "$cache"/.kernel.* "$cache"/.initramfs.*
  kernel=$(wanted_kernel) || { refresh_package_lists && kernel=$(wanted_kernel); } || true
  # shellcheck disable=SC2086  # two words
  if [[ -n "$kernel" ]] && install_kernel $kernel; then
    switch_current "${kernel/ /_}"
  elif refresh_package_lists && kernel=$(wanted_kernel) && install_kernel $kernel; then
    switch_current "${kernel/ /_}"
  elif [[ -e "$cache/current/vmlinux" ]]; then
    complain "can't look for a newer kernel; staying with $(readlink "$cache/current")"
  else
    fail 120 "can't get the kernel for the micro-VM: apt knows no package behind $kernel_metapackage that can be downloaded;" \
      "check the network and run 'apt-get update', then repeat"
  fi
  prepare_initramfs
  remove_unused
  exec {lock}>&-
}

switch_current() { # NAME
  ln -sfn "$1" "$cache/.current.new"
  mv -T "$cache/.current.new" "$cache/current"
}

prepare_initramfs() {
  kernel_directory=$(readlink -f "$cache/current")
  initramfs="$kernel_directory/initramfs-$(initramfs_digest)"
  [[ -e "$initramfs" ]] || build_initramfs "$kernel_directory" "$initramfs" ||
    fail 120 "can't build the initramfs from $kernel_directory"
  touch "$kernel_directory" "$initramfs"
}

# Removes what nobody has used for a week; another checkout may be about to boot anything younger.
remove_unused() {
  find "$cache" -mindepth 1 -maxdepth 1 -type d -name 'linux-image-*' -mtime +7 -exec rm -rf {} +
  find "$cache" -mindepth 2 -maxdepth 2 -type f -name 'initramfs-*' -mtime +7 -delete
}

# Sets kernel_directory and initramfs; makes them if they aren't there. No look at the network otherwise: which kernel
# is run changes with `vm prepare` only.
require_image() {
  if [[ -e "$cache/current/vmlinux" ]]; then
    exec {lock}>"$cache/lock"
    flock --timeout 900 "$lock" || fail 120 "another process has been preparing $cache for 15 minutes"
    prepare_initramfs
    exec {lock}>&-
  else
    prepare_image
  fi
}

# What must be on the host; every missing tool is named, with the package that has it.
require_host_tools() {
  local entry missing=() packages=()
  for entry in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static depmod:kmod dpkg:dpkg setpriv:util-linux \
    flock:util-linux xz:xz-utils ip:iproute2 rdma:iproute2; do
    command -v "${entry%:*}" >/dev/null && continue
    missing+=("${entry%:*}")
    packages+=("${entry#*:}")
  done
  if ((${#missing[@]} == 0)) && LC_ALL=C ldd "$(busybox_path)" >/dev/null 2>&1; then
    missing=("a static busybox")
    packages=(busybox-static)
  fi
  ((${#missing[@]} == 0)) ||
    fail 120 "the micro-VM needs ${missing[*]}: run './dev setup', or apt-get install ${packages[*]}"
}
