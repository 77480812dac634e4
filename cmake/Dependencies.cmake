# Everything comes from Debian 12 packages; `./dev setup` installs them.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(tl-expected REQUIRED)  # libexpected-dev

# ISA-L: CRC32C with the instructions the processor has, chosen at run time.
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)

# The master's metadata.
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)

# rdma-core and libfabric.
pkg_check_modules(VERBS REQUIRED IMPORTED_TARGET libibverbs librdmacm)
pkg_check_modules(FABRIC REQUIRED IMPORTED_TARGET libfabric)

# io_uring, for the storage node.
pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing)

# The programs: options, configuration files, logs.
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
