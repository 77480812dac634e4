#include "protocol/io_frame.h"

#include <array>
#include <cstring>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

#include "protocol/base/crc32c.h"

namespace sluice::protocol {
namespace {

IoRequest in_capsule_write() {
  IoRequest request;
  request.op = IoOp::write;
  request.fua = true;
  request.placement = DataPlacement::in_capsule;
  request.gvn = make_gvn(ManagerVersion(3), OpenVersion(17));
  request.seq = Seq(1000);
  request.low = Seq(990);
  request.offset = ByteCount(0x1'0000'0000);
  request.length = 512;
  request.data_crc = 0xdeadbeef;
  request.path_tag = PathTag(0x01020304);
  return request;
}

IoRequest slot_write() {
  IoRequest request = in_capsule_write();
  request.placement = DataPlacement::slot;
  request.slot = SlotIndex(63);
  request.length = kMaxDataLength;
  return request;
}

IoRequest remote_read() {
  IoRequest request = in_capsule_write();
  request.op = IoOp::read;
  request.fua = false;
  request.placement = DataPlacement::remote;
  request.data_crc = 0;
  request.target = {0x1122334455667788, 0x99aabbccddeeff00};
  return request;
}

IoRequest flush() {
  IoRequest request;
  request.op = IoOp::flush;
  request.gvn = Gvn(1);
  request.seq = Seq(1);
  request.low = Seq(1);
  return request;
}

IoRequest discard() {
  IoRequest request = flush();
  request.op = IoOp::discard;
  request.length = kMaxRangeLength;
  return request;
}

/// The request and, if it's in the capsule, that much data.
std::vector<std::byte> capsule_of(const IoRequest& request) {
  std::vector<std::byte> capsule(kIoRequestSize);
  encode(request, std::span(capsule).first<kIoRequestSize>());
  if (request.placement == DataPlacement::in_capsule) capsule.resize(capsule.size() + request.length);
  return capsule;
}

/// Puts the CRC right again after bytes were changed.
void reseal(std::span<std::byte> frame) {
  const std::uint32_t crc = crc32c(frame.first(frame.size() - 4));
  std::memcpy(frame.data() + frame.size() - 4, &crc, 4);
}

template <typename T>
void put(std::span<std::byte> frame, std::size_t offset, T value) {
  std::memcpy(frame.data() + offset, &value, sizeof value);
}

TEST_CASE("every kind of request comes back as it went", "[wire]") {
  for (const IoRequest& request : {in_capsule_write(), slot_write(), remote_read(), flush(), discard()}) {
    const auto capsule = capsule_of(request);
    const auto decoded = decode_request(capsule);
    REQUIRE(decoded);
    CHECK(*decoded == request);
    CHECK(in_capsule_data(capsule).size() ==
          (request.placement == DataPlacement::in_capsule ? request.length : 0));
    CHECK(classify(capsule) == FrameKind::io_request);
  }
}

TEST_CASE("the request's bytes lie where the format says", "[wire]") {
  const auto capsule = capsule_of(in_capsule_write());
  const std::array<std::uint8_t, 8> start = {0x51, 1, 2, 0x03, 0xff, 0xff, 10, 0};
  CHECK(std::memcmp(capsule.data(), start.data(), start.size()) == 0);
  const std::array<std::uint8_t, 16> versions = {17, 0, 0, 0, 3, 0, 0, 0, 0xe8, 3, 0, 0, 0, 0, 0, 0};
  CHECK(std::memcmp(capsule.data() + 8, versions.data(), versions.size()) == 0);
  const std::array<std::uint8_t, 4> tag = {4, 3, 2, 1};
  CHECK(std::memcmp(capsule.data() + 56, tag.data(), tag.size()) == 0);
}

TEST_CASE("W1: a request with any one bit changed is refused", "[wire]") {
  for (const IoRequest& request : {slot_write(), remote_read(), flush()}) {
    auto capsule = capsule_of(request);
    for (std::size_t bit = 0; bit < capsule.size() * 8; ++bit) {
      const auto mask = std::byte{1} << (bit % 8);
      capsule[bit / 8] ^= mask;
      const auto decoded = decode_request(capsule);
      REQUIRE(!decoded);
      const bool is_version = bit / 8 == 1;
      REQUIRE(decoded.error().code == (is_version ? StatusCode::version_mismatch : StatusCode::malformed));
      capsule[bit / 8] ^= mask;
    }
  }
}

TEST_CASE("W1: a request of any other length is refused", "[wire]") {
  const auto capsule = capsule_of(in_capsule_write());
  for (std::size_t length = 0; length < capsule.size(); ++length)
    REQUIRE(!decode_request(std::span(capsule).first(length)));
  auto longer = capsule;
  longer.emplace_back();
  CHECK(!decode_request(longer));
  auto read = capsule_of(remote_read());
  read.emplace_back();
  CHECK(!decode_request(read));
}

TEST_CASE("attack 34: numbers that no client sends are refused with a good CRC", "[wire][attack]") {
  const auto refused = [](const IoRequest& request, auto&& change) {
    auto capsule = capsule_of(request);
    change(std::span(capsule));
    reseal(std::span(capsule).first(kIoRequestSize));
    const auto decoded = decode_request(capsule);
    return !decoded && decoded.error().code == StatusCode::malformed;
  };
  using Bytes = std::span<std::byte>;
  CHECK(refused(flush(), [](Bytes b) { put<std::uint64_t>(b, 16, 0); }));           // seq 0
  CHECK(refused(flush(), [](Bytes b) { put<std::uint16_t>(b, 6, 1); }));            // low 0
  CHECK(refused(slot_write(), [](Bytes b) { put<std::uint64_t>(b, 16, 10); }));     // low 0, again
  CHECK(refused(flush(), [](Bytes b) { put<std::uint64_t>(b, 8, 0); }));            // GVN 0
  CHECK(refused(flush(), [](Bytes b) { put<std::uint8_t>(b, 2, 0); }));             // no such op
  CHECK(refused(flush(), [](Bytes b) { put<std::uint8_t>(b, 2, 6); }));             // no such op
  CHECK(refused(flush(), [](Bytes b) { put<std::uint8_t>(b, 3, 8); }));             // no such flag
  CHECK(refused(flush(), [](Bytes b) { put<std::uint8_t>(b, 3, 1); }));             // flush with FUA
  CHECK(refused(remote_read(), [](Bytes b) { put<std::uint8_t>(b, 3, 7); }));       // read with FUA
  CHECK(refused(flush(), [](Bytes b) { put<std::uint64_t>(b, 24, 4096); }));        // flush with offset
  CHECK(refused(flush(), [](Bytes b) { put<std::uint32_t>(b, 32, 4096); }));        // flush with length
  CHECK(refused(flush(), [](Bytes b) { put<std::uint16_t>(b, 4, 1); }));            // slot of no write
  CHECK(refused(slot_write(), [](Bytes b) { put<std::uint16_t>(b, 4, 0xffff); }));  // slot write without
  CHECK(refused(slot_write(), [](Bytes b) { put<std::uint8_t>(b, 3, 0); }));        // data nowhere
  CHECK(refused(slot_write(), [](Bytes b) { put<std::uint64_t>(b, 40, 1); }));      // write with a target
  CHECK(refused(remote_read(), [](Bytes b) { put<std::uint32_t>(b, 36, 1); }));     // read with a data CRC
  CHECK(refused(remote_read(), [](Bytes b) { put<std::uint8_t>(b, 3, 0); }));       // read without a target
  CHECK(refused(discard(), [](Bytes b) { put<std::uint8_t>(b, 3, 6); }));           // discard with a target
  CHECK(refused(in_capsule_write(), [](Bytes b) { put<std::uint32_t>(b, 32, 513); }));  // not what follows

  // A good one at the edge of all numbers is decoded: whether it may is for the window.
  auto capsule = capsule_of(flush());
  put<std::uint64_t>(capsule, 16, UINT64_MAX);
  put<std::uint64_t>(capsule, 8, UINT64_MAX);
  put<std::uint16_t>(capsule, 6, UINT16_MAX);
  reseal(capsule);
  REQUIRE(decode_request(capsule));
  CHECK(decode_request(capsule)->low == Seq(UINT64_MAX - UINT16_MAX));
}

TEST_CASE("attack 34: another protocol version is told apart from damage", "[wire][attack]") {
  auto capsule = capsule_of(flush());
  put<std::uint8_t>(capsule, 1, 2);
  CHECK(decode_request(capsule).error().code == StatusCode::version_mismatch);
  put<std::uint8_t>(capsule, 0, 0x52);
  CHECK(decode_request(capsule).error().code == StatusCode::malformed);
}

TEST_CASE("attack 34: in-capsule data beyond its limit is refused", "[wire][attack]") {
  IoRequest request = slot_write();
  request.placement = DataPlacement::in_capsule;
  request.slot = kNoSlot;
  request.length = kMaxInCapsuleData;
  auto capsule = capsule_of(request);
  REQUIRE(decode_request(capsule));
  put<std::uint32_t>(capsule, 32, kMaxInCapsuleData + 1);
  reseal(std::span(capsule).first(kIoRequestSize));
  capsule.emplace_back();
  CHECK(!decode_request(capsule));
}

TEST_CASE("responses come back as they went, and damage is refused", "[wire]") {
  const IoResponse read{IoOp::read, false, StatusCode::ok, Gvn(7), Seq(9), 0x12345678};
  const IoResponse repeated{IoOp::write, true, StatusCode::no_space, Gvn(UINT64_MAX), Seq(UINT64_MAX), 0};
  for (const IoResponse& response : {read, repeated}) {
    std::array<std::byte, kIoResponseSize> frame{};
    encode(response, frame);
    REQUIRE(decode_response(frame));
    CHECK(*decode_response(frame) == response);
    CHECK(classify(frame) == FrameKind::io_response);
    for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
      const auto mask = std::byte{1} << (bit % 8);
      frame.at(bit / 8) ^= mask;
      REQUIRE(!decode_response(frame));
      frame.at(bit / 8) ^= mask;
    }
    CHECK(!decode_response(std::span(frame).first(kIoResponseSize - 1)));
  }
}

TEST_CASE("a response whose fields don't go together is refused with a good CRC", "[wire]") {
  const auto refused = [](std::size_t offset, auto value) {
    std::array<std::byte, kIoResponseSize> frame{};
    encode(IoResponse{IoOp::write, false, StatusCode::ok, Gvn(7), Seq(9), 0}, frame);
    put(frame, offset, value);
    reseal(frame);
    return !decode_response(frame);
  };
  CHECK(refused(2, std::uint8_t{0}));
  CHECK(refused(2, std::uint8_t{6}));
  CHECK(refused(3, std::uint8_t{2}));
  CHECK(refused(4, std::uint16_t{999}));
  CHECK(refused(6, std::uint16_t{1}));
  CHECK(refused(16, std::uint64_t{0}));
  CHECK(refused(24, std::uint32_t{1}));  // a write has no data
  std::array<std::byte, kIoResponseSize> failed_read{};
  encode(IoResponse{IoOp::read, false, StatusCode::io_error, Gvn(7), Seq(9), 0}, failed_read);
  put(failed_read, 24, std::uint32_t{1});
  reseal(failed_read);
  CHECK(!decode_response(failed_read));
}

TEST_CASE("frames that differ in any one field are different", "[wire]") {
  const IoRequest request = slot_write();
  const auto differs = [&](auto&& change) {
    IoRequest other = request;
    change(other);
    return !(other == request);
  };
  CHECK(differs([](auto& r) { r.op = IoOp::read; }));
  CHECK(differs([](auto& r) { r.fua = !r.fua; }));
  CHECK(differs([](auto& r) { r.placement = DataPlacement::none; }));
  CHECK(differs([](auto& r) { r.slot = SlotIndex(1); }));
  CHECK(differs([](auto& r) { r.gvn = Gvn(1); }));
  CHECK(differs([](auto& r) { r.seq = Seq(1); }));
  CHECK(differs([](auto& r) { r.low = Seq(1); }));
  CHECK(differs([](auto& r) { r.offset = ByteCount(1); }));
  CHECK(differs([](auto& r) { r.length = 1; }));
  CHECK(differs([](auto& r) { r.data_crc = 1; }));
  CHECK(differs([](auto& r) { r.target.key = 1; }));
  CHECK(differs([](auto& r) { r.target.address = 1; }));
  CHECK(differs([](auto& r) { r.path_tag = PathTag(1); }));
  const IoResponse response{IoOp::read, false, StatusCode::ok, Gvn(7), Seq(9), 5};
  CHECK_FALSE(response == IoResponse{IoOp::write, false, StatusCode::ok, Gvn(7), Seq(9), 5});
  CHECK_FALSE(response == IoResponse{IoOp::read, true, StatusCode::ok, Gvn(7), Seq(9), 5});
  CHECK_FALSE(response == IoResponse{IoOp::read, false, StatusCode::busy, Gvn(7), Seq(9), 5});
  CHECK_FALSE(response == IoResponse{IoOp::read, false, StatusCode::ok, Gvn(8), Seq(9), 5});
  CHECK_FALSE(response == IoResponse{IoOp::read, false, StatusCode::ok, Gvn(7), Seq(8), 5});
  CHECK_FALSE(response == IoResponse{IoOp::read, false, StatusCode::ok, Gvn(7), Seq(9), 6});
}

TEST_CASE("R1: the path tag depends on everything that names a path", "[wire]") {
  std::set<std::uint32_t> tags;
  for (const std::uint64_t volume : {1U, 2U}) {
    for (const std::uint64_t gvn : {1U, 2U}) {
      for (const std::uint64_t cookie : {1U, 2U}) {
        for (const std::uint8_t path : {std::uint8_t{0}, std::uint8_t{1}}) {
          for (const std::uint32_t epoch : {1U, 2U}) {
            tags.insert(
                make_path_tag(VolumeId(volume), Gvn(gvn), Cookie(cookie), PathId(path), PathEpoch(epoch))
                    .value());
          }
        }
      }
    }
  }
  CHECK(tags.size() == 32);
}

TEST_CASE("frames print what matters, and no keys", "[wire]") {
  CHECK(to_string(in_capsule_write()) ==
        "write{gvn=3.17 seq=1000 low=990 offset=4294967296 length=512 fua=yes data=in_capsule "
        "data_crc=3735928559 path_tag=16909060}");
  CHECK(to_string(slot_write()).find("data=slot slot=63") != std::string::npos);
  CHECK(to_string(remote_read()).find("data=remote path_tag") != std::string::npos);
  CHECK(to_string(flush()) == "flush{gvn=0.1 seq=1 low=1 path_tag=0}");
  CHECK(to_string(IoResponse{IoOp::read, false, StatusCode::ok, Gvn(7), Seq(9), 5}) ==
        "read_answer{gvn=0.7 seq=9 status=ok data_crc=5}");
  CHECK(to_string(IoResponse{IoOp::discard, true, StatusCode::expired, Gvn(7), Seq(9), 0}) ==
        "discard_answer{gvn=0.7 seq=9 status=expired repeated=yes}");
  CHECK(to_string(IoResponse{IoOp::read, false, StatusCode::io_error, Gvn(7), Seq(9), 0}) ==
        "read_answer{gvn=0.7 seq=9 status=io_error}");
  CHECK(to_string(IoOp::write_zeroes) == "write_zeroes");
  CHECK(to_string(static_cast<IoOp>(0)) == "unknown_op");
  CHECK(to_string(DataPlacement::none) == "none");
  CHECK(to_string(static_cast<DataPlacement>(9)) == "unknown_placement");
}

TEST_CASE("what a message says it is", "[wire]") {
  CHECK(classify({}) == FrameKind::unknown);
  const std::array<std::byte, 1> other = {std::byte{0}};
  CHECK(classify(other) == FrameKind::unknown);
}

}  // namespace
}  // namespace sluice::protocol
