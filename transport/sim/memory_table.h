#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "transport/provider.h"
#include "transport/sim/core.h"

namespace sluice::transport::sim {

/// What the simulated devices may touch. Every access looks here first, at the moment of the access, so that
/// memory which was deregistered meanwhile is never touched. Keys are never given twice, and those for local
/// and remote use differ, so that taking one for the other shows. Remote addresses are made up: nothing that
/// travels depends on where the process's memory lies.
class MemoryTable {
 public:
  explicit MemoryTable(Core& core) : core_(core) {}

  struct Grant {
    std::uint64_t local_key = 0;
    RemoteBuffer remote;  ///< of the first byte
  };

  Grant add(std::span<std::byte> memory, Access access, std::uint64_t domain);
  /// Harmless if it has gone already.
  void remove(std::uint64_t local_key) noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return live_; }

  /// The bytes at `offset` of what `remote` names, or null: bad key, bounds or rights, or another domain.
  [[nodiscard]] std::byte* reach(const RemoteBuffer& remote, std::uint64_t offset, std::uint64_t length,
                                 Access needed, std::uint64_t domain) const noexcept;
  /// True if `buffer` lies inside a region of that domain that has the rights.
  [[nodiscard]] bool allows(const LocalBuffer& buffer, Access needed, std::uint64_t domain) const noexcept;

 private:
  struct Entry {
    std::uint64_t key = 0;  ///< 0: gone
    std::uint64_t address = 0;
    std::span<std::byte> memory;
    Access access = Access::none;
    std::uint64_t domain = 0;
  };
  [[nodiscard]] const Entry* find(std::uint64_t key) const noexcept;

  Core& core_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::uint64_t next_address_ = 0x1000'0000;
  std::size_t live_ = 0;
};

}  // namespace sluice::transport::sim
