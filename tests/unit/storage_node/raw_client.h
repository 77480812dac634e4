#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <catch2/catch.hpp>

#include "protocol/base/crc32c.h"
#include "protocol/control_messages.h"
#include "protocol/io_frame.h"
#include "protocol/private_data.h"
#include "runtime/control_link.h"
#include "runtime/link.h"
#include "runtime/reactor.h"

namespace sluice::storage_node::test {

inline constexpr std::uint32_t kBlock = 4096;
inline constexpr VolumeId kVolume{12};

inline Gvn gvn_of(std::uint32_t open, std::uint32_t manager = 1) {
  return make_gvn(ManagerVersion(manager), OpenVersion(open));
}

/// A client with its hands free: sends whatever the test wants, when it wants, and keeps what comes back.
class RawClient final : private runtime::ControlHandler {
 public:
  explicit RawClient(std::unique_ptr<transport::Provider> provider, std::uint16_t receive_credits = 300)
      : memory(8UL * 1024 * 1024), receive_credits_(receive_credits), provider_(provider.get()) {
    rail_ = *reactor.add_rail(std::move(provider), 8192);
    domain = std::move(*provider_->create_protection_domain());
    region = std::move(
        *domain->register_memory(memory, transport::Access::local_write | transport::Access::remote_write));
  }
  ~RawClient() override {
    paths.clear();
    control.reset();
  }

  /// One path's connection, as the client sees it.
  class RawPath final : public runtime::LinkHandler {
   public:
    explicit RawPath(RawClient& client) : client_(client) {}

    std::optional<protocol::PathAccept> accept;
    std::optional<protocol::PathReject> reject;
    bool is_down = false;
    bool is_drained = false;
    std::string why;
    std::vector<protocol::IoResponse> responses;
    std::size_t keepalives = 0;
    protocol::PathTag tag;
    std::unique_ptr<runtime::Link> link;

    void send_bytes(std::span<const std::byte> bytes) { REQUIRE(link->send({.head = bytes})); }
    [[nodiscard]] bool has(std::size_t count) const { return responses.size() >= count || is_down; }

   private:
    friend class RawClient;
    void on_up(runtime::Link& /*link*/, std::span<const std::byte> data) override {
      const auto message = protocol::decode_private_data(data);
      REQUIRE(message);
      accept = std::get<protocol::PathAccept>(*message);
    }
    void on_message(runtime::Link& from, std::span<const std::byte> bytes,
                    transport::MessageHandle message) override {
      if (protocol::classify(bytes) == protocol::FrameKind::control) {
        ++keepalives;
      } else {
        const auto response = protocol::decode_response(bytes);
        REQUIRE(response);
        responses.push_back(*response);
      }
      if (!client_.holds_answers) from.release(message);
    }
    void on_sent(runtime::Link& /*link*/, std::uint64_t /*tag*/,
                 transport::CompletionStatus /*status*/) override {}
    void on_down(runtime::Link& /*link*/, const Error& error, std::span<const std::byte> data) override {
      is_down = true;
      why = error.describe();
      const auto message = protocol::decode_private_data(data);
      if (!message) return;
      if (const auto* const told = std::get_if<protocol::PathReject>(&*message)) reject = *told;
    }
    void on_drained(runtime::Link& /*link*/) override { is_drained = true; }

    RawClient& client_;
  };

  void connect_control(const transport::Address& address) {
    control_up = false;
    control = std::move(
        *runtime::ControlLink::connect(reactor, rail_, **reactor.control_domain(rail_), address, {}, *this));
  }
  void ask(std::uint64_t id, const protocol::ControlMessage& message) {
    REQUIRE(control->send({protocol::RequestId(id), message}));
  }
  void open(std::uint64_t id, Gvn gvn, std::uint64_t nonce = 1, VolumeId volume = kVolume) {
    ask(id, protocol::SessionOpen{volume, gvn, *protocol::ClientId::from("vm1"), protocol::Nonce(nonce)});
  }
  template <typename Message>
  [[nodiscard]] const Message* answer(std::uint64_t id) const {
    for (const protocol::ControlFrame& frame : frames) {
      if (frame.request_id == protocol::RequestId(id)) return std::get_if<Message>(&frame.message);
    }
    return nullptr;
  }

  RawPath& attach(const transport::Address& address, const protocol::SessionAnswer& session,
                  std::uint8_t path = 0, std::uint32_t epoch = 1, std::uint16_t depth = 256) {
    return attach_bytes(
        address, protocol::PathAttach{protocol::PathId(path), depth, protocol::PathEpoch(epoch), session.gvn,
                                      session.volume, session.cookie});
  }
  RawPath& attach_bytes(const transport::Address& address, const protocol::PathAttach& attach) {
    std::array<std::byte, protocol::kMaxPrivateDataSize> bytes;
    const std::size_t length = protocol::encode(protocol::PrivateData(attach), bytes);
    RawPath& path = connect_path(address, std::span(bytes).first(length));
    path.tag = protocol::make_path_tag(attach.volume, attach.gvn, attach.cookie, attach.path, attach.epoch);
    return path;
  }
  RawPath& connect_path(const transport::Address& address, std::span<const std::byte> private_data) {
    paths.push_back(std::make_unique<RawPath>(*this));
    transport::ChannelConfig config;
    config.max_receive_bytes = 4096;
    config.max_send_head_bytes = protocol::kMaxCapsuleSize;
    config.receive_credits = receive_credits_;
    config.send_depth = std::min(512U, client_depth());
    paths.back()->link =
        std::move(*reactor.connect(rail_, *domain, address, config, private_data, *paths.back()));
    return *paths.back();
  }

