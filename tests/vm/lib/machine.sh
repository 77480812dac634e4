# shellcheck shell=bash
# One micro-VM: its settings, its QEMU process, and what became of it.
#
# Every machine has a control directory, shared with it: settings and parameters go in, outcome and logs come out.
#   settings, repository, expose, kernel, root_cache, paired   for guest/init and guest/session
#   output, console.log                                what the command printed; what the kernel printed
#   booted, failed, status                             written by the guest: it came up, why it couldn't, how it ended

# Exit statuses of the machinery itself; a command's own status is passed on as it is.
readonly status_no_image=120 status_no_boot=121 status_panic=122 status_died=123 status_timeout=124

# A comma separates QEMU's options; two stand for one.
qemu_escape() { printf '%s' "${1//,/,,}"; }

share_options() { # TAG DIRECTORY [EXTRA]
  printf 'local,id=%s,mount_tag=%s,security_model=none,path=%s%s' "$1" "$1" "$(qemu_escape "$2")" "${3:-}"
}

# Writes a machine's settings. Reads the caller's: repository command environment mode name rdma address peer_address
# netem wait grace_s expose.
write_settings() { # CONTROL_DIRECTORY
  declare -p repository command environment mode name rdma address peer_address netem wait grace_s >"$1/settings"
  printf '%s\n' "$repository" >"$1/repository"
  printf '%s\n' "$repository" "${expose[@]}" >"$1/expose"
  printf '%s\n' "$kernel_directory" >"$1/kernel"
  printf '%s\n' "$root_cache" >"$1/root_cache"
  [[ -z "$peer_address" ]] || touch "$1/paired"
  touch "$1/output"
}

accelerator_arguments() {
  case "${SLUICE_VM_ACCEL:-tcg}" in
    tcg) echo -accel tcg,thread=multi -cpu max ;;
    kvm)
      [[ -r /dev/kvm && -w /dev/kvm ]] || fail "$status_no_boot" "SLUICE_VM_ACCEL=kvm, but /dev/kvm can't be opened by $(id -un)"
      echo -accel kvm -cpu host
      ;;
    *) fail 2 "SLUICE_VM_ACCEL='$SLUICE_VM_ACCEL': expected tcg or kvm" ;;
  esac
}

# Sets qemu_command. The machine's QEMU dies with this shell, whichever way that ends, and after timeout_s.
compose_qemu() { # CONTROL_DIRECTORY
  local control=$1 accelerator kernel_arguments
  accelerator=$(accelerator_arguments) || exit
  # An oops must not pass for a hang or, worse, for success.
  kernel_arguments="console=ttyS0 loglevel=6 panic=-1 oops=panic mitigations=off nokaslr no_timer_check tsc=reliable"
  kernel_arguments+=" random.trust_cpu=on rcupdate.rcu_expedited=1 cryptomgr.notests hugepages=$hugepages"
  qemu_command=(
    setpriv --pdeathsig KILL -- timeout --foreground --kill-after=5 "$timeout_s"
    setpriv --pdeathsig KILL -- qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none -monitor none
  )
  # shellcheck disable=SC2206  # words
  qemu_command+=(
    -machine pc $accelerator -m "$memory_mib" -smp "$cpus"
    -kernel "$kernel_directory/vmlinux" -initrd "$initramfs" -append "$kernel_arguments"
    -chardev "file,id=console,path=$(qemu_escape "$control/console.log")" -serial chardev:console
    # Without ioeventfd a write has reached the file when the guest's system call returns.
    -device virtio-serial-pci,ioeventfd=off
    -virtfs "$(share_options control "$control")"
    -virtfs "$(share_options out "$out")"
    -virtfs "$(share_options host_root / ,readonly=on,multidevs=remap)"
  )
  if [[ "$mode" == shell ]]; then
    qemu_command+=(-chardev stdio,id=terminal,signal=off -device virtconsole,chardev=terminal)
  else
    qemu_command+=(-chardev "file,id=output,path=$(qemu_escape "$control/output")" -device virtserialport,nr=1,chardev=output)
  fi
  qemu_command+=("${qemu_extra[@]}")
}

# Prints what became of a machine whose QEMU has ended, in words on stderr unless its command simply ran, and returns
# the exit status that stands for it.
judge() { # NAME CONTROL_DIRECTORY QEMU_STATUS
  local who=$1 control=$2 qemu_status=$3 verdict words
  [[ "$keep_logs" == no ]] || save_logs "$who" "$control"
  if [[ -s "$control/status" ]]; then
    return "$(<"$control/status")"
  elif [[ "$qemu_status" == 124 || "$qemu_status" == 137 ]]; then
    verdict=$status_timeout
    words="timed out after $timeout_s s"
    [[ -e "$control/booted" ]] && words+=", with the command running" || words+=", before the command could start"
  elif grep -q 'Kernel panic' "$control/console.log" 2>/dev/null; then
    verdict=$status_panic
    words="the VM's kernel panicked: $(grep -m 1 -o 'Kernel panic.*' "$control/console.log" | tr -d '\r')"
  elif [[ -s "$control/failed" ]]; then
    verdict=$status_no_boot
    words="the VM didn't come up: $(<"$control/failed")"
  elif [[ ! -e "$control/booted" ]]; then
    verdict=$status_no_boot
    words="the VM didn't boot (QEMU ended with status $qemu_status)"
  else
    verdict=$status_died
    words="the VM went down before the command ended (QEMU ended with status $qemu_status)"
  fi
  complain "$who: $words"
  show_logs "$who" "$control"
  return "$verdict"
}

save_logs() { # NAME CONTROL_DIRECTORY
  local log
  for log in console.log qemu.log; do
    [[ ! -s "$2/$log" ]] || cp "$2/$log" "$out/$1-$log"
  done
}

show_logs() { # NAME CONTROL_DIRECTORY
  local log
  save_logs "$1" "$2"
  for log in console.log qemu.log; do
    [[ -s "$2/$log" ]] || continue
    complain "the end of $1's $log (all of it: $out/$1-$log):"
    tail -n 25 "$2/$log" | tr -d '\r' | sed 's/^/  | /' >&2
  done
}
