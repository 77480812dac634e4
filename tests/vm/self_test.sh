#!/usr/bin/env bash
# self_test.sh CASE: one test of the micro-VM tooling or of soft_roce_setup.sh. ctest runs them all.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm="$here/vm"
setup="$here/../../soft_roce_setup.sh"
readonly skipped=77

out=$(mktemp -d "${TMPDIR:-/tmp}/sluice-vm-test.XXXXXX")
trap 'rm -rf "$out"' EXIT

# Runs a command; sets status and output (and shows it: ctest keeps it for a failure).
capture() {
  status=0
  output=$("$@" 2>&1) || status=$?
  printf '%s\n' "$output"
}

expect_status() { [[ $status == "$1" ]] || { echo "FAILED: exit status $status, expected $1" && exit 1; }; }
expect_words() { [[ "$output" == *"$1"* ]] || { echo "FAILED: the output lacks '$1'" && exit 1; }; }
expect_no_words() { [[ "$output" != *"$1"* ]] || { echo "FAILED: the output has '$1'" && exit 1; }; }

# --- cases --------------------------------------------------------------------------------------------------------

prepare() { "$vm" prepare; }

soft_roce() { "$vm" run --share "$out" --no-rdma -- tests/vm/guest/soft_roce_test; }

# A command's arguments, environment, output and results pass through as they are, and so does its status.
command() {
  # shellcheck disable=SC2016  # for the guest's shell
  capture "$vm" run --share "$out" --env 'GREETING=two words' --hugepages 8 -- bash -c '
    printf "<%s>" "$@" "$GREETING" "$PWD" "$(ulimit -l)" "$(</proc/sys/vm/nr_hugepages)"
    ./soft_roce_setup.sh status
    echo result >"$SLUICE_VM_OUT/result"
    touch never 2>/dev/null && echo "the host is writable"
    sleep 1000 &
    exit 41' _ 'a b' "it's \"quoted\"" '' '*' ':::'
  expect_status 41
  expect_words "<a b><it's \"quoted\"><><*><:::><two words><$(cd "$here/../.." && pwd)><unlimited><8>"
  expect_words "rxe0 port 1: usable"
  expect_no_words "the host is writable"
  [[ "$(<"$out/result")" == result ]] || { echo "FAILED: no result in the share" && exit 1; }
}

panic() {
  capture "$vm" run --share "$out" -- bash -c 'echo c >/proc/sysrq-trigger'
  expect_status 122
  expect_words "the VM's kernel panicked: Kernel panic"
}

timeout() {
  capture "$vm" run --share "$out" --timeout 8 -- sleep 1000
  expect_status 124
  expect_words "timed out after 8 s"
}

no_boot() {
  capture "$vm" run --share "$out" --qemu-arg -no-such-option -- true
  expect_status 121
  expect_words "the VM didn't boot"
  expect_words "no-such-option"
}

# Two machines across a link that loses, delays and reorders: it works, and the faults did hit it.
pair() {
  # shellcheck disable=SC2016
  # The datagrams are there to be dropped: losing one of rping's costs two seconds (the kernel's ACK timeout).
  capture "$vm" pair --share "$out" --netem 'loss 2% delay 1ms reorder 25% 50%' --wait-port 7174 -- \
    bash -c 'rping -s -a "$SLUICE_VM_ADDRESS" -C 10
      status=$?
      exec 3>"/dev/udp/$SLUICE_VM_PEER_ADDRESS/9"
      for _ in {1..600}; do echo >&3; done 2>/dev/null
      tc -s qdisc show dev eth0
      exit $status' ::: \
    bash -c 'rping -c -a "$SLUICE_VM_PEER_ADDRESS" -C 10 && touch "$SLUICE_VM_OUT/$SLUICE_VM"'
  expect_status 0
  [[ "$output" =~ "[vm1] "[^$'\n']*dropped\ [1-9] ]] || { echo "FAILED: netem dropped nothing" && exit 1; }
  [[ -e "$out/vm2" ]] || { echo "FAILED: nothing in the share" && exit 1; }
}

# One side's failure is the pair's, with the signal that ended it told, and doesn't leave the other running.
# shellcheck disable=SC2016
pair_failure() {
  capture "$vm" pair --share "$out" --grace 1 --timeout 120 -- sleep 1000 ::: bash -c 'kill -SEGV $$'
  expect_status 139
  expect_words "vm2: exit status 139"
  expect_words "[vm1] sluice-vm: the command is still running 1 s after"
}

bad_arguments() {
  local line
  while read -r line; do
    # shellcheck disable=SC2086  # words
    capture "$vm" $line
    expect_status 2
    expect_words "vm --help"
  done <<'LINES'

frob
run
run --timeout soon -- true
run --memory 1 -- true
run --netem loss -- true
run --share /no/such/directory -- true
run --env =value -- true
run true
pair -- true
pair -- true ::: true ::: true
shell -- true
LINES
  while read -r line; do
    # shellcheck disable=SC2086
    capture "$setup" $line
    expect_status 2
    expect_words "soft_roce_setup.sh --help"
  done <<'LINES'

frob
up down
up --frob
up --netdev
up --netdev a/b
up --address 10.0.0.1
up --address 10.0.0.300/24
up --address 10.0.0.1/33
up --address fe80::1/64
down --address 10.0.0.1/24
LINES
}

# On a machine without RDMA the set-up says what is missing. (On one that has it, it would work, and change the machine.)
host_without_rdma() {
  if /sbin/modprobe -n -q rdma_rxe 2>/dev/null; then
    echo "SKIPPED: this machine's kernel has rdma_rxe; soft_roce covers the message in the micro-VM"
    exit $skipped
  elif ((EUID != 0)); then
    echo "SKIPPED: not root; soft_roce covers the message in the micro-VM"
    exit $skipped
  fi
  capture "$setup" up
  expect_status 1
  expect_words "kernel $(uname -r) lacks the modules that Soft-RoCE needs: rdma_rxe"
  expect_words "./dev vm"
  capture "$setup" status
  expect_status 1
}

"${1:?which case?}"
