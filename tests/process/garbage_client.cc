// Sends a daemon everything that it must not believe: random bytes, damaged and truncated messages, frames of
// other kinds and versions, forged versions and cookies. Reports, as JSON, what became of the connections.

#include <array>
#include <cstring>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <boost/program_options.hpp>

#include "protocol/control_messages.h"
#include "protocol/io_frame.h"
#include "protocol/private_data.h"
#include "runtime/reactor.h"
#include "transport/factory.h"

namespace sluice::test {
namespace {

namespace po = boost::program_options;
using protocol::ControlFrame;

constexpr std::uint32_t kMaxGarbageBytes = 4096;
constexpr Duration kPatience = std::chrono::milliseconds(300);

using Random = std::mt19937_64;

std::vector<std::byte> random_bytes(Random& random, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes)
    byte = static_cast<std::byte>(random() >> 56U);
  return bytes;
}

std::vector<std::byte> encoded(const ControlFrame& frame) {
  std::array<std::byte, protocol::kMaxControlSize> bytes{};
  const std::size_t length = protocol::encode(frame, bytes);
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)};
}

protocol::SessionOpen forged_open(Random& random, VolumeId volume) {
  protocol::SessionOpen open;
  open.volume = volume;
  open.gvn = Gvn(random() | 1U);
  open.client = *protocol::ClientId::from("forger");
  open.nonce = protocol::Nonce(random() | 1U);
  return open;
}

std::vector<std::byte> forged_request(Random& random, bool truncated) {
  protocol::IoRequest request;
  request.op = protocol::IoOp::write;
  request.placement = protocol::DataPlacement::in_capsule;
  request.gvn = Gvn(random() | 1U);
  request.seq = Seq(1 + random() % 10);
  request.low = Seq(1);
  request.length = 512;
  request.data_crc = static_cast<std::uint32_t>(random());
  std::vector<std::byte> capsule(protocol::kIoRequestSize + request.length);
  protocol::encode(request, std::span(capsule).first<protocol::kIoRequestSize>());
  if (truncated) capsule.resize(1 + random() % (capsule.size() - 1));
  return capsule;
}

/// A message that no daemon may act on.
std::vector<std::byte> garbage(Random& random, VolumeId volume) {
  switch (random() % 7) {
    case 0:
      return random_bytes(random, 1 + random() % kMaxGarbageBytes);
    case 1: {  // one bit is wrong
      auto bytes = encoded({protocol::RequestId(1), forged_open(random, volume)});
      bytes[random() % bytes.size()] ^= static_cast<std::byte>(1U << random() % 8);
      return bytes;
    }
    case 2: {  // cut short
      auto bytes = encoded({protocol::RequestId(1), forged_open(random, volume)});
      bytes.resize(1 + random() % (bytes.size() - 1));
      return bytes;
    }
    case 3:  // a good message with a forged version
      return encoded({protocol::RequestId(random()), forged_open(random, volume)});
    case 4:  // an answer that nobody asked for
      return encoded({protocol::RequestId(random()),
                      protocol::HeartbeatAnswer{StatusCode::ok, ManagerVersion(UINT32_MAX)}});
    default:
      return forged_request(random, random() % 2 == 0);
  }
}

/// What a connection is asked for with: nothing, a forged attach, or anything.
std::vector<std::byte> private_data(Random& random, VolumeId volume) {
  switch (random() % 3) {
    case 0:
      return {};
    case 1:
      return random_bytes(random, 1 + random() % transport::kMaxConnectData);
    default: {
      protocol::PathAttach attach;
      attach.depth = 16;
      attach.epoch = protocol::PathEpoch(1);
      attach.gvn = Gvn(random() | 1U);
      attach.volume = volume;
      attach.cookie = protocol::Cookie(random() | 1U);
      std::array<std::byte, protocol::kMaxPrivateDataSize> bytes{};
      const std::size_t length = protocol::encode(attach, bytes);
      return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)};
    }
  }
}

struct Counts {
  std::uint64_t connections = 0;
  std::uint64_t refused = 0;
  std::uint64_t cut_off = 0;
  std::uint64_t refusing_answers = 0;
  std::uint64_t answered_ok = 0;
};

/// One connection, from its start to its end.
class Attempt final : public runtime::LinkHandler {
 public:
  Attempt(Random& random, VolumeId volume, Counts& counts)
      : random_(random), volume_(volume), counts_(counts) {}

