#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "protocol/base/status.h"

namespace sluice::client {

/// When a write, discard or write of zeroes completes.
enum class Durability : std::uint8_t {
  volume_policy,  ///< write_through volumes: when durable; write_back volumes: when the node has it
  stable,         ///< when durable (FUA)
};

struct IoRequestArgs;  // the library's own

/// An open volume's calls that wait for their completion: what BlockClient and SharedClient have in common.
/// Offsets and lengths are bytes, multiples of the volume's block size. How long a call takes is up to
/// LossPolicy. Errors: as for BlockClient's submissions and completions, in words.
class BlockingIo {
 public:
  BlockingIo(const BlockingIo&) = delete;
  BlockingIo& operator=(const BlockingIo&) = delete;
  virtual ~BlockingIo();

  Status read(std::uint64_t offset, std::span<std::byte> into);
  Status write(std::uint64_t offset, std::span<const std::byte> data,
               Durability durability = Durability::volume_policy);
  Status flush();
  /// The range's content is undefined until it is written again.
  Status discard(std::uint64_t offset, std::uint64_t length,
                 Durability durability = Durability::volume_policy);
  Status write_zeroes(std::uint64_t offset, std::uint64_t length,
                      Durability durability = Durability::volume_policy);

 protected:
  BlockingIo() = default;

 private:
  virtual Status run(const IoRequestArgs& args) = 0;
};

}  // namespace sluice::client
