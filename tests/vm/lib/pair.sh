# shellcheck shell=bash
# Two machines, their network cards wired to each other by a pair of datagram sockets.

# Splits the command at ':::' into server_command and client_command.
split_commands() {
  local word side=server
  server_command=() client_command=()
  for word in "${command[@]}"; do
    if [[ "$word" == ::: ]]; then
      [[ $side == server ]] || bad_arguments "more than one ':::'"
      side=client
    elif [[ $side == server ]]; then
      server_command+=("$word")
    else
      client_command+=("$word")
    fi
  done
  ((${#server_command[@]} && ${#client_command[@]})) ||
    bad_arguments "two commands are needed: vm pair [OPTION...] -- SERVER_COMMAND [ARG...] ::: CLIENT_COMMAND [ARG...]"
}

wire() { # OWN_NUMBER PEER_NUMBER
  local socket
  socket=$(qemu_escape "$work/wire")
  qemu_extra=(
    -virtfs "$(share_options pair "$work/pair")"
    -netdev "dgram,id=wire,local.type=unix,local.path=$socket$1,remote.type=unix,remote.path=$socket$2"
    -device "virtio-net-pci,netdev=wire,romfile=,host_mtu=4200,mac=52:54:00:77:00:0$1" "${common_extra[@]}"
  )
}

start_machine() { # NUMBER PEER_NUMBER
  local name address="10.77.0.$1/24" peer_address="10.77.0.$2/24" control
  if (($1 == 1)); then command=("${server_command[@]}"); else command=("${client_command[@]}"); fi
  wire "$1" "$2"
  prepare_machine "vm$1"
  "${qemu_command[@]}" </dev/null >"$control/qemu.log" 2>&1 &
  qemu[$1]=$!
  {
    follow "$control/output" "${qemu[$1]}" | sed --unbuffered "s/^/[vm$1] /"
    release_peer "$1"
  } &
  printer[$1]=$!
}

# A machine that went down on the way must not keep the other waiting for it.
release_peer() { # NUMBER
  [[ -e "$work/pair/vm$1.status" ]] || echo "$status_died" >"$work/pair/vm$1.status"
}

pair() {
  local number status result=0 qemu=() printer=() common_extra=("${qemu_extra[@]}")
  split_commands
  mode=run
  timeout_s=${timeout_s:-300}
  make_work_directory
  mkdir "$work/pair"
  start_machine 1 2
  start_machine 2 1
  for number in 1 2; do
    status=0
    wait "${qemu[$number]}" || status=$?
    wait "${printer[$number]}" || true
    judge "vm$number" "$work/vm$number" "$status" || {
      status=$?
      complain "vm$number: exit status $status"
      ((result)) || result=$status
    }
  done
  return $result
}
