#include "protocol/control_messages.h"

#include <array>
#include <cstring>
#include <limits>
#include <vector>

#include <catch2/catch.hpp>

#include "protocol/base/crc32c.h"
#include "protocol/io_frame.h"
#include "tests/unit/protocol/sample_messages.h"

namespace sluice::protocol {
namespace {

using test::sample_messages;

std::vector<std::byte> bytes_of(const ControlFrame& frame) {
  std::vector<std::byte> bytes(kMaxControlSize);
  bytes.resize(encode(frame, std::span(bytes).first<kMaxControlSize>()));
  return bytes;
}

/// Puts length and CRC right again after bytes were changed.
void reseal(std::span<std::byte> bytes) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(bytes.data() + 8, &length, 4);
  const std::uint32_t crc = crc32c(bytes.subspan(16), crc32c(bytes.first(12)));
  std::memcpy(bytes.data() + 12, &crc, 4);
}

TEST_CASE("every control message comes back as it went", "[wire]") {
  for (const ControlMessage& message : sample_messages()) {
    const ControlFrame frame{RequestId(77), message};
    const auto bytes = bytes_of(frame);
    const auto decoded = decode_control(bytes);
    INFO(to_string(frame));
    REQUIRE(decoded);
    CHECK(*decoded == frame);
    CHECK(classify(bytes) == FrameKind::control);
  }
}

TEST_CASE("a control message cut anywhere, or longer, is refused", "[wire]") {
  for (const ControlMessage& message : sample_messages()) {
    auto bytes = bytes_of({RequestId(1), message});
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
      REQUIRE(!decode_control(cut));
      if (length < wire::kControlHeaderSize) continue;
      reseal(cut);  // its length and CRC are right, and the body still ends too early
      REQUIRE(!decode_control(cut));
    }
    bytes.emplace_back();
    REQUIRE(!decode_control(bytes));
    reseal(bytes);
    REQUIRE(!decode_control(bytes));
  }
}

TEST_CASE("a control message with any one bit changed is refused", "[wire]") {
  for (const ControlMessage& message : sample_messages()) {
    auto bytes = bytes_of({RequestId(1), message});
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      const auto mask = std::byte{1} << (bit % 8);
      bytes[bit / 8] ^= mask;
      REQUIRE(!decode_control(bytes));
      bytes[bit / 8] ^= mask;
    }
  }
}

TEST_CASE("a control message longer than any may be is refused before it is looked at", "[wire]") {
  auto bytes = bytes_of({RequestId(1), Keepalive{}});
  bytes.resize(kMaxControlSize + 1);
  reseal(bytes);
  CHECK(decode_control(bytes).error().describe() == "malformed: control header has a bad length");
}

TEST_CASE("a refusal names message and field, and another version both versions", "[wire]") {
  auto bytes = bytes_of({RequestId(1), sample_messages().front()});
  bytes[24] = std::byte{9};  // the first field of open_request: kind
  reseal(bytes);
  CHECK(decode_control(bytes).error().describe() == "malformed: open_request has a bad kind");
  bytes[4] = std::byte{9};
  CHECK(decode_control(bytes).error().describe() ==
        "version_mismatch: the peer speaks control protocol version 9, this side 1");
  bytes[4] = std::byte{1};
  bytes[6] = std::byte{200};
  reseal(bytes);
  CHECK(decode_control(bytes).error().describe() == "malformed: control header has a bad type");
  bytes[0] = std::byte{0};
  CHECK(decode_control(bytes).error().describe() == "malformed: not a control message");
}

TEST_CASE("names outside printable ASCII, or with more than their length says, are refused", "[wire]") {
  SessionOpen open = std::get<SessionOpen>(sample_messages()[2]);
  open.client = *ClientId::from("abc");
  const auto good = bytes_of({RequestId(1), open});
  constexpr std::size_t kLengthAt = 24 + 16;
  const auto refused = [&](std::size_t offset, std::uint8_t value) {
    auto bytes = good;
    bytes[offset] = std::byte{value};
    reseal(bytes);
    return !decode_control(bytes);
  };
  CHECK(refused(kLengthAt, 64));
  CHECK(refused(kLengthAt, 2));  // 'c' lies beyond the end
  CHECK(refused(kLengthAt, 4));  // a zero byte in the name
  CHECK(refused(kLengthAt, 0));  // and a client must have a name
  CHECK(refused(kLengthAt + 1, ' '));
  CHECK(refused(kLengthAt + 1, 0x7f));
  CHECK(refused(kLengthAt + 2, '\n'));
  CHECK(!refused(kLengthAt + 1, 'x'));
}

