#include "client/volume_client.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"

namespace sluice::client {
namespace {

using protocol::IoOp;
using protocol::PathId;
using protocol::SessionPhase;
using transport::LogLevel;

/// Times that data read may be damaged on its way before that is the outcome.
constexpr std::uint32_t kMaxBadChecksums = 3;

/// Often enough for the shortest of the times to be kept within half of it.
Duration tick_interval(const VolumeClientConfig& config) {
  const protocol::ClientConfig& session = config.session;
  const Duration shortest = std::min({session.io_timeout, session.keepalive_interval, session.reconnect.min,
                                      session.control_timeout, session.ask_again.min, session.loss_deadline,
                                      session.ask_master_after, session.close_timeout, config.redial.min});
  return std::max<Duration>(shortest / 2, std::chrono::milliseconds(1));
}

template <typename... Calls>
struct Overloaded : Calls... {
  using Calls::operator()...;
};
template <typename... Calls>
Overloaded(Calls...) -> Overloaded<Calls...>;

}  // namespace

Result<std::unique_ptr<VolumeClient>> VolumeClient::create(const VolumeClientConfig& config,
                                                           runtime::Reactor& reactor, const Clock& clock,
                                                           runtime::RandomSource& random, EventSink events) {
  check(reactor.rail_count() > 0, "a client has a device to work with");
  auto memory = ClientMemory::create(reactor, config.bounce_bytes);
  if (!memory) return tl::unexpected(memory.error());
  return std::unique_ptr<VolumeClient>(
      new VolumeClient(config, reactor, clock, random, std::move(events), std::move(*memory)));
}

VolumeClient::VolumeClient(const VolumeClientConfig& config, runtime::Reactor& reactor, const Clock& clock,
                           runtime::RandomSource& random, EventSink events, ClientMemory memory)
    : config_(config),
      reactor_(reactor),
      clock_(clock),
      random_(random),
      events_(std::move(events)),
      memory_(std::move(memory)),
      requests_(config.queue_depth, config.session.max_outstanding, config.session.max_data_length,
                *memory_.registered, *memory_.bounce),
      session_(config.session),
      tick_interval_(tick_interval(config)),
      control_(reactor, config_, *this) {
  outcomes_.reserve(2 * protocol::kMaxPaths);
  to_read_again_.reserve(config.session.max_outstanding);
  PathHandler& handler = *this;
  for (std::size_t i = 0; i < protocol::kMaxPaths; ++i) {
    const std::size_t rail = i % reactor.rail_count();
    paths_.push_back(std::make_unique<PathLink>(PathId(static_cast<std::uint8_t>(i)), reactor,
                                                static_cast<runtime::Rail>(rail), *memory_.domains[rail],
                                                handler));
  }
}

// ---- From the caller

void VolumeClient::open() {
  const Instant now = clock_.now();
  session_.open(protocol::Nonce(random_.next()), now);
  after_event();
  tick(now);
}

void VolumeClient::close() {
  if (!closing_since_) closing_since_ = clock_.now();
}

StatusCode VolumeClient::submit(const IoRequestArgs& args) {
  if (const StatusCode refusal = refusal_of(args); refusal != StatusCode::ok) return refusal;
  if (requests_.full(args.waiter != nullptr)) return StatusCode::queue_full;
  requests_.submit(args);
  StatusCode outcome = StatusCode::ok;
  submission_ = &outcome;
  pump();
  submission_ = nullptr;
  return outcome;
}

StatusCode VolumeClient::refusal_of(const IoRequestArgs& args) const noexcept {
  if (session_.phase() == SessionPhase::ended) {
    return session_.end_reason() == StatusCode::ok ? StatusCode::cancelled : session_.end_reason();
  }
  if (closing_since_) return StatusCode::shutting_down;
  if (session_.block_size() == 0) return StatusCode::unavailable;  // not open yet
  if (config_.session.mode == protocol::AccessMode::read_only && changes_data(args.op)) {
    return StatusCode::read_only;
  }
  if (args.op == IoOp::flush) return StatusCode::ok;
  const std::uint64_t size = session_.size().value();
  const std::uint64_t unaligned = (args.offset | args.length) & (session_.block_size() - 1);
  const bool fits =
      args.length > 0 && unaligned == 0 && args.offset <= size && args.length <= size - args.offset;
  return fits ? StatusCode::ok : StatusCode::invalid_request;
}

std::size_t VolumeClient::take(std::span<Completion> out) noexcept {
  std::size_t taken = 0;
  while (taken < out.size() && requests_.has_completed()) {
    const RequestTable::Outcome outcome = requests_.take();
    out[taken++] = {outcome.tag, outcome.status};
  }
  return taken;
}

Status VolumeClient::register_memory(std::span<std::byte> memory) {
  const auto range = memory_.registered->add(memory);
  if (!range) return tl::unexpected(range.error());
  return {};
}

// ---- A turn

bool VolumeClient::turn() {
  reactor_.flush();
  const bool any = reactor_.poll();
  for (std::size_t i = 0; i < session_.paths().count(); ++i)
    paths_[i]->post_waiting();
  const Instant now = clock_.now();
  if (now >= next_tick_ || control_.is_due()) tick(now);
  reactor_.flush();
  return any || requests_.has_completed();
}

bool VolumeClient::arm() {
  reactor_.flush();
  return !requests_.has_completed() && reactor_.arm();
}

Duration VolumeClient::longest_sleep() const {
  return std::max(next_tick_ - clock_.now(), Duration::zero());
}

void VolumeClient::tick(Instant now) {
  next_tick_ = now + tick_interval_;
  control_.tick(now);
  // What was submitted before the close belongs to what the session finishes first.
  const bool close_is_due =
      closing_since_ && !session_was_closed_ &&
      (!requests_.has_waiting() || now - *closing_since_ >= config_.session.close_timeout);
  if (close_is_due) {
    session_was_closed_ = true;
    session_.close(now);
    after_event();
  }
  session_.on_tick(now);
  after_event();
}

/// Does what the session says, and tells it what came of that at once, until it has nothing more to say.
void VolumeClient::after_event() {
  act();
  while (!outcomes_.empty() || !to_read_again_.empty()) {
    tell_outcomes();
    read_again();
  }
  pump();
}

void VolumeClient::act() {
  for (const protocol::ClientAction& action : session_.actions())
    std::visit([this](const auto& what) { act_on(what); }, action);
  session_.clear_actions();
}

void VolumeClient::tell_outcomes() {
  while (!outcomes_.empty()) {
    const PathOutcome outcome = outcomes_.front();
    outcomes_.erase(outcomes_.begin());
    if (outcome.refusal == StatusCode::ok) {
      session_.on_path_destroyed(outcome.path, outcome.epoch, clock_.now());
    } else {
      session_.on_path_refused(outcome.path, outcome.epoch, outcome.refusal, clock_.now());
    }
    act();
  }
}

/// Gives the session what waits, as far as it takes it.
void VolumeClient::pump() {
  while (requests_.has_waiting()) {
    const auto io = requests_.next_piece(session_.longest_write());
    if (!io) return;
    const StatusCode status = session_.submit(*io, clock_.now());
    check(status != StatusCode::queue_full, "there are as many pieces as the session takes operations");
    if (status == StatusCode::ok) {
      requests_.piece_taken();
    } else if (requests_.piece_refused(status, submission_ != nullptr)) {
      *submission_ = status;
    }
    act();
  }
}

/// A read that came back damaged although its answer was right: an earlier attempt's data came after it.
void VolumeClient::read_again() {
  while (!to_read_again_.empty()) {
    const std::uint32_t tag = to_read_again_.back();
    to_read_again_.pop_back();
    requests_.piece(tag).sends = 0;
    const StatusCode status = session_.submit(requests_.piece(tag).io, clock_.now());
    if (status != StatusCode::ok) requests_.piece_done(tag, status);
    act();
  }
}

// ---- What the session says

void VolumeClient::act_on(const protocol::SendOpen& action) {
  control_.ask_master({action.id, action.request});
}

void VolumeClient::act_on(const protocol::SendSessionOpen& action) {
  control_.ask_node(action.node, {action.id, action.request});
}

void VolumeClient::act_on(const protocol::SendClose& action) {
  if (action.node == protocol::NodeId(0)) return control_.ask_master({action.id, action.request});
  control_.ask_node(action.node, {action.id, action.request});
}

void VolumeClient::act_on(const protocol::ConnectPath& action) {
  const PathId path = action.attach.path;
  const auto address = transport::parse_address(action.address.view());
  const Status connected =
      address ? link(path).connect(*address, action.attach) : tl::unexpected(address.error());
  if (connected) return;
  tell_trouble(path, std::string(action.address.view()), "can't be connected", connected.error().describe());
  outcomes_.push_back({path, action.attach.epoch, connected.error().code});
}

void VolumeClient::act_on(const protocol::KillPath& action) {
  PathLink& path = link(action.path);
  if (const std::string why = describe(action.why, path); !why.empty()) {
    tell_trouble(action.path, to_string(path.address()), "is given up", why);
  }
  if (path.has_connection() && path.epoch() == action.epoch) return path.close();
  outcomes_.push_back({action.path, action.epoch});  // no connection ever came of it
}

void VolumeClient::act_on(const protocol::SendKeepalive& action) {
  link(action.path).post(action.message);
}

void VolumeClient::act_on(const protocol::PostIo& action) {
  Piece& piece = requests_.piece(action.tag);
  ++piece.sends;
  link(action.path).post(action.request, piece);
}

void VolumeClient::act_on(const protocol::CompleteIo& action) {
  Piece& piece = requests_.piece(action.tag);
  StatusCode status = action.status;
  // The answer's data was checked when it came. With several attempts another one's may have come since.
  const bool look_again = piece.io.op == IoOp::read && status == StatusCode::ok &&
                          (piece.sends > 1 || piece.bad_checksums >= kMaxBadChecksums);
  if (look_again && !is_intact(piece, action.data_crc)) {
    if (++piece.bad_checksums < kMaxBadChecksums) {
      to_read_again_.push_back(static_cast<std::uint32_t>(action.tag));
      return;
    }
    status = StatusCode::bad_checksum;
  }
  requests_.piece_done(action.tag, status);
}

void VolumeClient::act_on(const protocol::ReportPhase& action) {
  control_.drop_questions();
  const bool is_bad = action.reason != StatusCode::ok || action.phase == SessionPhase::reopening;
  std::string text = name() + ": " + std::string(to_string(action.phase));
  if (action.reason != StatusCode::ok) text += " (" + std::string(to_string(action.reason)) + ")";
  report(ClientEvent::Kind::session, is_bad ? LogLevel::warning : LogLevel::info, text);
}

// ---- What the connections say

void VolumeClient::on_answer(const protocol::ControlFrame& frame) {
  const Instant now = clock_.now();
  const protocol::RequestId id = frame.request_id;
  std::visit(
      Overloaded{[&](const protocol::OpenAnswer& answer) {
                   if (answer.status == StatusCode::ok) {
                     control_.learn(answer.node, answer.addresses);
                     policy_ = answer.policy;
                   }
                   holder_ = answer.holder.view();
                   session_.on_open_answer(id, answer, now);
                 },
                 [&](const protocol::SessionAnswer& answer) { session_.on_session_answer(id, answer, now); },
                 [&](const protocol::CloseAnswer& answer) { session_.on_close_answer(id, answer, now); },
                 [](const auto& /*not for a client*/) {}},
      frame.message);
  after_event();
}

void VolumeClient::on_control_change(const std::string& whom, const Error& why) {
  if (why.code == StatusCode::ok) {
    return report(ClientEvent::Kind::control, LogLevel::info, whom + ": connected");
  }
  report(ClientEvent::Kind::control, LogLevel::warning, whom + ": " + why.describe());
}

void VolumeClient::on_path_up(PathLink& path, const protocol::PathAccept& grant) {
  session_.on_path_accepted(grant, clock_.now());
  const bool is_up = session_.paths().is_current(path.id(), path.epoch(), protocol::PathState::up);
  after_event();
  if (!is_up) return;  // of no use, and given up
  report(
      ClientEvent::Kind::path, LogLevel::info,
      name() + ": path " + std::to_string(path.id().value()) + " to " + to_string(path.address()) + " is up");
}

void VolumeClient::on_path_failed(PathLink& path, const Error& why) {
  tell_trouble(path.id(), to_string(path.address()), path.is_up() ? "is lost" : "can't be connected",
               why.describe());
  if (!path.is_up()) return;  // on_path_gone tells the session
  session_.on_path_failed(path.id(), path.epoch(), clock_.now());
  after_event();
}

void VolumeClient::on_path_gone(PathLink& path, StatusCode refusal) {
  if (refusal == StatusCode::ok) {
    session_.on_path_destroyed(path.id(), path.epoch(), clock_.now());
  } else {
    session_.on_path_refused(path.id(), path.epoch(), refusal, clock_.now());
  }
  after_event();
}

void VolumeClient::on_path_response(PathLink& path, const protocol::IoResponse& response) {
  Piece* const piece = piece_read_by(response);
  if (piece != nullptr && !is_intact(*piece, response.data_crc) &&
      ++piece->bad_checksums < kMaxBadChecksums) {
    return on_path_failed(path, {StatusCode::bad_checksum, "it brought damaged data"});
  }
  session_.on_response(path.id(), path.epoch(), response, clock_.now());
  after_event();
}

void VolumeClient::on_path_keepalive(PathLink& path, const protocol::Keepalive& message) {
  session_.on_keepalive(path.id(), path.epoch(), message, clock_.now());
  after_event();
}

/// The piece whose data has just come with this response; null if it isn't a read's, or an answer to one that
/// was answered before.
Piece* VolumeClient::piece_read_by(const protocol::IoResponse& response) noexcept {
  if (response.op != IoOp::read || response.status != StatusCode::ok) return nullptr;
  const protocol::OutstandingTable& table = session_.outstanding();
  const auto id = table.find(response.seq);
  if (id == protocol::OutstandingTable::kNone || table[id].io.op != IoOp::read) return nullptr;
  return &requests_.piece(table[id].io.tag);
}

bool VolumeClient::is_intact(const Piece& piece, std::uint32_t crc) const noexcept {
  return crc32c({piece.data, piece.io.length}) == crc;
}

// ---- To the owner

ConnectionState VolumeClient::state() const noexcept {
  if (session_.phase() == SessionPhase::ended) return ConnectionState::ended;
  const bool is_open =
      session_.phase() == SessionPhase::active || session_.phase() == SessionPhase::reopening;
  return is_open && session_.paths().any_in(protocol::PathState::up) ? ConnectionState::connected
                                                                     : ConnectionState::reconnecting;
}

bool VolumeClient::has_ended() const noexcept {
  return session_.phase() == SessionPhase::ended && session_.paths().all_down();
}

std::string VolumeClient::describe_progress() const {
  const auto with = [](const std::string& what, const std::string& trouble) {
    return trouble.empty() ? what : what + " (" + trouble + ")";
  };
  switch (session_.phase()) {
    case SessionPhase::idle:
    case SessionPhase::opening:
    case SessionPhase::reopening:
      return with("waiting for the master's answer", control_.master_trouble());
    case SessionPhase::joining:
      return with("version " + to_string(session_.gvn()) + " was given; waiting for the node's answer",
                  control_.node_trouble());
    case SessionPhase::replacing:
    case SessionPhase::active:
      return with("the session is open; waiting for a path to the node", path_trouble_);
    case SessionPhase::closing:
      return with("closing", control_.master_trouble());
    case SessionPhase::ended:
      if (session_.end_reason() == StatusCode::busy && !holder_.empty()) {
        return "client=" + holder_ + " holds it: close it there, or open with steal";
      }
      return with("ended: " + std::string(to_string(session_.end_reason())), control_.master_trouble());
  }
  return {};
}

VolumeInfo VolumeClient::info() const {
  VolumeInfo info;
  info.volume = session_.volume();
  info.gvn = session_.gvn();
  info.size_bytes = session_.size().value();
  info.block_size = session_.block_size();
  info.largest_io_bytes = session_.longest_write();
  info.read_only = config_.session.mode == protocol::AccessMode::read_only;
  info.write_back = policy_ == protocol::WritePolicy::write_back;
  return info;
}

std::vector<PathInfo> VolumeClient::paths() const {
  std::vector<PathInfo> paths;
  for (std::size_t i = 0; i < session_.paths().count(); ++i) {
    const PathId id(static_cast<std::uint8_t>(i));
    paths.push_back({to_string(paths_[i]->address()), to_string(session_.paths().state(id)),
                     session_.paths().in_flight(id), session_.paths().epoch(id).value()});
  }
  return paths;
}

std::string VolumeClient::name() const {
  std::string name = session_.volume() == VolumeId(0) ? std::string(config_.session.volume.view())
                                                      : std::to_string(session_.volume().value());
  name.insert(0, "volume=");
  if (session_.gvn() != Gvn(0)) name += " gvn=" + to_string(session_.gvn());
  return name + " client=" + std::string(config_.session.client.view());
}

/// Empty: nothing that anybody has to be told.
std::string VolumeClient::describe(protocol::PathEnd end, const PathLink& path) const {
  const auto in_ms = [](Duration time) {
    return std::to_string(time / std::chrono::milliseconds(1)) + " ms";
  };
  const protocol::ClientConfig& session = config_.session;
  switch (end) {
    case protocol::PathEnd::not_needed:
    case protocol::PathEnd::broken:
      return {};
    case protocol::PathEnd::bad_grant:
      return "the node granted what wasn't asked for";
    case protocol::PathEnd::small_slots: {
      const std::string needed = std::to_string(session_.shortest_useful_slot()) + " bytes";
      return "the node's largest slot takes writes of " + std::to_string(path.longest_write()) +
             " bytes, and one of " + needed +
             " is to be sent: let session.slots in the node's configuration have some of " + needed;
    }
    case protocol::PathEnd::silent:
      return "no sign of life for " + in_ms(session.keepalive_interval * session.keepalive_misses);
    case protocol::PathEnd::unanswered:
      return "a request had no answer within " + in_ms(session.io_timeout);
    case protocol::PathEnd::wrong_response:
      return "it brought an answer that no request can have";
  }
  return {};
}

void VolumeClient::tell_trouble(PathId path, const std::string& address, const std::string& what,
                                const std::string& why) {
  path_trouble_ = address + ": " + why;
  report(ClientEvent::Kind::path, LogLevel::warning,
         name() + ": path " + std::to_string(path.value()) + " to " + address + " " + what + ": " + why);
}

void VolumeClient::report(ClientEvent::Kind kind, LogLevel level, const std::string& text) const {
  if (events_) events_({kind, level, text});
}

}  // namespace sluice::client