  void on_up(runtime::Link& link, std::span<const std::byte> /*said*/) override {
    is_up_ = true;
    for (int i = 0; i < 3; ++i) {
      const auto bytes = garbage(random_, volume_);
      static_cast<void>(link.send({.head = bytes}));
    }
  }
  void on_message(runtime::Link& link, std::span<const std::byte> bytes,
                  transport::MessageHandle message) override {
    if (const auto frame = protocol::decode_control(bytes)) {
      if (const auto* answer = std::get_if<protocol::SessionAnswer>(&frame->message)) {
        ++(answer->status == StatusCode::ok ? counts_.answered_ok : counts_.refusing_answers);
      }
    } else if (const auto response = protocol::decode_response(bytes)) {
      ++(response->status == StatusCode::ok ? counts_.answered_ok : counts_.refusing_answers);
    }
    link.release(message);
  }
  void on_sent(runtime::Link& /*link*/, std::uint64_t /*tag*/,
               transport::CompletionStatus /*status*/) override {}
  void on_down(runtime::Link& /*link*/, const Error& /*why*/, std::span<const std::byte> /*said*/) override {
    ++(is_up_ ? counts_.cut_off : counts_.refused);
  }
  void on_drained(runtime::Link& /*link*/) override { is_over_ = true; }

  [[nodiscard]] bool is_over() const noexcept { return is_over_; }

 private:
  Random& random_;
  VolumeId volume_;
  Counts& counts_;
  bool is_up_ = false;
  bool is_over_ = false;
};

Status attempt(runtime::Reactor& reactor, const transport::Address& address, Random& random, VolumeId volume,
               Counts& counts) {
  auto domain = reactor.control_domain(runtime::Rail{0});
  if (!domain) return tl::unexpected(domain.error());
  transport::ChannelConfig config;
  config.max_send_head_bytes = kMaxGarbageBytes;
  config.receive_credits = 8;
  Attempt handler(random, volume, counts);
  auto link =
      reactor.connect(runtime::Rail{0}, **domain, address, config, private_data(random, volume), handler);
  if (!link) return tl::unexpected(link.error());
  ++counts.connections;
  const SteadyClock clock;
  const Instant start = clock.now();
  bool is_closing = false;
  while (!handler.is_over()) {
    reactor.poll();
    reactor.flush();
    if (!is_closing && clock.now() - start > kPatience) {
      (*link)->close();
      is_closing = true;
    }
    static_cast<void>(reactor.arm());
  }
  return {};
}

int run(const po::variables_map& values) {
  transport::TransportConfig config;
  config.provider = transport::parse_provider_choice(values["provider"].as<std::string>()).value();
  auto provider = transport::open_provider(config);
  if (!provider) {
    std::cerr << provider.error().describe() << "\n";
    return 1;
  }
  const auto address = transport::parse_address(values["address"].as<std::string>()).value();
  const VolumeId volume(values["volume"].as<std::uint64_t>());
  runtime::Reactor reactor;
  if (auto rail = reactor.add_rail(std::move(*provider), 256); !rail) {
    std::cerr << rail.error().describe() << "\n";
    return 1;
  }
  Counts counts;
  Random random(values["seed"].as<std::uint64_t>());
  for (std::uint32_t round = 0; round < values["rounds"].as<std::uint32_t>(); ++round) {
    if (auto tried = attempt(reactor, address, random, volume, counts); !tried) {
      std::cerr << tried.error().describe() << "\n";
      return 1;
    }
  }
  std::cout << "{\"connections\": " << counts.connections << ", \"refused\": " << counts.refused
            << ", \"cut_off\": " << counts.cut_off << ", \"refusing_answers\": " << counts.refusing_answers
            << ", \"answered_ok\": " << counts.answered_ok << "}\n";
  return 0;
}

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
  namespace po = boost::program_options;
  po::options_description options;
  auto add = options.add_options();
  add("address", po::value<std::string>()->required());
  add("provider", po::value<std::string>()->default_value("auto"));
  add("volume", po::value<std::uint64_t>()->default_value(1));
  add("rounds", po::value<std::uint32_t>()->default_value(100));
  add("seed", po::value<std::uint64_t>()->default_value(1));
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  return sluice::test::run(values);
}
