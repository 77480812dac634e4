#include "storage_node/backends/memory_backend.h"
#include "tests/contract/availability.h"
#include "tests/contract/backend/store.h"

namespace sluice::storage_node::contract {
namespace {

class MemoryStore final : public Store {
 public:
  std::unique_ptr<Backend> open(std::size_t reactor, std::size_t reactors) override {
    return std::make_unique<MemoryBackend>(budget_, ReactorShare{.index = reactor, .count = reactors});
  }
  [[nodiscard]] bool is_durable() const noexcept override { return false; }
  [[nodiscard]] std::size_t volume_count() const noexcept override { return 16; }
  [[nodiscard]] ByteCount volume_size() const noexcept override {
    return ByteCount(std::uint64_t{16} << 20U);
  }
  [[nodiscard]] std::uint32_t smallest_block() const noexcept override { return 512; }

 private:
  std::shared_ptr<MemoryBudget> budget_ = std::make_shared<MemoryBudget>(ByteCount(std::uint64_t{1} << 30U));
};

}  // namespace

std::unique_ptr<Store> make_store() {
  return std::make_unique<MemoryStore>();
}

}  // namespace sluice::storage_node::contract

namespace sluice::contract {

std::optional<std::string> why_unavailable() {
  return std::nullopt;
}

}  // namespace sluice::contract
