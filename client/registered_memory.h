#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "protocol/base/status.h"
#include "runtime/reactor.h"
#include "transport/provider.h"

namespace sluice::client {

/// A stretch of memory that every rail's device may read and its peers may write: a source of writes and a
/// target of reads.
class RegisteredRange {
 public:
  RegisteredRange(std::span<std::byte> memory, std::vector<std::unique_ptr<transport::Region>> regions)
      : memory_(memory), regions_(std::move(regions)) {}

  [[nodiscard]] std::span<std::byte> memory() const noexcept { return memory_; }
  [[nodiscard]] bool contains(std::span<const std::byte> part) const noexcept;

  /// `length` bytes from `at`, as this rail's device names them.
  [[nodiscard]] transport::LocalBuffer local(runtime::Rail rail, const std::byte* at,
                                             std::uint32_t length) const noexcept;
  /// Where a peer on this rail finds `at`.
  [[nodiscard]] transport::RemoteBuffer remote(runtime::Rail rail, const std::byte* at) const noexcept;

  /// Requests that use it: it isn't deregistered before they completed.
  void use() noexcept { ++users_; }
  void let_go() noexcept { --users_; }
  [[nodiscard]] bool in_use() const noexcept { return users_ > 0; }

 private:
  [[nodiscard]] std::uint64_t offset_of(const std::byte* at) const noexcept {
    return static_cast<std::uint64_t>(at - memory_.data());
  }
  [[nodiscard]] const transport::Region& region(runtime::Rail rail) const noexcept {
    return *regions_[static_cast<std::size_t>(rail)];
  }

  std::span<std::byte> memory_;
  std::vector<std::unique_ptr<transport::Region>> regions_;  ///< one a rail
  std::uint32_t users_ = 0;
};

/// All memory that a client has registered. Looking it up doesn't allocate. One thread. Goes after the
/// connections and before the protection domains.
class RegisteredMemory {
 public:
  /// `domains`: one a rail, whose connections use the memory.
  explicit RegisteredMemory(std::vector<transport::ProtectionDomain*> domains)
      : domains_(std::move(domains)) {}

  /// Errors: invalid_argument (empty, or overlaps registered memory), out_of_memory. The memory must stay
  /// mapped until remove() or the end.
  Result<RegisteredRange*> add(std::span<std::byte> memory);
  /// Errors: not_found (nothing was registered so), busy (requests use it).
  Status remove(std::span<std::byte> memory);

  /// The range that holds all of `part`; null if none does.
  [[nodiscard]] RegisteredRange* find(std::span<const std::byte> part) const noexcept;

 private:
  std::vector<transport::ProtectionDomain*> domains_;
  std::vector<std::unique_ptr<RegisteredRange>> ranges_;  ///< by address
};

}  // namespace sluice::client
