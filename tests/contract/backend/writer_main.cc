// A node's process as far as its backend goes: starts writes to volume 12 and says so, and then does nothing
// more.
//   contract_backend_writer file|block DIRECTORY [DEVICE...]

#include <cstdio>
#include <cstdlib>
#include <string>

#include <unistd.h>

#include "storage_node/backends/node_storage.h"
#include "tests/contract/backend/writes_of_the_dead.h"

namespace {

using sluice::ByteCount;
using sluice::Result;
namespace contract = sluice::storage_node::contract;
template <typename T>
T value_or_exit(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "contract_backend_writer: %s\n", result.error().describe().c_str());
  std::exit(EXIT_FAILURE);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return EXIT_FAILURE;
  sluice::storage_node::StorageConfig config;
  config.backend = value_or_exit(sluice::storage_node::parse_backend_kind(argv[1]));
  config.directory = argv[2];
  config.devices.assign(argv + 3, argv + argc);
  const auto storage = value_or_exit(sluice::storage_node::NodeStorage::open(config, {}));
  const auto backend = value_or_exit(storage->open_backend(0, 1));
  const auto volume = value_or_exit(backend->open(contract::kDeadVolume));

  const contract::AlignedBuffer buffer(contract::kDeadWriteBytes);
  contract::fill(buffer.bytes(), contract::kDeadSeed);
  for (std::uint32_t i = 0; i < contract::kDeadWrites; ++i) {
    volume->start({.op = sluice::protocol::IoOp::write,
                   .durable = false,
                   .offset = ByteCount(std::uint64_t{i} * contract::kDeadWriteBytes),
                   .length = contract::kDeadWriteBytes,
                   .data = buffer.bytes().data(),
                   .tag = i});
  }
  backend->submit();
  std::puts("submitted");
  std::fflush(stdout);
  for (;;)
    pause();
}