TEST_CASE("vectors beyond their bound are refused", "[wire]") {
  Hello hello;
  hello.node = NodeId(1);
  hello.boot = BootId(2);
  for (std::size_t i = 0; i < kMaxFencesPerHello; ++i)
    hello.fences.push_back(FenceReport{VolumeId(i + 1), Gvn(i)});
  auto bytes = bytes_of({RequestId(1), hello});
  REQUIRE(decode_control(bytes));
  const std::size_t count_at = bytes.size() - kMaxFencesPerHello * 16 - 2;
  const std::uint16_t more = kMaxFencesPerHello + 1;
  std::memcpy(bytes.data() + count_at, &more, 2);
  bytes.resize(bytes.size() + 16);
  reseal(bytes);
  CHECK(!decode_control(bytes));
}

TEST_CASE("fields that don't go together are inconsistent", "[wire]") {
  const auto messages = sample_messages();
  const auto inconsistent = [](auto message, auto&& change) {
    REQUIRE(message.is_consistent());
    change(message);
    return !message.is_consistent();
  };
  const auto open = std::get<OpenRequest>(messages[0]);
  OpenRequest reopen = open;
  reopen.kind = OpenKind::reopen;
  reopen.previous_gvn = Gvn(4);
  CHECK(inconsistent(open, [](auto& m) { m.name = {}; }));
  CHECK(inconsistent(open, [](auto& m) { m.volume = VolumeId(1); }));
  CHECK(inconsistent(open, [](auto& m) { m.client = {}; }));
  CHECK(inconsistent(open, [](auto& m) { m.nonce = Nonce(0); }));
  CHECK(inconsistent(open, [](auto& m) { m.kind = OpenKind::reopen; }));
  CHECK(inconsistent(OpenRequest(reopen), [](auto& m) { m.previous_gvn = Gvn(0); }));
  OpenRequest locate;
  locate.kind = OpenKind::locate;
  locate.volume = VolumeId(4);
  CHECK(inconsistent(locate, [](auto& m) { m.steal = true; }));

  const auto answer = std::get<OpenAnswer>(messages[1]);
  CHECK(inconsistent(answer, [](auto& m) { m.gvn = Gvn(0); }));
  CHECK(inconsistent(answer, [](auto& m) { m.kind = OpenKind::locate; }));
  CHECK(inconsistent(answer, [](auto& m) { m.status = StatusCode::busy; }));
  CHECK(inconsistent(answer, [](auto& m) { m.volume = VolumeId(0); }));
  CHECK(inconsistent(answer, [](auto& m) { m.block_size = 513; }));
  CHECK(inconsistent(answer, [](auto& m) { m.block_size = 256; }));
  CHECK(inconsistent(answer, [](auto& m) { m.block_size = 8192; }));
  CHECK(inconsistent(answer, [](auto& m) { m.size = ByteCount(4097); }));
  OpenAnswer busy;
  busy.status = StatusCode::busy;
  CHECK(busy.is_consistent());

  const auto session_open = std::get<SessionOpen>(messages[2]);
  CHECK(inconsistent(session_open, [](auto& m) { m.volume = VolumeId(0); }));
  CHECK(inconsistent(session_open, [](auto& m) { m.gvn = Gvn(0); }));
  CHECK(inconsistent(session_open, [](auto& m) { m.nonce = Nonce(0); }));

  const auto session = std::get<SessionAnswer>(messages[3]);
  CHECK(inconsistent(session, [](auto& m) { m.volume = VolumeId(0); }));
  CHECK(inconsistent(session, [](auto& m) { m.gvn = Gvn(0); }));
  CHECK(inconsistent(session, [](auto& m) { m.fence = Gvn(1); }));
  CHECK(inconsistent(session, [](auto& m) { m.boot = BootId(0); }));
  CHECK(inconsistent(session, [](auto& m) { m.cookie = Cookie(0); }));
  CHECK(inconsistent(session, [](auto& m) { m.window = 1000; }));
  CHECK(inconsistent(session, [](auto& m) { m.window = 1; }));
  CHECK(inconsistent(session, [](auto& m) { m.window = 65536; }));
  CHECK(inconsistent(session, [](auto& m) { m.max_paths = 0; }));
  CHECK(inconsistent(session, [](auto& m) { m.max_paths = kMaxPaths + 1; }));
  SessionAnswer refused;
  refused.status = StatusCode::stale_version;
  refused.volume = VolumeId(1);
  refused.gvn = Gvn(1);
  CHECK(inconsistent(refused, [](auto& m) { m.cookie = Cookie(1); }));
  CHECK(inconsistent(refused, [](auto& m) { m.window = 2; }));
  CHECK(inconsistent(refused, [](auto& m) { m.max_paths = 1; }));

  const auto ask = std::get<VerifyRequest>(messages[4]);
  CHECK(inconsistent(ask, [](auto& m) { m.volume = VolumeId(0); }));
  CHECK(inconsistent(ask, [](auto& m) { m.node = NodeId(0); }));
  CHECK(inconsistent(ask, [](auto& m) { m.boot = BootId(0); }));

  const auto verified = std::get<VerifyAnswer>(messages[5]);
  CHECK(inconsistent(verified, [](auto& m) { m.volume = VolumeId(0); }));
  CHECK(inconsistent(verified, [](auto& m) { m.gvn = Gvn(0); }));
  CHECK(inconsistent(verified, [](auto& m) { m.mode = AccessMode::read_write; }));  // a writer is its own era
  CHECK(inconsistent(verified, [](auto& m) { m.era = Gvn(0); }));
  CHECK(inconsistent(verified, [](auto& m) { m.era = Gvn(m.gvn.value() + 1); }));
  CHECK(inconsistent(verified, [](auto& m) { m.block_size = 0; }));
  CHECK(inconsistent(verified, [](auto& m) { m.size = ByteCount(1); }));
  VerifyAnswer no;
  no.status = StatusCode::stale_version;
  no.volume = VolumeId(1);
  no.gvn = Gvn(1);
  CHECK(inconsistent(no, [](auto& m) { m.era = Gvn(1); }));
  CHECK(inconsistent(no, [](auto& m) { m.size = ByteCount(4096); }));
  CHECK(inconsistent(no, [](auto& m) { m.block_size = 4096; }));

  CHECK(inconsistent(std::get<QuiesceRequest>(messages[6]), [](auto& m) { m.volume = VolumeId(0); }));
  CHECK(inconsistent(std::get<QuiesceRequest>(messages[6]), [](auto& m) { m.gvn = Gvn(0); }));
  CHECK(inconsistent(std::get<QuiesceAnswer>(messages[7]), [](auto& m) { m.volume = VolumeId(0); }));
  CHECK(inconsistent(std::get<Hello>(messages[8]), [](auto& m) { m.node = NodeId(0); }));
  CHECK(inconsistent(std::get<Hello>(messages[8]), [](auto& m) { m.boot = BootId(0); }));
  CHECK(inconsistent(std::get<Hello>(messages[8]), [](auto& m) { m.reactors = 0; }));
  CHECK(inconsistent(std::get<Hello>(messages[8]), [](auto& m) { m.reactors = kMaxReactors + 1; }));
  CHECK(inconsistent(std::get<HelloAnswer>(messages[9]), [](auto& m) { m.manager_version = {}; }));
  CHECK(HelloAnswer{StatusCode::not_master, {}}.is_consistent());
  CHECK(inconsistent(std::get<CloseRequest>(messages[10]), [](auto& m) { m.client = {}; }));
  CHECK(inconsistent(std::get<CloseAnswer>(messages[11]), [](auto& m) { m.volume = VolumeId(0); }));
  CHECK(inconsistent(std::get<CloseAnswer>(messages[11]), [](auto& m) { m.gvn = Gvn(0); }));
}

