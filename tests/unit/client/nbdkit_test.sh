#!/usr/bin/env bash
# Stock NBD clients on a volume through nbdkit: nbdinfo, nbdcopy both ways, qemu-io with FUA, zeroes and discards.
#
#   nbdkit_test.sh SMALL_SERVER PLUGIN
set -euo pipefail

server=$1
plugin=$2
for tool in nbdkit nbdinfo nbdcopy qemu-io qemu-img; do
  command -v "$tool" >/dev/null || { echo "SKIP: $tool isn't installed"; exit 77; }
done

work=$(mktemp -d)
coproc SERVER { exec "$server" $((64 * 1024 * 1024)); }
server_pid=$SERVER_PID
finish() {
  [ ! -f "$work/nbdkit.pid" ] || kill "$(cat "$work/nbdkit.pid")" 2>/dev/null || true
  kill "$server_pid" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
read -r master <&"${SERVER[0]}"

serve() { # OPTION...: nbdkit in the background, as it runs in production
  nbdkit --pidfile "$work/nbdkit.pid" --unix "$work/socket" "$plugin" db master="$master" provider=ofi \
    local=127.0.0.1 polling=event "$@"
}
stop() {
  local pid
  pid=$(cat "$work/nbdkit.pid")
  kill "$pid"
  for ((i = 0; i < 200; i++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  if kill -0 "$pid" 2>/dev/null; then echo "nbdkit doesn't end" >&2; exit 1; fi
  rm -f "$work/nbdkit.pid" "$work/socket"
}
uri="nbd+unix:///?socket=$work/socket"

serve
info=$(nbdinfo "$uri")
echo "$info"
for line in "export-size: 67108864" "can_flush: true" "can_fua: true" "can_multi_conn: true" "can_trim: true" \
  "can_zero: true" "is_read_only: false" "block_size_minimum: 4096"; do
  grep -q "$line" <<<"$info" || { echo "nbdinfo doesn't say \"$line\"" >&2; exit 1; }
done

head -c $((64 * 1024 * 1024)) /dev/urandom >"$work/image"
nbdcopy --flush "$work/image" "$uri"
nbdcopy "$uri" "$work/copy"
cmp "$work/image" "$work/copy"
qemu-img compare -f raw -F raw "$work/image" "$uri"

qemu-io -f raw -c 'write -P 0x5a -f 1M 300k' -c 'write -z 1M 64k' -c 'discard 2M 1M' -c 'flush' \
  -c 'read -P 0 1M 64k' -c 'read -P 0x5a 1088k 236k' "$uri" | tee "$work/qemu-io.log"
if grep -qi 'fail\|error' "$work/qemu-io.log"; then exit 1; fi
stop

# The volume was given up: it opens again without steal, and read-only means it.
serve read-only=true
nbdinfo "$uri" | grep -q 'is_read_only: true'
stop

# What can't be opened is told, and nbdkit doesn't serve it.
if serve --foreground client=another volume=nowhere open-timeout=2 2>"$work/errors"; then
  echo "nbdkit serves a volume that isn't there" >&2
  exit 1
fi
grep -q 'not_found' "$work/errors" || { cat "$work/errors" >&2; exit 1; }
