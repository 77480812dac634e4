#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>

#include "master/memory_metadata_store.h"
#include "tests/sim/history.h"
#include "transport/sim/random.h"

namespace sluice::sim {

enum class StoreFault : std::uint8_t {
  refused,       ///< a commit failed, and had no effect
  lost,          ///< nobody knows whether it had its effect: it hadn't
  unheard,       ///< nobody knows: it had
  crash_before,  ///< the master dies before a commit
  crash_after,   ///< and after it, before anybody is answered
  unreadable,    ///< the manager version can't be read
  restored,      ///< an old copy was put back
};
inline constexpr std::size_t kStoreFaults = static_cast<std::size_t>(StoreFault::restored) + 1;
inline constexpr std::size_t kRandomStoreFaults = static_cast<std::size_t>(StoreFault::restored);
[[nodiscard]] std::string_view to_string(StoreFault fault) noexcept;

/// What several masters share, and what outlives them.
class StoreMedium {
 public:
  using Contents = master::MemoryMetadataStore::Contents;

  StoreMedium(std::uint64_t seed, History& history) : random_(seed), history_(history) {}

  void set_rate(StoreFault fault, std::uint32_t ppm) noexcept {
    rates_ppm_[static_cast<std::size_t>(fault)] = ppm;
  }
  void strike_next(StoreFault fault) noexcept { ++next_strikes_[static_cast<std::size_t>(fault)]; }
  void calm() noexcept;
  [[nodiscard]] std::uint64_t count(StoreFault fault) const noexcept {
    return counts_[static_cast<std::size_t>(fault)];
  }

  [[nodiscard]] const Contents& contents() const noexcept { return shared_.contents(); }
  /// Puts an old copy back.
  void restore(const Contents& copy);

 private:
  friend class SimStore;
  bool strikes(StoreFault fault);

  transport::sim::Random random_;
  History& history_;
  master::MemoryMetadataStore shared_;
  std::array<std::uint32_t, kRandomStoreFaults> rates_ppm_{};
  std::array<std::uint32_t, kRandomStoreFaults> next_strikes_{};
  std::array<std::uint64_t, kStoreFaults> counts_{};
};

/// One master's way to the store.
class SimStore final : public master::MetadataStore {
 public:
  /// `crash`: kills the master's process, at once.
  SimStore(StoreMedium& medium, std::function<void()> crash) : medium_(medium), crash_(std::move(crash)) {}

  [[nodiscard]] Result<ManagerVersion> manager_version() override;
  [[nodiscard]] Status update(ManagerVersion mine, const UpdateBody& body) override;

 private:
  [[nodiscard]] Status commit(ManagerVersion mine, const UpdateBody& body,
                              master::MemoryMetadataStore::Commit outcome);
  void crash();

  StoreMedium& medium_;
  std::function<void()> crash_;
  bool is_dead_ = false;
};

}  // namespace sluice::sim