/// Changes one field of a message, counted in wire order.
class OneField {
 public:
  explicit OneField(std::size_t which) : which_(which) {}

  template <wire::NumberField T>
  void operator()(std::string_view /*name*/, T& value, std::string_view /*meaning*/) {
    if (is_it()) ++value;
  }
  template <wire::BoolField T>
  void operator()(std::string_view /*name*/, T& value, std::string_view /*meaning*/) {
    if (is_it()) value = !value;
  }
  template <wire::QuantityField T>
  void operator()(std::string_view /*name*/, T& value, std::string_view /*meaning*/) {
    if (is_it()) value = T(static_cast<typename T::rep>(value.value() + 1));
  }
  template <wire::EnumField T>
  void operator()(std::string_view /*name*/, T& value, std::string_view /*meaning*/) {
    if (is_it()) value = static_cast<T>(static_cast<std::underlying_type_t<T>>(value) + 1);
  }
  template <wire::NameField T>
  void operator()(std::string_view /*name*/, T& value, std::string_view /*meaning*/) {
    if (is_it()) value = *T::from("another");
  }
  template <wire::VectorField T>
  void operator()(std::string_view /*name*/, T& vector, std::string_view /*meaning*/) {
    if (is_it()) vector.push_back({});
  }
  void reserved(std::size_t /*count*/) {}

