#include "tests/unit/client/small_node.h"

#include <algorithm>
#include <array>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"

namespace sluice::client::test {
namespace {

using protocol::IoOp;
using protocol::IoRequest;

protocol::VolumeSessionsConfig sessions_config(const SmallNode::Config& config, protocol::BootId boot) {
  protocol::VolumeSessionsConfig sessions;
  sessions.volume = config.volume;
  sessions.node = SmallNode::kId;
  sessions.boot = boot;
  sessions.max_paths = static_cast<std::uint16_t>(config.addresses.size());
  sessions.path_depth = config.path_depth;
  return sessions;
}

}  // namespace

SmallNode::SmallNode(std::vector<std::unique_ptr<transport::Provider>> providers, const Clock& clock,
                     Config config, protocol::BootId boot, SmallDisk& disk, AskMasterCall ask_master)
    : config_(std::move(config)),
      disk_(disk),
      ask_master_(std::move(ask_master)),
      clock_(clock),
      boot_(boot),
      sessions_(sessions_config(config_, boot), {disk.fence, disk.manager_version, false}),
      next_cookie_(boot.value() * 1000) {
  sessions_.on_backend_locked();
  for (std::size_t i = 0; i < config_.addresses.size(); ++i) {
    const auto rail = reactor_.add_rail(std::move(providers[i]), 16384);
    check(rail.has_value(), "a rail is added");
    auto listening = reactor_.listen(*rail, config_.addresses[i], *this);
    check(listening.has_value(), "the node listens");
    listeners_.push_back(std::move(*listening));
  }
}

protocol::Hello SmallNode::hello() const {
  protocol::Hello hello;
  hello.node = kId;
  hello.boot = boot_;
  hello.manager_version = disk_.manager_version;
  for (const auto& listener : listeners_)
    hello.addresses.push_back(*protocol::NodeAddress::from(to_string(listener->address())));
  if (disk_.fence != Gvn(0)) hello.fences.push_back({config_.volume, disk_.fence});
  return hello;
}

SmallNode::~SmallNode() = default;

bool SmallNode::turn() {
  const bool any = reactor_.poll() || !later_.empty();
  for (const auto& call : std::exchange(later_, {}))
    call();
  if (const Instant now = clock_.now(); now >= next_tick_) {
    next_tick_ = now + std::chrono::milliseconds(10);
    tell([&](protocol::ServerActions& actions) { sessions_.on_tick(now, actions); });
  }
  reactor_.flush();
  return any;
}

// ---- Connections

void SmallNode::on_incoming(runtime::Incoming incoming) {
  const auto data = incoming.request->private_data();
  if (data.empty()) {
    auto domain = reactor_.control_domain(incoming.rail);
    runtime::ControlHandler& handler = *this;
    auto link = runtime::ControlLink::accept(reactor_, std::move(incoming), **domain, {}, handler);
    if (link) controls_.push_back(std::move(*link));
    return;
  }
  const auto decoded = protocol::decode_private_data(data);
  check(decoded.has_value(), "a path attach decodes");
  const auto attach = std::get<protocol::PathAttach>(*decoded);
  if (refuses_paths) return;  // dropped, it is rejected
  const protocol::Token token(++next_token_);
  attaches_[token] = std::move(incoming);
  tell([&](protocol::ServerActions& actions) { sessions_.on_path_attach(token, attach, actions); });
}

void SmallNode::on_control(runtime::ControlLink& link, const protocol::ControlFrame& frame) {
  const protocol::Token token(++next_token_);
  askers_[token] = {&link, frame.request_id};
  if (const auto* open = std::get_if<protocol::SessionOpen>(&frame.message)) {
    tell([&](protocol::ServerActions& actions) {
      sessions_.on_session_open(token, *open, protocol::Cookie(++next_cookie_), clock_.now(), actions);
    });
  }
  if (const auto* close = std::get_if<protocol::CloseRequest>(&frame.message)) {
    tell([&](protocol::ServerActions& actions) { sessions_.on_close(token, *close, clock_.now(), actions); });
  }
}

void SmallNode::on_control_drained(runtime::ControlLink& link) {
  std::erase_if(askers_, [&](const auto& asker) { return asker.second.link == &link; });
  std::erase_if(controls_, [&](const auto& each) { return each.get() == &link; });
}

void SmallNode::on_down(runtime::Link& link, const Error& /*why*/, std::span<const std::byte> /*data*/) {
  Path& path = *find(link);
  if (path.destroying) return;
  tell([&](protocol::ServerActions& actions) { sessions_.on_path_lost(*path.key, actions); });
}

void SmallNode::on_drained(runtime::Link& link) {
  Path& path = *find(link);
  path.link.reset();
  if (!path.destroying) return;
  tell([&](protocol::ServerActions& actions) { sessions_.on_queue_pair_destroyed(*path.key, actions); });
}

SmallNode::Path* SmallNode::find(const protocol::PathKey& key) {
  const auto found = std::find_if(paths_.begin(), paths_.end(), [&](const auto& p) { return p->key == key; });
  return found == paths_.end() ? nullptr : found->get();
}

SmallNode::Path* SmallNode::find(const runtime::Link& link) {
  const auto found =
      std::find_if(paths_.begin(), paths_.end(), [&](const auto& p) { return p->link.get() == &link; });
  check(found != paths_.end(), "a link belongs to a path");
  return found->get();
}

// ---- Requests

void SmallNode::on_message(runtime::Link& link, std::span<const std::byte> bytes,
                           transport::MessageHandle message) {
  Path& path = *find(link);
  if (protocol::classify(bytes) == protocol::FrameKind::control) {
    const auto frame = protocol::decode_control(bytes);
    const auto keepalive = std::get<protocol::Keepalive>(frame->message);
    std::array<std::byte, protocol::kMaxControlSize> answer;
    const std::size_t length =
        protocol::encode({protocol::RequestId(0), protocol::Keepalive{true, keepalive.count}}, answer);
    transport::OutgoingMessage outgoing;
    outgoing.head = std::span(answer).first(length);
    link.release(message);
    static_cast<void>(link.send(outgoing));
    return;
  }
  path.arriving = bytes;
  tell([&](protocol::ServerActions& actions) { sessions_.on_request(*path.key, bytes, actions); });
  path.arriving = {};
  link.release(message);
}

std::span<const std::byte> SmallNode::data_of(const IoRequest& request, const Path& path) const {
  if (request.placement == protocol::DataPlacement::in_capsule) {
    return protocol::in_capsule_data(path.arriving);
  }
  if (request.placement == protocol::DataPlacement::slot) {
    const auto place = protocol::find_slot(config_.slots, request.slot);
    return path.slab.memory().subspan(place->offset, request.length);
  }
  return {};
}

void SmallNode::perform(const protocol::Execute& action) {
  const IoRequest& request = sessions_.session(action.path.gvn)->request(action.attempt);
  Path* const path = find(action.path);
  const std::span<const std::byte> data =
      path == nullptr ? std::span<const std::byte>() : data_of(request, *path);
  if (holds && holds(request)) {
    held_.push_back({action, {data.begin(), data.end()}});
    return;
  }
  later_.emplace_back(
      [this, action, copy = std::vector<std::byte>(data.begin(), data.end())] { run(action, copy); });
}

void SmallNode::let_go() {
  holds = nullptr;
  for (HeldIo& io : std::exchange(held_, {}))
    run(io.action, io.data);
}

void SmallNode::run(const protocol::Execute& action, std::span<const std::byte> data) {
  const Gvn gvn = action.path.gvn;
  const IoRequest request = sessions_.session(gvn)->request(action.attempt);
  if (request.op == IoOp::write && crc32c(data) != request.data_crc) {
    return tell(
        [&](protocol::ServerActions& actions) { sessions_.on_bad_payload(gvn, action.attempt, actions); });
  }
  bool may_submit = false;
  tell([&](protocol::ServerActions& actions) {
    may_submit = sessions_.may_submit(gvn, action.attempt, actions);
  });
  if (!may_submit) return;
  protocol::IoOutcome outcome;
  const auto range = std::span(disk_.bytes).subspan(request.offset.value(), request.length);
  if (request.op == IoOp::write) {
    std::copy(data.begin(), data.end(), range.begin());
    ++writes_done;
  }
  if (request.op == IoOp::write_zeroes) std::fill(range.begin(), range.end(), std::byte{0});
  if (request.op == IoOp::read) {
    read_data_[action.attempt.value()].assign(range.begin(), range.end());
    outcome.data_crc = crc32c(range);
  }
  tell(
      [&](protocol::ServerActions& actions) { sessions_.on_io_done(gvn, action.attempt, outcome, actions); });
}

void SmallNode::perform(const protocol::Respond& action) {
  Path* const path = find(action.path);
  if (path == nullptr || !path->link) return;
  std::array<std::byte, protocol::kIoResponseSize> head;
  protocol::encode(action.response, head);
  transport::OutgoingMessage message;
  message.head = head;
  transport::WorkRequest write;
  if (action.response.op == IoOp::read && action.response.status == StatusCode::ok) {
    const std::vector<std::byte>& data = read_data_.at(action.attempt.value());
    // As many buffers as there may be unanswered requests: one is used again when its answer has been seen.
    const std::size_t at = path->answers_at + std::size_t{path->next_answer} * config_.longest_io;
    path->next_answer = (path->next_answer + 1) % config_.path_depth;
    const auto length = static_cast<std::uint32_t>(data.size());
    std::copy(data.begin(), data.end(), path->slab.memory().begin() + static_cast<std::ptrdiff_t>(at));
    if (damage_next_reads > 0) {
      --damage_next_reads;
      path->slab.memory()[at + length / 2] ^= std::byte{0x40};
    }
    write.opcode = transport::Opcode::write;
    write.segment_count = 1;
    write.segments[0] = path->region->local(at, length);
    write.remote = {action.target.key, action.target.address};
    message.before = {&write, 1};
  }
  static_cast<void>(path->link->send(message));
}

// ---- Paths

void SmallNode::perform(const protocol::AcceptPath& action) {
  auto path = std::make_unique<Path>();
  path->key = action.path;
  runtime::Incoming incoming = std::move(attaches_.at(action.token));
  attaches_.erase(action.token);
  std::size_t slot_bytes = 0;
  for (const protocol::SlotClass& slots : config_.slots)
    slot_bytes += std::size_t{slots.slot_size} * slots.count;
  path->answers_at = slot_bytes;
  path->slab = std::move(*transport::Slab::map(
      slot_bytes + std::size_t{config_.path_depth} * config_.longest_io, transport::Slab::Pages::plain));
  path->domain = std::move(*reactor_.provider(incoming.rail).create_protection_domain());
  auto region = path->domain->register_memory(path->slab.memory(), transport::Access::remote_write);
  check(region.has_value(), "a path's memory is registered");
  path->region = std::move(*region);

  protocol::PathAccept accept;
  accept.path = action.path.path;
  accept.depth = action.depth;
  accept.epoch = action.path.epoch;
  accept.gvn = action.path.gvn;
  accept.in_capsule_limit = protocol::kMaxInCapsuleData;
  accept.region_key = path->region->remote(0).key;
  accept.region_base = path->region->remote(0).address;
  accept.slots = config_.slots;
  std::array<std::byte, protocol::kMaxPrivateDataSize> bytes;
  const std::size_t length = protocol::encode(protocol::PrivateData(accept), bytes);
  transport::ChannelConfig channel;
  channel.receive_credits = static_cast<std::uint16_t>(action.depth + 8);
  channel.send_depth = std::min(std::uint32_t{4} * action.depth + 64,
                                reactor_.provider(incoming.rail).info().max_queue_depth - 2);
  runtime::LinkHandler& handler = *this;
  auto link =
      reactor_.accept(std::move(incoming), *path->domain, channel, std::span(bytes).first(length), handler);
  if (!link) {
    later_.emplace_back([this, key = action.path] {
      tell([&](protocol::ServerActions& actions) { sessions_.on_path_lost(key, actions); });
    });
  } else {
    path->link = std::move(*link);
  }
  paths_.push_back(std::move(path));
}

void SmallNode::perform(const protocol::RejectPath& action) {
  std::array<std::byte, protocol::kMaxPrivateDataSize> bytes;
  const std::size_t length = protocol::encode(protocol::PrivateData(action.reject), bytes);
  reactor_.reject(std::move(attaches_.at(action.token)), std::span(bytes).first(length));
  attaches_.erase(action.token);
}

void SmallNode::perform(const protocol::DestroyQueuePair& action) {
  Path* const path = find(action.path);
  check(path != nullptr, "a path that is destroyed was accepted");
  path->destroying = true;
  if (path->link) return path->link->close();
  later_.emplace_back([this, key = action.path] {
    tell([&](protocol::ServerActions& actions) { sessions_.on_queue_pair_destroyed(key, actions); });
  });
}

void SmallNode::perform(const protocol::ReleasePath& action) {
  std::erase_if(paths_, [&](const auto& path) { return path->key == action.path; });
}

// ---- Sessions

void SmallNode::perform(const protocol::AskMaster& action) {
  later_.emplace_back([this, action] {
    const protocol::VerifyAnswer answer = ask_master_(action.request);
    tell([&](protocol::ServerActions& actions) { sessions_.on_verify_answer(action.id, answer, actions); });
  });
}

void SmallNode::perform(const protocol::PersistFence& action) {
  disk_.fence = action.fence;
  disk_.manager_version = action.manager_version;
  later_.emplace_back([this, action] {
    tell([&](protocol::ServerActions& actions) {
      sessions_.on_fence_durable(action.fence, StatusCode::ok, actions);
    });
  });
}

void SmallNode::perform(const protocol::AnswerSession& action) {
  const auto asker = askers_.find(action.token);
  if (asker == askers_.end()) return;
  static_cast<void>(asker->second.link->send({asker->second.id, action.answer}));
  askers_.erase(asker);
}

void SmallNode::perform(const protocol::AnswerClose& action) {
  const auto asker = askers_.find(action.token);
  if (asker == askers_.end()) return;
  static_cast<void>(asker->second.link->send({asker->second.id, action.answer}));
  askers_.erase(asker);
}

}  // namespace sluice::client::test