  // ---- Requests

  static protocol::IoRequest request(const RawPath& path, Gvn gvn, protocol::IoOp op, std::uint64_t seq,
                                     std::uint64_t low, std::uint64_t block = 0,
                                     std::uint32_t length = kBlock) {
    protocol::IoRequest made;
    made.op = op;
    made.gvn = gvn;
    made.seq = Seq(seq);
    made.low = Seq(low);
    made.path_tag = path.tag;
    if (op == protocol::IoOp::flush) return made;
    made.offset = ByteCount(block * kBlock);
    made.length = length;
    return made;
  }
  void send(RawPath& path, const protocol::IoRequest& request, std::span<const std::byte> data = {}) {
    std::vector<std::byte> bytes(protocol::kIoRequestSize + data.size());
    protocol::encode(request, std::span<std::byte, protocol::kIoRequestSize>(bytes.data(), 64));
    std::ranges::copy(data, bytes.begin() + protocol::kIoRequestSize);
    path.send_bytes(bytes);
  }
  /// A write of one block in the capsule.
  void write(RawPath& path, Gvn gvn, std::uint64_t seq, std::uint64_t low, std::uint64_t block,
             std::uint8_t fill, std::uint32_t spoil = 0) {
    const std::vector<std::byte> data(kBlock, static_cast<std::byte>(fill));
    protocol::IoRequest made = request(path, gvn, protocol::IoOp::write, seq, low, block);
    made.placement = protocol::DataPlacement::in_capsule;
    made.data_crc = crc32c(data) ^ spoil;
    send(path, made, data);
  }
  /// A write through a slot: WRITE, then SEND, in one chain.
  void write_slot(RawPath& path, Gvn gvn, std::uint64_t seq, std::uint64_t low, std::uint64_t block,
                  std::uint32_t length, std::uint8_t fill, std::uint16_t slot) {
    const std::size_t at = (4 + 2 * (seq % 2)) * 1024 * 1024;  // not the last one's: it may not have left yet
    std::fill_n(memory.data() + at, length, static_cast<std::byte>(fill));
    protocol::IoRequest made = request(path, gvn, protocol::IoOp::write, seq, low, block, length);
    made.placement = protocol::DataPlacement::slot;
    made.slot = protocol::SlotIndex(slot);
    made.data_crc = crc32c(std::span(memory).subspan(at, length));
    std::array<std::byte, protocol::kIoRequestSize> head;
    protocol::encode(made, head);
    const auto place = protocol::find_slot(path.accept->slots, made.slot);
    transport::WorkRequest write;
    write.opcode = transport::Opcode::write;
    write.segment_count = 1;
    write.segments[0] = region->local(at, length);
    write.remote = {path.accept->region_key, path.accept->region_base + (place ? place->offset : 0)};
    REQUIRE(path.link->send({.before = {&write, place ? 1U : 0U}, .head = head}));
  }
  void read(RawPath& path, Gvn gvn, std::uint64_t seq, std::uint64_t low, std::uint64_t block,
            std::uint32_t length, std::size_t into) {
    protocol::IoRequest made = request(path, gvn, protocol::IoOp::read, seq, low, block, length);
    made.placement = protocol::DataPlacement::remote;
    made.target = {region->remote(into).key, region->remote(into).address};
    send(path, made);
  }
  void plain(RawPath& path, Gvn gvn, protocol::IoOp op, std::uint64_t seq, std::uint64_t low,
             std::uint64_t block = 0, std::uint32_t length = kBlock) {
    send(path, request(path, gvn, op, seq, low, block, length));
  }

  [[nodiscard]] std::uint32_t client_depth() const { return provider_->info().max_queue_depth - 2; }

  void turn() {
    reactor.poll();
    reactor.flush();
  }

  runtime::Reactor reactor;
  std::vector<std::byte> memory;
  std::unique_ptr<transport::ProtectionDomain> domain;
  std::unique_ptr<transport::Region> region;
  std::vector<protocol::ControlFrame> frames;
  std::vector<std::unique_ptr<RawPath>> paths;
  std::unique_ptr<runtime::ControlLink> control;
  bool control_up = false;
  bool control_down = false;
  bool holds_answers = false;  ///< keeps the receives of answers: no credits for the node

 private:
  void on_control_up(runtime::ControlLink& /*link*/) override { control_up = true; }
  void on_control(runtime::ControlLink& /*link*/, const protocol::ControlFrame& frame) override {
    frames.push_back(frame);
  }
  void on_control_down(runtime::ControlLink& /*link*/, const Error& /*why*/) override { control_down = true; }
  void on_control_drained(runtime::ControlLink& /*link*/) override { control.reset(); }

  std::uint16_t receive_credits_;
  transport::Provider* provider_;
  runtime::Rail rail_{};
};

}  // namespace sluice::storage_node::test
