#include "protocol/private_data.h"

#include <array>
#include <cstring>
#include <vector>

#include <catch2/catch.hpp>

#include "protocol/base/crc32c.h"

namespace sluice::protocol {
namespace {

PathAttach attach() {
  return {PathId(1), 256, PathEpoch(7), Gvn(9), VolumeId(11), Cookie(0xc00c1e)};
}
PathAccept accept() {
  PathAccept accept{PathId(1), 256, PathEpoch(7), Gvn(9), 4096, 0x1122334455667788, 0x1000, {}};
  accept.slots.push_back(SlotClass{65536, 64});
  accept.slots.push_back(SlotClass{1U << 20U, 8});
  return accept;
}
PathReject reject() {
  return {PathId(1), StatusCode::expired, PathEpoch(8), Gvn(12)};
}

std::vector<std::byte> bytes_of(const PrivateData& message) {
  std::vector<std::byte> bytes(kMaxPrivateDataSize);
  bytes.resize(encode(message, std::span(bytes).first<kMaxPrivateDataSize>()));
  return bytes;
}

void reseal(std::span<std::byte> bytes) {
  const auto length = static_cast<std::uint16_t>(bytes.size());
  std::memcpy(bytes.data() + 4, &length, 2);
  const std::uint32_t crc = crc32c(bytes.subspan(12), crc32c(bytes.first(8)));
  std::memcpy(bytes.data() + 8, &crc, 4);
}

TEST_CASE("private data comes back as it went, fits its carrier, and may arrive longer", "[wire]") {
  for (const PrivateData& message : {PrivateData(attach()), PrivateData(accept()), PrivateData(reject())}) {
    auto bytes = bytes_of(message);
    INFO(to_string(message));
    REQUIRE(decode_private_data(bytes));
    CHECK(*decode_private_data(bytes) == message);
    bytes.resize(196, std::byte{0xa5});
    REQUIRE(decode_private_data(bytes));
    CHECK(*decode_private_data(bytes) == message);
  }
  CHECK(bytes_of(attach()).size() <= kMaxPathAttachSize);
  CHECK(bytes_of(reject()).size() <= kMaxPathRejectSize);
}

TEST_CASE("private data with any bit changed, or cut anywhere, is refused", "[wire]") {
  for (const PrivateData& message : {PrivateData(attach()), PrivateData(accept()), PrivateData(reject())}) {
    auto bytes = bytes_of(message);
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      const auto mask = std::byte{1} << (bit % 8);
      bytes[bit / 8] ^= mask;
      REQUIRE(!decode_private_data(bytes));
      bytes[bit / 8] ^= mask;
    }
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
      REQUIRE(!decode_private_data(cut));
      if (length < wire::kPrivateDataHeaderSize) continue;
      reseal(cut);
      REQUIRE(!decode_private_data(cut));
    }
  }
}

TEST_CASE("refused private data says why", "[wire]") {
  auto bytes = bytes_of(attach());
  bytes[2] = std::byte{2};
  CHECK(decode_private_data(bytes).error().describe() ==
        "version_mismatch: the peer speaks path protocol version 2, this side 1");
  bytes[2] = std::byte{1};
  bytes[3] = std::byte{9};
  reseal(bytes);
  CHECK(decode_private_data(bytes).error().describe() == "malformed: private data has a bad kind");
  bytes[3] = std::byte{1};
  bytes[12] = std::byte{kMaxPaths};
  reseal(bytes);
  CHECK(decode_private_data(bytes).error().describe() ==
        "malformed: path_attach has a bad combination of fields");
  auto longer = bytes_of(attach());
  longer.emplace_back();
  reseal(longer);
  CHECK(decode_private_data(longer).error().describe() == "malformed: path_attach has a bad length");
  CHECK(decode_private_data({}).error().code == StatusCode::malformed);
  bytes = bytes_of(attach());
  bytes[4] = std::byte{11};  // shorter than its header
  CHECK(decode_private_data(bytes).error().describe() == "malformed: private data has a bad length");
}

