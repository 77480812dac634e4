#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "protocol/base/units.h"
#include "storage_node/backend.h"

namespace sluice::storage_node::contract {

/// Where a backend keeps volumes: a directory, devices, memory. Fresh and empty for each test.
class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  /// A backend on it, as another start of the node would open it. The one before it is gone.
  virtual std::unique_ptr<Backend> open(std::size_t reactor, std::size_t reactors) = 0;
  std::unique_ptr<Backend> open() { return open(0, 1); }

  /// Whether volumes outlive the backend.
  [[nodiscard]] virtual bool is_durable() const noexcept = 0;
  /// Volumes it has room for; their sizes, at most.
  [[nodiscard]] virtual std::size_t volume_count() const noexcept = 0;
  [[nodiscard]] virtual ByteCount volume_size() const noexcept = 0;
  /// The smallest block it can write.
  [[nodiscard]] virtual std::uint32_t smallest_block() const noexcept = 0;
};

/// Defined once in each program.
std::unique_ptr<Store> make_store();

}  // namespace sluice::storage_node::contract
