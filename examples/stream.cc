// Keeps a queue of reads going over the start of a volume, in registered memory, and says how fast that was.
//
//     stream MASTER VOLUME        e.g.  stream 127.0.0.1:7000 db
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <vector>

#include "client/block_client.h"

namespace {

using sluice::Status;
using sluice::StatusCode;
using sluice::client::BlockClient;
using sluice::client::BlockClientConfig;
using sluice::client::Completion;

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kDepth = 16;
constexpr std::uint64_t kMostReads = 4096;

/// Reads `count` times `kReadBytes` from the start, up to `kDepth` at a time: the tag of each is its buffer.
Status stream(BlockClient& client, std::uint64_t count, std::span<std::byte> memory) {
  std::uint64_t next = 0;
  const auto submit = [&](std::uint64_t buffer) {
    const std::uint64_t offset = next++ * kReadBytes;
    return client.submit_read(buffer, offset, memory.subspan(buffer * kReadBytes, kReadBytes));
  };
  for (std::uint64_t buffer = 0; buffer < kDepth && next < count; ++buffer) {
    if (const StatusCode code = submit(buffer); code != StatusCode::ok) return sluice::fail(code);
  }
  std::array<Completion, kDepth> done;
  for (std::uint64_t finished = 0; finished < count;) {
    const std::size_t taken = client.poll(done, std::chrono::seconds(1));
    for (const Completion& completion : std::span(done).first(taken)) {
      if (completion.status != StatusCode::ok) return sluice::fail(completion.status);
      ++finished;
      if (next == count) continue;
      if (const StatusCode code = submit(completion.tag); code != StatusCode::ok) return sluice::fail(code);
    }
  }
  return {};
}

Status run(const BlockClientConfig& config) {
  std::vector<std::byte> memory(kDepth * kReadBytes);  // outlives the client that it is registered with
  auto client = BlockClient::open(config);
  if (!client) return tl::unexpected(client.error());
  if (auto status = (*client)->register_memory(memory); !status) return status;

  const std::uint64_t count = std::min(kMostReads, (*client)->info().size_bytes / kReadBytes);
  const auto begin = std::chrono::steady_clock::now();
  if (auto status = stream(**client, count, memory); !status) return status;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const double mib = static_cast<double>(count * kReadBytes) / (1024 * 1024);
  std::printf("read %.0f MiB at %.0f MiB/s\n", mib, mib / took.count());
  return (*client)->close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: stream MASTER VOLUME\n");
    return 2;
  }
  auto master = sluice::transport::parse_address(argv[1]);
  if (!master) {
    std::fprintf(stderr, "stream: %s\n", master.error().describe().c_str());
    return 2;
  }
  BlockClientConfig config;
  config.masters.push_back(*master);
  config.volume = argv[2];
  const Status status = run(config);
  if (!status) std::fprintf(stderr, "stream: %s\n", status.error().describe().c_str());
  return status ? 0 : 1;
}