  [[nodiscard]] bool found() const { return count_ > which_; }

 private:
  bool is_it() { return count_++ == which_; }

  std::size_t which_;
  std::size_t count_ = 0;
};

TEST_CASE("messages that differ in any one field are different", "[wire]") {
  for (const ControlMessage& sample : sample_messages()) {
    std::visit(
        [](const auto& message) {
          for (std::size_t which = 0;; ++which) {
            auto changed = message;
            OneField change(which);
            std::remove_cvref_t<decltype(message)>::fields(changed, change);
            if (!change.found()) break;
            CHECK_FALSE(changed == message);
          }
        },
        sample);
  }
  CHECK_FALSE(FenceReport{VolumeId(1), Gvn(1)} == FenceReport{VolumeId(2), Gvn(1)});
  CHECK_FALSE(FenceReport{VolumeId(1), Gvn(1)} == FenceReport{VolumeId(1), Gvn(2)});
}

TEST_CASE("control messages print all their fields", "[wire]") {
  CHECK(to_string(ControlFrame{RequestId(3), Keepalive{true, 9}}) == "keepalive#3{reply=yes count=9}");
  const std::string hello = to_string(ControlFrame{RequestId(3), sample_messages()[8]});
  CHECK(hello.find("addresses=[10.0.0.1:7471, 10.0.1.1:7471]") != std::string::npos);
  CHECK(hello.find("fences=[volume=1 fence=1.2, volume=2 fence=1.9]") != std::string::npos);
  const std::string open = to_string(ControlFrame{RequestId(3), sample_messages()[0]});
  CHECK(open.find(
            "open_request#3{kind=open mode=read_write steal=no volume=0 name=db client=host-1/qemu-7") == 0);
}

TEST_CASE("every enumerator of the control messages has a name of its own", "[wire]") {
  for (std::uint16_t i = 0; i <= 64; ++i) {
    const auto type = static_cast<ControlType>(i);
    CHECK(is_valid(type) == (to_string(type) != "unknown_control_message"));
  }
  for (std::uint8_t i = 0; i <= 4; ++i) {
    CHECK(is_valid(static_cast<OpenKind>(i)) == (to_string(static_cast<OpenKind>(i)) != "unknown_open_kind"));
    CHECK(is_valid(static_cast<AccessMode>(i)) ==
          (to_string(static_cast<AccessMode>(i)) != "unknown_access_mode"));
    CHECK(is_valid(static_cast<WritePolicy>(i)) ==
          (to_string(static_cast<WritePolicy>(i)) != "unknown_write_policy"));
  }
}

}  // namespace
}  // namespace sluice::protocol
