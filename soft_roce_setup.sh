#!/usr/bin/env bash
# Puts a Soft-RoCE (rdma_rxe) device on this machine, says what RDMA device is usable, and takes its own work back.
# `soft_roce_setup.sh --help` tells how.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

readonly program=soft_roce_setup.sh
readonly state_dir=/run/sluice
readonly journal="$state_dir/soft_roce.journal"
readonly own_netdev=sluice0
readonly own_address=10.77.0.1/24
# A path MTU of 4096 bytes plus rxe's headers; at the usual 1500 the path MTU falls to 1024.
readonly wanted_mtu=4200
readonly gid_timeout_s=5

usage() {
  cat <<USAGE
usage: $program up     [--netdev DEV] [--address CIDR]
       $program down   [--netdev DEV]
       $program status [--netdev DEV] [--address CIDR]

up      Makes a Soft-RoCE device usable and prints the GID that rdma_cm will use. Needs root. Safe to repeat.
          --netdev DEV    put it on this Ethernet-like device, and raise its MTU to $wanted_mtu if it is lower
          --address CIDR  IPv4 address with its prefix length, e.g. 10.77.0.1/24; added to the device if it isn't there
        Without --netdev: the device that has the address, else one that has a Soft-RoCE link already, else
        a new dummy device $own_netdev with $own_address. No device of yours is altered unless you name it or its address.
down    Undoes what 'up' made or changed, and nothing else; loaded modules stay loaded. Needs root.
status  Exits 0 if a RoCE device is usable (Soft-RoCE or a real one): an active port, a RoCEv2 GID with an IP address,
        and /dev/infiniband/uverbs* and rdma_cm that this user can open. Exits 1 otherwise, and says why.

Exit status: 0 done or usable, 1 failed or not usable, 2 bad arguments.
USAGE
}

say() { printf '%s\n' "$*"; }
complain() { printf '%s: %s\n' "$program" "$*" >&2; }
fail() {
  complain "$*"
  exit 1
}
bad_arguments() {
  complain "$*"
  complain "see '$program --help'"
  exit 2
}

# --- arguments ---------------------------------------------------------------------------------------------------

command=
netdev=
address=
# What check_port found out about a port.
problem=
gid=

check_netdev_name() {
  [[ "$1" =~ ^[^/:[:space:]]{1,15}$ && "$1" != . && "$1" != .. ]] ||
    bad_arguments "--netdev '$1' can't be the name of a network device"
}

