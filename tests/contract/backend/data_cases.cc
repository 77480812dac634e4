#include <algorithm>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "protocol/limits.h"
#include "tests/contract/backend/stage.h"

namespace sluice::storage_node::contract {
namespace {

using protocol::IoOp;

constexpr VolumeId kVolume{12};
constexpr std::uint32_t kPage = 4096;

bool is_zero(const std::vector<std::byte>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

TEST_CASE("A new volume reads as zeroes, from its first block to its last") {
  Stage stage;
  const auto storage = stage.create_and_open(kVolume, kPage);
  const std::uint64_t size = storage->state().size.value();
  CHECK(is_zero(stage.read(*storage, 0, 1U << 20U)));
  CHECK(is_zero(stage.read(*storage, size - kPage, kPage)));
}

TEST_CASE("What is written is read again, at every alignment and size that the block size allows") {
  Stage stage;
  const std::uint32_t block = GENERATE(512U, 4096U);
  if (block < stage.store().smallest_block()) return;
  const auto storage = stage.create_and_open(kVolume, block);
  const std::uint64_t end = storage->state().size.value();
  std::uint64_t seed = 1;
  for (const std::uint64_t blocks : {1U, 2U, 7U, 8U, 9U, 64U, 255U}) {
    const std::size_t length = blocks * block;
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{block}, std::uint64_t{7 * block},
                                       (std::uint64_t{1} << 20U) - block, end - length}) {
      const auto data = filled(length, seed++);
      REQUIRE(stage.write(*storage, offset, data, seed % 2 == 0) == StatusCode::ok);
      REQUIRE(stage.read(*storage, offset, length) == data);
    }
  }
}

TEST_CASE("A write changes its blocks and no others") {
  Stage stage;
  const std::uint32_t block = stage.store().smallest_block();
  const auto storage = stage.create_and_open(kVolume, block);
  auto expected = filled(16 * block, 1);
  REQUIRE(stage.write(*storage, 0, expected) == StatusCode::ok);
  const auto middle = filled(3 * block, 2);
  REQUIRE(stage.write(*storage, 5 * block, middle) == StatusCode::ok);
  std::copy(middle.begin(), middle.end(), expected.begin() + 5 * block);
  CHECK(stage.read(*storage, 0, 16 * block) == expected);
}

TEST_CASE("The longest write and read of the protocol go through in one piece") {
  Stage stage;
  const auto storage = stage.create_and_open(kVolume, kPage);
  const auto data = filled(protocol::kMaxDataLength, 3);
  REQUIRE(stage.write(*storage, kPage, data) == StatusCode::ok);
  CHECK(stage.read(*storage, kPage, protocol::kMaxDataLength) == data);
}

TEST_CASE("Zeroes are written to any range, durable or not") {
  Stage stage;
  const std::uint32_t block = GENERATE(512U, 4096U);
  if (block < stage.store().smallest_block()) return;
  const bool durable = GENERATE(false, true);
  const auto storage = stage.create_and_open(kVolume, block);
  const std::size_t all = 256 * 1024;
  for (const std::uint64_t first : {0U, 1U, 8U}) {
    for (const std::uint64_t count : {1U, 8U, 17U, 40U}) {
      auto expected = filled(all, first + count);
      REQUIRE(stage.write(*storage, 0, expected) == StatusCode::ok);
      REQUIRE(stage.range(*storage, IoOp::write_zeroes, first * block,
                          static_cast<std::uint32_t>(count * block), durable) == StatusCode::ok);
      std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(first * block), count * block, std::byte{0});
      REQUIRE(stage.read(*storage, 0, all) == expected);
    }
  }
}

TEST_CASE("Zeroes longer than any buffer are written in one operation") {
  Stage stage;
  const auto storage = stage.create_and_open(kVolume, kPage);
  const auto length = static_cast<std::uint32_t>(storage->state().size.value());
  REQUIRE(stage.write(*storage, 5 * kPage, filled(kPage, 1)) == StatusCode::ok);
  REQUIRE(stage.write(*storage, length - kPage, filled(kPage, 2)) == StatusCode::ok);
  REQUIRE(stage.range(*storage, IoOp::write_zeroes, 0, length) == StatusCode::ok);
  CHECK(is_zero(stage.read(*storage, 0, 1U << 20U)));
  CHECK(is_zero(stage.read(*storage, length - kPage, kPage)));
}

