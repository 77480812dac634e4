#!/usr/bin/env bash
# Installs the library into an empty directory, builds the examples against it with CMake and with pkg-config, and
# runs them on a volume.
#
#   package_test.sh BUILD_DIR SMALL_SERVER EXAMPLES_DIR
set -euo pipefail

build=$1
server=$2
examples=$3

work=$(mktemp -d)
coproc SERVER { exec "$server" $((16 * 1024 * 1024)); }
server_pid=$SERVER_PID
finish() {
  kill "$server_pid" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
read -r master <&"${SERVER[0]}"

prefix=$work/prefix
cmake --install "$build" --component library --prefix "$prefix" >/dev/null
libdir=$(dirname "$(find "$prefix" -name libsluice.so.0)")

run() { # PROGRAM...: both examples
  LD_LIBRARY_PATH=$libdir "$1" "$master" db
  LD_LIBRARY_PATH=$libdir "$2" "$master" db
}

echo "== CMake"
cmake -S "$examples" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Debug >/dev/null
cmake --build "$work/build" -j 2
run "$work/build/example_read_write" "$work/build/example_stream"

echo "== pkg-config"
export PKG_CONFIG_PATH=$libdir/pkgconfig
at_prefix=(--define-variable=prefix="$prefix" --define-variable=libdir="$libdir"
  --define-variable=includedir="$prefix/include")
# shellcheck disable=SC2046 # words are what these are
cc -Wall -Werror -pedantic -std=c11 "$examples/read_write.c" -o "$work/read_write" -pthread \
  $(pkg-config "${at_prefix[@]}" --cflags --libs sluice)
# shellcheck disable=SC2046
c++ -Wall -Werror "$examples/stream.cc" -o "$work/stream" $(pkg-config "${at_prefix[@]}" --cflags --libs sluice-cxx)
run "$work/read_write" "$work/stream"

echo "== symbols"
[ "$(objdump -p "$libdir/libsluice.so.0" | awk '/SONAME/ {print $2}')" = libsluice.so.0 ]
others=$(nm -D --defined-only --with-symbol-versions "$libdir/libsluice.so.0" | grep -v '@@SLUICE_' | grep -v ' A ' || true)
[ -z "$others" ] || { echo "symbols without a version: $others" >&2; exit 1; }