check_cidr() {
  local octet
  [[ "$1" =~ ^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})/([0-9]{1,2})$ ]] ||
    bad_arguments "--address '$1' isn't an IPv4 address with a prefix length, such as $own_address"
  for octet in "${BASH_REMATCH[@]:1:4}"; do
    ((10#$octet <= 255)) || bad_arguments "--address '$1': $octet is more than 255"
  done
  ((10#${BASH_REMATCH[5]} >= 1 && 10#${BASH_REMATCH[5]} <= 32)) ||
    bad_arguments "--address '$1': the prefix length must be 1 to 32"
}

parse_arguments() {
  while (($#)); do
    case "$1" in
      -h | --help)
        usage
        exit 0
        ;;
      --netdev | --address)
        (($# >= 2)) || bad_arguments "$1 needs a value"
        if [[ "$1" == --netdev ]]; then netdev=$2; else address=$2; fi
        [[ -n "$2" ]] || bad_arguments "$1 needs a value"
        shift
        ;;
      -*) bad_arguments "unknown option '$1'" ;;
      up | down | status)
        [[ -z "$command" ]] || bad_arguments "one command only: '$command' or '$1'"
        command=$1
        ;;
      *) bad_arguments "unknown command '$1': expected up, down or status" ;;
    esac
    shift
  done
  [[ -n "$command" ]] || bad_arguments "no command: expected up, down or status"
  [[ -z "$netdev" ]] || check_netdev_name "$netdev"
  [[ -z "$address" ]] || check_cidr "$address"
  [[ "$command" != down || -z "$address" ]] || bad_arguments "'down' takes no --address: it undoes what 'up' recorded"
}

# --- what the machine has ----------------------------------------------------------------------------------------

# Reads one line of a file of sysfs into a variable; fails, and leaves it empty, where there is nothing to read. Starts no
# process.
read_line() { # VARIABLE FILE
  IFS= read -r "$1" 2>/dev/null <"$2" || [[ -n "${!1}" ]]
} 2>/dev/null

netdev_exists() { [[ -e "/sys/class/net/$1" ]]; }

# The device that carries an IPv4 address ("10.77.0.1/24"), if any.
netdev_of_address() {
  ip -o -4 addr show to "${1%/*}/32" | awk '$2 != "lo" { print $2; exit }'
}

first_address_of() {
  ip -o -4 addr show dev "$1" scope global | awk '{ print $4; exit }'
}

# RDMA devices on a network device; on any if no name is given.
rdma_devices_on() {
  local entry
  for entry in /sys/class/infiniband/*; do
    [[ -e "$entry" ]] || continue
    if [[ -z "$1" ]] || grep -qxF -- "$1" "$entry"/ports/*/gid_attrs/ndevs/* 2>/dev/null; then echo "${entry##*/}"; fi
  done
}

# The rxe link on a network device. sysfs names the parent even while the port is down and has no GID.
rxe_link_on() {
  local entry parent
  for entry in /sys/class/infiniband/*; do
    if read_line parent "$entry/parent" && [[ "$parent" == "$1" ]]; then
      echo "${entry##*/}"
      return
    fi
  done
}