TEST_CASE("A discard leaves the blocks around it alone, and what is written there afterwards stays") {
  Stage stage;
  const std::uint32_t block = stage.store().smallest_block();
  const bool durable = GENERATE(false, true);
  const auto storage = stage.create_and_open(kVolume, block);
  const auto around = filled(64 * block, 4);
  REQUIRE(stage.write(*storage, 0, around) == StatusCode::ok);
  REQUIRE(stage.range(*storage, IoOp::discard, 3 * block, 50 * block, durable) == StatusCode::ok);
  const auto again = filled(2 * block, 5);
  REQUIRE(stage.write(*storage, 10 * block, again) == StatusCode::ok);

  const auto now = stage.read(*storage, 0, 64 * block);
  CHECK(std::equal(now.begin(), now.begin() + 3 * block, around.begin()));
  CHECK(std::equal(again.begin(), again.end(), now.begin() + 10 * block));
  CHECK(std::equal(now.begin() + 53 * block, now.end(), around.begin() + 53 * block));
}

TEST_CASE("A flush succeeds, with nothing written and after writes") {
  Stage stage;
  const auto storage = stage.create_and_open(kVolume, kPage);
  CHECK(stage.flush(*storage) == StatusCode::ok);
  REQUIRE(stage.write(*storage, 0, filled(kPage, 6), false) == StatusCode::ok);
  CHECK(stage.flush(*storage) == StatusCode::ok);
}

TEST_CASE("Data outlives the node") {
  Stage stage;
  if (!stage.store().is_durable()) return;
  const auto data = filled(64 * 1024, 7);
  {
    const auto storage = stage.create_and_open(kVolume, kPage);
    REQUIRE(stage.write(*storage, 3 * kPage, data) == StatusCode::ok);
  }
  stage.restart();
  const auto storage = stage.open(kVolume);
  CHECK(stage.read(*storage, 3 * kPage, data.size()) == data);
}

TEST_CASE("More operations than the kernel has room for complete, each once, with its own tag") {
  Stage stage;
  const auto storage = stage.create_and_open(kVolume, kPage);
  constexpr std::size_t kCount = 3000;
  const std::uint64_t blocks = storage->state().size.value() / kPage;
  const std::span<std::byte> page = stage.buffer().first(kPage);
  fill(page, 8);
  for (std::uint64_t tag = 1; tag <= kCount; ++tag) {
    storage->start({.op = IoOp::write,
                    .durable = false,
                    .offset = ByteCount(tag % blocks * kPage),
                    .length = kPage,
                    .data = page.data(),
                    .tag = tag});
  }
  std::set<std::uint64_t> tags;
  for (const BackendCompletion& completion : stage.complete(kCount)) {
    REQUIRE(completion.status == StatusCode::ok);
    tags.insert(completion.tag);
  }
  CHECK(tags.size() == kCount);
  CHECK(*tags.begin() == 1);
  CHECK(*tags.rbegin() == kCount);
}

TEST_CASE("Operations of several volumes share a backend without mixing their data") {
  Stage stage;
  const std::size_t volumes = std::min<std::size_t>(stage.store().volume_count(), 3);
  std::map<std::uint64_t, std::unique_ptr<VolumeStorage>> storages;
  for (std::uint64_t id = 1; id <= volumes; ++id) {
    storages[id] = stage.create_and_open(VolumeId(id), kPage);
    const std::span<std::byte> data = stage.buffer().subspan(id * kPage, kPage);
    fill(data, id);
  }
  for (auto& [id, storage] : storages) {
    storage->start({.op = IoOp::write,
                    .durable = true,
                    .offset = ByteCount(kPage),
                    .length = kPage,
                    .data = stage.buffer().data() + id * kPage,
                    .tag = id});
  }
  for (const BackendCompletion& completion : stage.complete(volumes))
    REQUIRE(completion.status == StatusCode::ok);
  for (auto& [id, storage] : storages)
    CHECK(stage.read(*storage, kPage, kPage) == filled(kPage, id));
}

}  // namespace
}  // namespace sluice::storage_node::contract
