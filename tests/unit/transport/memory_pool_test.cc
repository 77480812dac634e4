#include "transport/memory_pool.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/transport/scripted_provider.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

using sluice::StatusCode;
using sluice::transport::LogLevel;
using sluice::transport::MemoryPool;
using sluice::transport::MemoryPoolConfig;
using sluice::transport::PoolSlot;
using sluice::transport::testing::ScriptedDomain;

namespace {

MemoryPoolConfig small_pool() {
  MemoryPoolConfig config;
  config.classes = {{.slot_bytes = 4096, .slot_count = 3}, {.slot_bytes = 65536, .slot_count = 1}};
  config.huge_pages = false;
  return config;
}

std::unique_ptr<MemoryPool> make(ScriptedDomain& domain, const MemoryPoolConfig& config = small_pool()) {
  auto pool = MemoryPool::create(domain, config, {});
  REQUIRE(pool);
  return std::move(*pool);
}

}  // namespace

TEST_CASE("the smallest slot that fits is taken, then a larger one, then nothing", "[transport]") {
  ScriptedDomain domain;
  const auto pool = make(domain);
  std::vector<PoolSlot> taken;
  for (int i = 0; i < 3; ++i) {
    auto slot = pool->take(4096, "test");
    REQUIRE(slot);
    CHECK(slot->memory().size() == 4096);
    taken.push_back(std::move(*slot));
  }
  auto larger = pool->take(1, "test");
  REQUIRE(larger);
  CHECK(larger->memory().size() == 65536);
  CHECK_FALSE(pool->take(1, "test"));
  CHECK(pool->taken() == 4);
  taken.pop_back();
  CHECK(pool->take(4096, "test"));
  CHECK_FALSE(pool->take(4097, "test"));
}

TEST_CASE("no slot is large enough for more than the largest class", "[transport]") {
  ScriptedDomain domain;
  const auto pool = make(domain);
  CHECK(pool->largest_slot_bytes() == 65536);
  CHECK_FALSE(pool->take(65537, "test"));
}

TEST_CASE("slots don't overlap and lie where a peer is told they do", "[transport]") {
  ScriptedDomain domain;
  const auto pool = make(domain);
  std::vector<PoolSlot> taken;
  while (auto slot = pool->take(1, "test"))
    taken.push_back(std::move(*slot));
  REQUIRE(taken.size() == 4);
  for (std::size_t i = 0; i < taken.size(); ++i)
    std::ranges::fill(taken[i].memory(), static_cast<std::byte>(i + 1));
  const std::byte* const slab = taken[0].memory().data() - taken[0].remote().address;
  for (std::size_t i = 0; i < taken.size(); ++i) {
    CHECK(std::ranges::all_of(taken[i].memory(),
                              [&](std::byte b) { return b == static_cast<std::byte>(i + 1); }));
    CHECK(slab + taken[i].remote().address == taken[i].memory().data());
    CHECK(taken[i].local(100).data == taken[i].memory().data());
    CHECK(reinterpret_cast<std::uintptr_t>(taken[i].memory().data()) % 4096 == 0);
  }
}

TEST_CASE("a slot that moves is given back once, and a new loan has a new generation", "[transport]") {
  ScriptedDomain domain;
  const auto pool = make(domain);
  std::uint32_t first_index = 0;
  std::uint32_t first_generation = 0;
  {
    auto slot = pool->take(1, "test");
    REQUIRE(slot);
    first_index = slot->index();
    first_generation = slot->generation();
    PoolSlot moved = std::move(*slot);
    CHECK_FALSE(*slot);
    PoolSlot again;
    again = std::move(moved);
    CHECK(again);
    CHECK(pool->taken() == 1);
  }
  CHECK(pool->taken() == 0);
  const auto slot = pool->take(1, "test");
  REQUIRE(slot);
  CHECK(slot->index() == first_index);
  CHECK(slot->generation() == first_generation + 1);
}

TEST_CASE("the leak check names class, slot, generation and holder", "[transport]") {
  ScriptedDomain domain;
  const auto pool = make(domain);
  CHECK(pool->leaks().empty());
  auto small = pool->take(4096, "read of session 7");
  auto large = pool->take(60000, "staging");
  const auto leaks = pool->leaks();
  REQUIRE(leaks.size() == 2);
  CHECK(leaks[0] == "4096-byte slot 0, generation 1, held by read of session 7");
  CHECK(leaks[1] == "65536-byte slot 0, generation 1, held by staging");
  small.reset();
  large.reset();
  CHECK(pool->leaks().empty());
}

TEST_CASE("slot classes that make no sense are refused with what is wrong", "[transport]") {
  ScriptedDomain domain;
  for (const auto& classes :
       {std::vector<sluice::transport::SlotClass>{},
        {{.slot_bytes = 4096, .slot_count = 0}},
        {{.slot_bytes = 1000, .slot_count = 1}},
        {{.slot_bytes = 0, .slot_count = 1}},
        {{.slot_bytes = 8192, .slot_count = 1}, {.slot_bytes = 4096, .slot_count = 1}}}) {
    MemoryPoolConfig config;
    config.classes = classes;
    const auto pool = MemoryPool::create(domain, config, {});
    REQUIRE_FALSE(pool);
    CHECK(pool.error().code == StatusCode::invalid_argument);
    CHECK_FALSE(pool.error().message.empty());
  }
}

TEST_CASE("memory that can't be registered is an error, not a pool", "[transport]") {
  ScriptedDomain domain;
  domain.refuse = true;
  const auto pool = MemoryPool::create(domain, small_pool(), {});
  REQUIRE_FALSE(pool);
  CHECK(pool.error().code == StatusCode::out_of_memory);
}

TEST_CASE("without huge pages a pool says so in one line and works", "[transport]") {
  ScriptedDomain domain;
  MemoryPoolConfig config = small_pool();
  config.huge_pages = true;
  std::vector<std::string> lines;
  const auto pool =
      MemoryPool::create(domain, config, [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  REQUIRE(pool);
  CHECK(lines.size() <= 1);
  if (!lines.empty()) CHECK(lines[0].find("plain pages") != std::string::npos);
  CHECK((*pool)->take(4096, "test"));
}

#if defined(__SANITIZE_ADDRESS__)
TEST_CASE("a free slot is poisoned and a taken one isn't", "[transport]") {
  ScriptedDomain domain;
  const auto pool = make(domain);
  const std::byte* bytes = nullptr;
  {
    const auto slot = pool->take(1, "test");
    REQUIRE(slot);
    bytes = slot->memory().data();
    CHECK_FALSE(__asan_address_is_poisoned(bytes));
  }
  CHECK(__asan_address_is_poisoned(bytes));
  CHECK(__asan_address_is_poisoned(bytes + 4095));
}
#endif