# Sets gid_ip: "0000:0000:0000:0000:0000:ffff:0a4d:0001" -> "10.77.0.1"; fails if the GID isn't an IPv4-mapped one.
ipv4_of_gid() {
  local high low
  [[ "$1" == 0000:0000:0000:0000:0000:ffff:* ]] || return 1
  high=$((16#${1:30:4}))
  low=$((16#${1:35:4}))
  gid_ip="$((high >> 8)).$((high & 255)).$((low >> 8)).$((low & 255))"
}

# Finds the first RoCEv2 GID with an IP address on a port and sets gid_index, gid, gid_ip and gid_netdev.
# An IPv4-mapped GID goes before a routable IPv6 one; with $2 only that IPv4 address will do.
find_rocev2_gid() {
  local port=$1 wanted_ip=$2 entry index candidate ipv6_index=''
  # One grep over the table of 1024; the type of an empty entry can't even be read.
  for entry in $(grep -slxF 'RoCE v2' "$port"/gid_attrs/types/* | sort -V); do
    index=${entry##*/}
    read_line candidate "$port/gids/$index" || continue
    if ipv4_of_gid "$candidate"; then
      [[ -z "$wanted_ip" || "$gid_ip" == "$wanted_ip" ]] || continue
      take_gid "$port" "$index"
      return
    fi
    [[ -n "$ipv6_index" || "$candidate" == fe80:* ]] || ipv6_index=$index
  done
  [[ -n "$ipv6_index" && -z "$wanted_ip" ]] || return 1
  take_gid "$port" "$ipv6_index"
}

take_gid() { # PORT INDEX
  gid_index=$2
  read_line gid "$1/gids/$2"
  read_line gid_netdev "$1/gid_attrs/ndevs/$2" || gid_netdev=unknown
  ipv4_of_gid "$gid" || gid_ip=$gid
}

# Sets uverbs_node to a device's node, or to nothing.
find_uverbs_node() {
  local entry device
  uverbs_node=
  for entry in /sys/class/infiniband_verbs/uverbs*; do
    if read_line device "$entry/ibdev" && [[ "$device" == "$1" ]]; then uverbs_node=/dev/infiniband/${entry##*/}; fi
  done
}

# --- status ------------------------------------------------------------------------------------------------------

# Sets problem to why a device node can't be used, if it can't.
check_node() {
  if [[ ! -c "$1" ]]; then
    problem="$1 is missing"
  elif [[ ! -r "$1" || ! -w "$1" ]]; then
    problem="$1 can't be opened by user $(id -un)"
  fi
}

# Sets problem to why a port can't be used, or to nothing; then gid... and uverbs_node describe it.
check_port() { # DEVICE PORT_DIRECTORY WANTED_IP
  local layer state
  problem=
  read_line layer "$2/link_layer" || true
  read_line state "$2/state" || true
  find_uverbs_node "$1"
  if [[ "$layer" != Ethernet ]]; then
    problem="link layer is $layer, not Ethernet"
  elif [[ "$state" != *ACTIVE* ]]; then
    problem="port state is ${state#*: }"
  elif ! find_rocev2_gid "$2" "$3"; then
    problem="it has no RoCEv2 GID with ${3:-an IP address}"
  elif [[ -z "$uverbs_node" ]]; then
    problem="it has no uverbs node: the module ib_uverbs isn't loaded"
  else
    check_node "$uverbs_node"
    [[ -n "$problem" ]] || check_node /dev/infiniband/rdma_cm
  fi
  [[ -z "$problem" ]]
}

# Says of each port of a device whether it is usable; succeeds if one is.
report_device() { # DEVICE WANTED_IP
  local port number mtu result=1
  for port in /sys/class/infiniband/"$1"/ports/*; do
    number=${port##*/}
    if check_port "$1" "$port" "$2"; then
      result=0
      read_line mtu "/sys/class/net/$gid_netdev/mtu" || mtu=unknown
      say "$1 port $number: usable: ACTIVE on $gid_netdev (MTU $mtu), $uverbs_node"
      say "  rdma_cm uses GID index $gid_index, type RoCEv2: $gid ($gid_ip)"
    else
      say "$1 port $number: not usable: $problem"
    fi
  done
  return $result
}

status() {
  local device found='' usable=1
  for device in $(rdma_devices_on "$netdev"); do
    found=1
    if report_device "$device" "${address%/*}"; then usable=0; fi
  done
  if [[ -z "$found" ]]; then
    say "no RDMA device${netdev:+ on $netdev}: '$program up' adds one where the kernel has rdma_rxe;" \
      "'./dev vm' runs a kernel that has it"
  fi
  return $usable
}

# --- up ----------------------------------------------------------------------------------------------------------

require_root() {
  ((EUID == 0)) || fail "'$command' changes network devices and needs root: run it with sudo (you are $(id -un))"
}

require_tools() {
  local tool missing=()
  for tool in ip:iproute2 rdma:iproute2 modprobe:kmod; do
    command -v "${tool%:*}" >/dev/null || missing+=("'${tool%:*}' (package ${tool#*:})")
  done
  ((${#missing[@]} == 0)) || fail "tools missing: ${missing[*]}"
}

module_is_there() { [[ -e "/sys/module/$1" ]] || modprobe --quiet "$1" 2>/dev/null; }

load_modules() {
  local module missing=()
  # All in one go first. Kernels from 6.15 on compute rxe's CRC32 without crc32_generic; where it's needed and missing,
  # adding the link tells.
  modprobe --quiet --all crc32_generic rdma_rxe ib_uverbs rdma_ucm 2>/dev/null || true
  for module in rdma_rxe ib_uverbs rdma_cm rdma_ucm; do
    module_is_there "$module" || missing+=("$module")
  done
  ((${#missing[@]} == 0)) && return
  complain "kernel $(uname -r) lacks the modules that Soft-RoCE needs: ${missing[*]}"
  if [[ ! -d "/lib/modules/$(uname -r)" && ! " ${MODPROBE_OPTIONS:-} " == *" -d "* ]]; then
    complain "  no modules are installed for this kernel (no directory /lib/modules/$(uname -r))"
  fi
  complain "  a kernel with CONFIG_RDMA_RXE=m has them, such as Debian's linux-image-amd64 (the cloud flavour doesn't)"
  complain "  to use Soft-RoCE without changing this machine's kernel, run it in a micro-VM: ./dev vm"
  exit 1
}

record() { printf '%s\n' "$*" >>"$journal"; }

make_own_netdev() {
  local holder
  if ! netdev_exists "$own_netdev"; then
    holder=$(ip -o -4 addr show to "$address" | awk '{ print $2 " has " $4; exit }')
    [[ -z "$holder" ]] || fail "$holder, in the network of $address: choose another with --address CIDR"
    module_is_there dummy || fail "kernel $(uname -r) lacks the module dummy: name an Ethernet device with --netdev DEV"
    ip link add "$own_netdev" type dummy || fail "can't make the dummy device $own_netdev"
    record netdev "$own_netdev"
    say "made the dummy device $own_netdev"
  fi
}

# Sets $netdev.
pick_netdev() {
  local device kind
  if [[ -z "$netdev" && -n "$address" ]]; then
    netdev=$(netdev_of_address "$address")
  elif [[ -z "$netdev" ]]; then
    for device in /sys/class/infiniband/*; do
      if read_line netdev "$device/parent"; then break; fi
    done
  fi
  if [[ -z "$netdev" ]]; then
    netdev=$own_netdev
    address=${address:-$own_address}
    make_own_netdev
  fi
  netdev_exists "$netdev" || fail "no network device '$netdev'; this machine has: $(cd /sys/class/net && echo *)"
  [[ "$netdev" != lo ]] || fail "lo can't carry Soft-RoCE (it gets no GID): leave --netdev out, and a dummy device is made"
  read_line kind "/sys/class/net/$netdev/type"
  [[ "$kind" == 1 ]] || fail "$netdev isn't an Ethernet-like device"
}

raise_mtu() {
  local mtu
  read_line mtu "/sys/class/net/$netdev/mtu"
  ((mtu < wanted_mtu)) || return 0
  if ip link set "$netdev" mtu "$wanted_mtu" 2>/dev/null; then
    record mtu "$netdev" "$mtu"
    say "raised the MTU of $netdev from $mtu to $wanted_mtu"
  else
    complain "warning: $netdev takes no MTU of $wanted_mtu and stays at $mtu: the path MTU will be below 4096"
  fi
}

bring_up() {
  local flags
  read_line flags "/sys/class/net/$netdev/flags"
  ((flags & 1)) && return
  ip link set "$netdev" up || fail "can't bring $netdev up"
  record up "$netdev"
}

give_address() {
  local present
  present=$(first_address_of "$netdev")
  if [[ -z "$address" ]]; then
    [[ -n "$present" ]] || fail "$netdev has no IPv4 address and so gets no RoCEv2 GID: give one with --address CIDR"
    address=$present
  elif [[ "$(netdev_of_address "$address")" != "$netdev" ]]; then
    ip addr add "$address" dev "$netdev" || fail "can't add the address $address to $netdev"
    record address "$netdev" "$address"
    say "added the address $address to $netdev"
  fi
}

add_rxe_link() {
  local link number=0 error
  [[ -z "$(rxe_link_on "$netdev")" ]] || return 0
  while [[ -e "/sys/class/infiniband/rxe$number" ]]; do number=$((number + 1)); done
  link=rxe$number
  if ! error=$(rdma link add "$link" type rxe netdev "$netdev" 2>&1); then
    complain "can't add the Soft-RoCE link $link on $netdev: $error"
    if ! grep -q '^name *: crc32$' /proc/crypto && ! module_is_there crc32_generic; then
      complain "  kernel $(uname -r) has no crc32 in its crypto API: the module crc32_generic is missing"
    fi
    if [[ "$(readlink /proc/self/ns/net)" != "$(readlink /proc/1/ns/net)" ]]; then
      complain "  this isn't the initial network namespace, the only one where Soft-RoCE works"
    fi
    complain "  './dev vm' runs Soft-RoCE in a micro-VM"
    exit 1
  fi
  record link "$netdev" "$link"
  say "added the Soft-RoCE link $link on $netdev"
}

# The kernel makes the GID and the device nodes a moment after the address and the link are there.
wait_until_usable() {
  local link deadline=$((SECONDS + gid_timeout_s))
  link=$(rxe_link_on "$netdev")
  until check_port "$link" "/sys/class/infiniband/$link/ports/1" "${address%/*}"; do
    ((SECONDS < deadline)) || fail "$link didn't become usable within $gid_timeout_s s: $problem"
    sleep 0.05
  done
  report_device "$link" "${address%/*}"
}

up() {
  local before
  require_root
  require_tools
  load_modules
  take_lock
  before=$(journal_length)
  # A failure half-way leaves nothing behind; what earlier calls made stays.
  trap 'undo_after "$before"' EXIT
  pick_netdev
  raise_mtu
  bring_up
  give_address
  add_rxe_link
  wait_until_usable
  trap - EXIT
}

# --- down --------------------------------------------------------------------------------------------------------

take_lock() {
  mkdir -p "$state_dir"
  exec 9>"$state_dir/soft_roce.lock"
  flock --timeout 60 9 || fail "another $program has been running for a minute: $state_dir/soft_roce.lock is held"
}

journal_length() { if [[ -e "$journal" ]]; then wc -l <"$journal"; else echo 0; fi; }

# Undoes one line of the journal. What somebody else removed or changed in the meantime is left as it is.
undo() {
  local kind=$1 device=$2 value=$3 mtu
  case "$kind" in
    link)
      [[ "$(rxe_link_on "$device")" == "$value" ]] || return 0
      rdma link delete "$value" && say "removed the Soft-RoCE link $value"
      ;;
    address)
      [[ "$(netdev_of_address "$value")" == "$device" ]] || return 0
      ip addr del "$value" dev "$device" && say "removed the address $value from $device"
      ;;
    up)
      ! netdev_exists "$device" || ip link set "$device" down
      ;;
    mtu)
      { read_line mtu "/sys/class/net/$device/mtu" && [[ "$mtu" == "$wanted_mtu" ]]; } || return 0
      ip link set "$device" mtu "$value" && say "set the MTU of $device back to $value"
      ;;
    netdev)
      ! netdev_exists "$device" || { ip link delete "$device" && say "removed the dummy device $device"; }
      ;;
  esac
}

# Undoes, last first, the journal's lines after the first $1, of device $2 if it is given. What can't be undone stays
# in the journal, for another try.
undo_after() {
  local keep=$1 only=${2:-} index line kind device value failed=0
  local lines=() kept=()
  [[ -e "$journal" ]] || return 0
  mapfile -t lines <"$journal"
  for ((index = ${#lines[@]} - 1; index >= keep; --index)); do
    line=${lines[index]}
    read -r kind device value <<<"$line"
    if [[ -n "$only" && "$device" != "$only" ]]; then
      kept=("$line" "${kept[@]}")
    elif ! undo "$kind" "$device" "$value"; then
      complain "couldn't undo: $line"
      kept=("$line" "${kept[@]}")
      failed=1
    fi
  done
  kept=("${lines[@]:0:keep}" "${kept[@]}")
  if ((${#kept[@]})); then printf '%s\n' "${kept[@]}" >"$journal"; else rm -f "$journal"; fi
  return $failed
}

down() {
  require_root
  if [[ ! -e "$journal" ]]; then
    say "nothing to undo: '$program up' has changed nothing since this machine started"
    return
  fi
  require_tools
  take_lock
  undo_after 0 "$netdev"
}

parse_arguments "$@"
"$command"