TEST_CASE("private data whose fields don't go together is inconsistent", "[wire]") {
  const auto inconsistent = [](auto message, auto&& change) {
    REQUIRE(message.is_consistent());
    change(message);
    return !message.is_consistent();
  };
  CHECK(inconsistent(attach(), [](auto& m) { m.path = PathId(kMaxPaths); }));
  CHECK(inconsistent(attach(), [](auto& m) { m.depth = 0; }));
  CHECK(inconsistent(attach(), [](auto& m) { m.epoch = PathEpoch(0); }));
  CHECK(inconsistent(attach(), [](auto& m) { m.gvn = Gvn(0); }));
  CHECK(inconsistent(attach(), [](auto& m) { m.volume = VolumeId(0); }));
  CHECK(inconsistent(attach(), [](auto& m) { m.cookie = Cookie(0); }));
  CHECK(inconsistent(accept(), [](auto& m) { m.path = PathId(kMaxPaths); }));
  CHECK(inconsistent(accept(), [](auto& m) { m.depth = 0; }));
  CHECK(inconsistent(accept(), [](auto& m) { m.depth = kMaxPathDepth + 1; }));
  CHECK(inconsistent(accept(), [](auto& m) { m.epoch = PathEpoch(0); }));
  CHECK(inconsistent(accept(), [](auto& m) { m.gvn = Gvn(0); }));
  CHECK(inconsistent(accept(), [](auto& m) { m.in_capsule_limit = kMaxInCapsuleData + 1; }));
  CHECK(inconsistent(accept(), [](auto& m) { m.slots[0].slot_size = 0; }));
  CHECK(inconsistent(accept(), [](auto& m) { m.slots[0].slot_size = kMaxDataLength + 1; }));
  CHECK(inconsistent(accept(), [](auto& m) { m.slots[0].count = 0; }));
  CHECK(inconsistent(accept(), [](auto& m) { m.slots[0].count = kMaxSlots; }));
  CHECK(inconsistent(reject(), [](auto& m) { m.path = PathId(kMaxPaths); }));
  CHECK(inconsistent(reject(), [](auto& m) { m.status = StatusCode::ok; }));
}

TEST_CASE("private data that differs in any one field is different", "[wire]") {
  const auto differs = [](const auto& message, auto&& change) {
    auto other = message;
    change(other);
    return !(other == message);
  };
  CHECK(differs(attach(), [](auto& m) { m.path = PathId(0); }));
  CHECK(differs(attach(), [](auto& m) { m.depth = 1; }));
  CHECK(differs(attach(), [](auto& m) { m.epoch = PathEpoch(1); }));
  CHECK(differs(attach(), [](auto& m) { m.gvn = Gvn(1); }));
  CHECK(differs(attach(), [](auto& m) { m.volume = VolumeId(1); }));
  CHECK(differs(attach(), [](auto& m) { m.cookie = Cookie(1); }));
  CHECK(differs(accept(), [](auto& m) { m.path = PathId(0); }));
  CHECK(differs(accept(), [](auto& m) { m.depth = 1; }));
  CHECK(differs(accept(), [](auto& m) { m.epoch = PathEpoch(1); }));
  CHECK(differs(accept(), [](auto& m) { m.gvn = Gvn(1); }));
  CHECK(differs(accept(), [](auto& m) { m.in_capsule_limit = 1; }));
  CHECK(differs(accept(), [](auto& m) { m.region_key = 1; }));
  CHECK(differs(accept(), [](auto& m) { m.region_base = 1; }));
  CHECK(differs(accept(), [](auto& m) { m.slots[1].count = 1; }));
  CHECK(differs(accept(), [](auto& m) { m.slots[1].slot_size = 1; }));
  CHECK(differs(reject(), [](auto& m) { m.path = PathId(0); }));
  CHECK(differs(reject(), [](auto& m) { m.status = StatusCode::no_session; }));
  CHECK(differs(reject(), [](auto& m) { m.epoch = PathEpoch(1); }));
  CHECK(differs(reject(), [](auto& m) { m.fence = Gvn(1); }));
  CHECK_FALSE(SlotPlace{0, 1} == SlotPlace{1, 1});
  CHECK_FALSE(SlotPlace{0, 1} == SlotPlace{0, 2});
}

TEST_CASE("R1: slots lie one after the other, in the order of their classes", "[wire]") {
  const auto slots = accept().slots;
  CHECK(find_slot(slots, SlotIndex(0)) == SlotPlace{0, 65536});
  CHECK(find_slot(slots, SlotIndex(63)) == SlotPlace{63ULL * 65536, 65536});
  CHECK(find_slot(slots, SlotIndex(64)) == SlotPlace{64ULL * 65536, 1U << 20U});
  CHECK(find_slot(slots, SlotIndex(71)) == SlotPlace{64ULL * 65536 + 7ULL * (1U << 20U), 1U << 20U});
  CHECK(!find_slot(slots, SlotIndex(72)));
  CHECK(!find_slot(slots, kNoSlot));
  CHECK(!find_slot({}, SlotIndex(0)));
}

TEST_CASE("kinds of private data have names", "[wire]") {
  for (std::uint8_t i = 0; i <= 4; ++i) {
    const auto kind = static_cast<PrivateDataKind>(i);
    CHECK(is_valid(kind) == (to_string(kind) != "unknown_private_data"));
  }
}

}  // namespace
}  // namespace sluice::protocol
