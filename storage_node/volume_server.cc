#include "storage_node/volume_server.h"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "protocol/base/check.h"
#include "protocol/io_frame.h"

namespace sluice::storage_node {

using protocol::ServerActions;
using protocol::ServerSession;

VolumeServer::VolumeServer(const VolumeServices& services, const VolumeState& found)
    : services_(services),
      found_(found),
      keeper_(*this),
      sessions_(make_sessions(found)),
      journal_(services.host, found.volume) {}

VolumeServer::~VolumeServer() = default;

std::unique_ptr<protocol::VolumeSessions> VolumeServer::make_sessions(const VolumeState& state) const {
  protocol::VolumeSessionsConfig config;
  config.volume = state.volume;
  config.node = services_.identity.node;
  config.boot = services_.identity.boot;
  config.window_size = services_.session.window_size;
  config.max_paths = services_.session.max_paths;
  config.path_depth = services_.session.path_depth;
  config.open_timeout = services_.session.open_timeout;
  const protocol::VolumeRecovery found{state.fence, state.manager_version, state.write_back_open};
  return std::make_unique<protocol::VolumeSessions>(config, found);
}

/// What the backend listed may be old by now: another process had the lock. So it starts from what is there.
void VolumeServer::on_locked(std::unique_ptr<VolumeStorage> storage, ManagerVersion seen) {
  check(!storage_, "a volume is locked once");
  storage_ = std::move(storage);
  keeper_.attach(*storage_);
  sessions_ = make_sessions(storage_->state());
  sessions_->on_manager_version(seen);
  sessions_->on_backend_locked();
  services_.host.on_fence(id(), fence());
}

// ---- Events and actions

template <typename Event>
void VolumeServer::tell(Event&& event) {
  ServerActions& actions = services_.actions;
  actions.clear();
  event(actions);
  is_performing_ = true;
  for (const protocol::ServerAction& action : actions)
    std::visit([this](const auto& each) { this->perform(each); }, action);
  is_performing_ = false;
}

/// What the actions of an event, or their carrying out, have led to.
void VolumeServer::settle() {
  if (is_settling_) return;
  is_settling_ = true;
  for (;;) {
    if (IoTask* const task = ready_.pop()) {
      task->advance();
    } else if (!lost_.empty()) {
      const protocol::PathKey key = lost_.back();
      lost_.pop_back();
      tell([&](ServerActions& actions) { sessions_->on_path_lost(key, actions); });
    } else if (!disconnected_.empty()) {
      const protocol::PathKey key = disconnected_.back();
      disconnected_.pop_back();
      tell([&](ServerActions& actions) { sessions_->on_queue_pair_destroyed(key, actions); });
    } else {
      break;
    }
  }
  is_settling_ = false;
}

template <typename Event>
void VolumeServer::tell_and_settle(Event&& event) {
  tell(std::forward<Event>(event));
  settle();
}

// ---- The data path

void VolumeServer::on_path_request(Path& path, std::span<const std::byte> message) {
  tell([&](ServerActions& actions) { sessions_->on_request(path.key(), message, actions); });
  // W6: not a word about it: it waits for its number, and its payload with it.
  if (services_.actions.empty() && path.is_open() && !protocol::in_capsule_data(message).empty()) {
    path.keep_capsule(protocol::decode_request(message)->seq);
  }
  settle();
}

void VolumeServer::perform(const protocol::Execute& action) {
  ServedPath& served = at(action.path);
  const ServerSession* const session = sessions_->session(action.path.gvn);
  const bool durable = session->config().policy == protocol::WritePolicy::write_through;
  IoTask& task = served.tasks.take();
  task.prepare(*this, served.path, action.attempt, session->request(action.attempt), durable);
  ready_.push(task);
}

IoBuffer VolumeServer::take_buffer(IoTask& task, std::uint32_t bytes) {
  return services_.buffers.take(task, bytes);
}

void VolumeServer::resume(IoTask& task) {
  task.advance();
  settle();
}

bool VolumeServer::may_submit(IoTask& task) {
  const protocol::PathKey key = task.path().key();
  bool may = false;
  tell([&](ServerActions& actions) { may = sessions_->may_submit(key.gvn, task.attempt(), actions); });
  if (may) return true;
  // Its path may have gone with it.
  if (ServedPath* const served = find(key)) served->tasks.give_back(task);
  return false;
}

void VolumeServer::on_bad_payload(IoTask& task) {
  const protocol::PathKey key = task.path().key();
  const protocol::AttemptId attempt = task.attempt();
  at(key).tasks.give_back(task);
  tell([&](ServerActions& actions) { sessions_->on_bad_payload(key.gvn, attempt, actions); });
}

void VolumeServer::on_io_done(IoTask& task, const protocol::IoOutcome& outcome) {
  const protocol::PathKey key = task.path().key();
  const protocol::AttemptId attempt = task.attempt();
  read_data_ = task.take_data();
  read_length_ = task.length();
  at(key).tasks.give_back(task);  // before its path may go
  tell([&](ServerActions& actions) { sessions_->on_io_done(key.gvn, attempt, outcome, actions); });
  read_data_.reset();
  settle();
}

// R2: nobody but the connection that the attempt came on gets the answer.
void VolumeServer::perform(const protocol::Respond& action) {
  ServedPath* const served = find(action.path);
  if (served == nullptr) return;
  const bool has_data =
      action.response.op == protocol::IoOp::read && action.response.status == StatusCode::ok;
  served->path.respond(action.response, action.target, has_data ? read_length_ : 0,
                       has_data ? std::move(read_data_) : IoBuffer());
  services_.has_backlog = services_.has_backlog || served->path.has_backlog();
}

bool VolumeServer::send_backlog() {
  bool is_some_left = false;
  for (const auto& served : paths_) {
    if (!served->path.is_open()) continue;
    served->path.send_backlog();
    is_some_left = is_some_left || served->path.has_backlog();
  }
  return is_some_left;
}

VolumeServer::ServedPaths::iterator VolumeServer::position_of(const protocol::PathKey& key) noexcept {
  return std::ranges::find(paths_, key, [](const auto& served) { return served->path.key(); });
}

VolumeServer::ServedPath* VolumeServer::find(const protocol::PathKey& key) noexcept {
  const auto found = position_of(key);
  return found == paths_.end() ? nullptr : found->get();
}

VolumeServer::ServedPath& VolumeServer::at(const protocol::PathKey& key) noexcept {
  const auto found = position_of(key);
  check(found != paths_.end(), "what is under way on a path holds it");
  return **found;
}

// ---- Paths

void VolumeServer::on_attach(protocol::Token token, const protocol::PathAttach& attach) {
  tell_and_settle([&](ServerActions& actions) { sessions_->on_path_attach(token, attach, actions); });
}

void VolumeServer::perform(const protocol::AcceptPath& action) {
  PathHandler& handler = *this;
  paths_.push_back(std::make_unique<ServedPath>(action.path, action.depth, services_.session.path, handler));
  Path& path = paths_.back()->path;
  if (const Status connected = connect(path, action.token); !connected) {
    services_.host.log_refusal(name(action.path.gvn) + ": no path " +
                               std::to_string(action.path.path.value()) + ": " +
                               connected.error().describe());
    lost_.push_back(action.path);
    return;
  }
  services_.host.log(
      transport::LogLevel::info,
      name(action.path.gvn) + ": path " + std::to_string(action.path.path.value()) + " from " + path.peer());
}

Status VolumeServer::connect(Path& path, protocol::Token token) {
  runtime::Incoming incoming = services_.host.take_incoming(token);
  auto domain = domain_for(path.key(), incoming.rail);
  auto staging = services_.memory.take_staging(slot_bytes(services_.session.path));
  if (domain && staging) {
    return path.accept(services_.reactor, std::move(incoming), std::move(*domain), std::move(*staging));
  }
  const Error why = domain ? staging.error() : domain.error();
  reject(std::move(incoming), {path.key().path, StatusCode::limit_reached, path.key().epoch, fence()});
  return tl::unexpected(why);
}

/// That of the session on this device: of another of its paths, or a new one.
Result<std::shared_ptr<SessionDomain>> VolumeServer::domain_for(const protocol::PathKey& key,
                                                                runtime::Rail rail) {
  for (const auto& served : paths_) {
    const Path& other = served->path;
    if (other.key().gvn == key.gvn && other.rail() == rail && other.domain()) return other.domain();
  }
  return SessionDomain::create(services_.reactor.provider(rail), services_.memory);
}

void VolumeServer::perform(const protocol::RejectPath& action) {
  services_.host.log_refusal("volume=" + std::to_string(id().value()) + ": path " +
                             std::to_string(action.reject.path.value()) +
                             " refused: " + std::string(to_string(action.reject.status)));
  reject(services_.host.take_incoming(action.token), action.reject);
}

void VolumeServer::reject(runtime::Incoming incoming, const protocol::PathReject& reject) {
  std::array<std::byte, protocol::kMaxPrivateDataSize> bytes;
  const std::size_t length = protocol::encode(protocol::PrivateData(reject), bytes);
  services_.reactor.reject(std::move(incoming), std::span(bytes).first(length));
}

void VolumeServer::on_path_lost(Path& path, const Error& why) {
  const protocol::PathKey key = path.key();
  services_.host.log(transport::LogLevel::info, name(key.gvn) + ": path " + std::to_string(key.path.value()) +
                                                    " lost: " + why.describe());
  tell_and_settle([&](ServerActions& actions) { sessions_->on_path_lost(key, actions); });
}

void VolumeServer::perform(const protocol::DestroyQueuePair& action) {
  at(action.path).path.disconnect();
}

void VolumeServer::on_path_disconnected(Path& path) {
  disconnected_.push_back(path.key());
  if (!is_performing_) settle();
}

// R4: the region goes before its memory: see Path.
void VolumeServer::perform(const protocol::ReleasePath& action) {
  std::erase_if(paths_, [&](const auto& served) { return served->path.key() == action.path; });
}

// ---- Sessions

void VolumeServer::on_session_open(protocol::Token token, const protocol::SessionOpen& open, Instant now) {
  const protocol::Cookie cookie(services_.random.next());
  tell_and_settle(
      [&](ServerActions& actions) { sessions_->on_session_open(token, open, cookie, now, actions); });
}

void VolumeServer::on_close(protocol::Token token, const protocol::CloseRequest& request, Instant now) {
  tell_and_settle([&](ServerActions& actions) { sessions_->on_close(token, request, now, actions); });
}

void VolumeServer::on_quiesce(protocol::Token token, const protocol::QuiesceRequest& request, Instant now) {
  tell_and_settle([&](ServerActions& actions) { sessions_->on_quiesce(token, request, now, actions); });
}

void VolumeServer::on_verify_answer(protocol::RequestId id, const protocol::VerifyAnswer& answer) {
  if (shutdown_ != Shutdown::no) return;
  if (answer.status == StatusCode::ok) is_write_back_ = answer.policy == protocol::WritePolicy::write_back;
  tell_and_settle([&](ServerActions& actions) { sessions_->on_verify_answer(id, answer, actions); });
}

void VolumeServer::on_manager_version(ManagerVersion seen) {
  sessions_->on_manager_version(seen);
}

bool VolumeServer::prepare_hello() {
  std::optional<Gvn> fence;
  tell_and_settle([&](ServerActions& actions) { fence = sessions_->prepare_hello(actions); });
  if (fence) services_.host.on_fence(id(), *fence);
  return fence.has_value();
}

void VolumeServer::perform(const protocol::AskMaster& action) {
  services_.host.ask_master(id(), action.id, action.request);
}

void VolumeServer::perform(const protocol::PersistFence& action) {
  persisting_ = action;
  VolumeState state = keeper_.wanted();
  state.fence = action.fence;
  state.manager_version = action.manager_version;
  state.write_back_open = state.write_back_open || is_write_back_;  // P4
  keeper_.store(state);
}

void VolumeServer::on_state_stored(const VolumeState& state, StatusCode status) {
  if (keeper_.is_busy()) return;  // what was asked for since is being stored now
  if (persisting_) {
    const Gvn fence = std::exchange(persisting_, std::nullopt)->fence;
    if (status == StatusCode::ok) {
      services_.host.on_fence(id(), state.fence);
    } else {
      services_.host.log(transport::LogLevel::error, name(fence) + ": the fence can't be made durable: " +
                                                         std::string(to_string(status)));
    }
    tell_and_settle([&](ServerActions& actions) { sessions_->on_fence_durable(fence, status, actions); });
  } else if (shutdown_ == Shutdown::storing) {
    shutdown_ = Shutdown::closing;
  }
}

void VolumeServer::perform(const protocol::AnswerSession& action) {
  if (action.answer.status != StatusCode::ok) {
    services_.host.log_refusal(name(action.answer.gvn) +
                               ": session refused: " + std::string(to_string(action.answer.status)) +
                               ", fence=" + to_string(action.answer.fence));
  }
  services_.host.answer(action.token, action.answer);
}

void VolumeServer::perform(const protocol::AnswerClose& action) {
  services_.host.answer(action.token, action.answer);
}

void VolumeServer::perform(const protocol::AnswerQuiesce& action) {
  services_.host.log(transport::LogLevel::info, name(action.answer.fence) + ": quiesced for a move: " +
                                                    std::string(to_string(action.answer.status)));
  services_.host.answer(action.token, action.answer);
}

// ---- Now and then

void VolumeServer::tick(Instant now) {
  tell_and_settle([&](ServerActions& actions) { sessions_->on_tick(now, actions); });
  for (std::size_t i = paths_.size(); i > 0; --i) {
    if (i <= paths_.size()) paths_[i - 1]->path.tick(now);  // may take it away
  }
  journal_.look(*sessions_, now);
  note_written_back();
  advance_shutdown();
}

/// P4: nothing of a write-back session is volatile any more, and nobody has to be told of anything.
void VolumeServer::note_written_back() {
  if (!is_quiet() || !keeper_.wanted().write_back_open || sessions_->owes_flush_error()) return;
  VolumeState state = keeper_.wanted();
  state.write_back_open = false;
  keeper_.store(state);
}

bool VolumeServer::is_quiet() const noexcept {
  return storage_ && session_count() == 0 && paths_.empty() && !persisting_ && !keeper_.is_busy() &&
         readers_ == 0 && shutdown_ == Shutdown::no;
}

Status VolumeServer::resize(ByteCount size) {
  if (!storage_ || keeper_.is_busy()) {
    return fail(StatusCode::unavailable, "the volume's storage isn't open, or is being written to now");
  }
  if (size < state().size && session_count() > 0) {
    return fail(StatusCode::busy, "a session may still use what a smaller size would cut off");
  }
  Status resized = storage_->resize(size);
  if (resized) keeper_.attach(*storage_);
  return resized;
}

protocol::VolumeStatus VolumeServer::status() const {
  protocol::VolumeStatus status;
  status.volume = id();
  status.fence = fence();
  status.locked = is_locked();
  for (const ServerSession* const session : sessions_->sessions()) {
    protocol::SessionEntry entry;
    entry.gvn = session->config().gvn;
    entry.client = session->config().client;
    entry.mode = session->config().mode;
    entry.active = session->is_active();
    entry.in_flight = session->in_flight();
    entry.paths = static_cast<std::uint8_t>(std::count_if(
        paths_.begin(), paths_.end(), [&](const auto& each) { return each->path.key().gvn == entry.gvn; }));
    status.sessions.push_back(entry);
  }
  const protocol::RefusalCounts refusals = sessions_->refusals();
  for (std::size_t i = 0; i < protocol::kRefusalCount; ++i)
    status.refusals.push_back({refusals.of(static_cast<protocol::Refusal>(i))});
  return status;
}

std::string VolumeServer::name(Gvn gvn) const {
  std::string text = "volume=" + std::to_string(id().value()) + " gvn=" + to_string(gvn);
  if (const ServerSession* const session = sessions_->session(gvn)) {
    text += " client=" + std::string(session->config().client.view());
  }
  return text;
}

// ---- The end

void VolumeServer::shut_down() {
  if (shutdown_ != Shutdown::no) return;
  shutdown_ = Shutdown::disconnecting;
  for (const auto& served : paths_)
    lost_.push_back(served->path.key());
  settle();
}

void VolumeServer::advance_shutdown() {
  const bool is_idle = paths_.empty() && !persisting_ && !keeper_.is_busy() && readers_ == 0;
  if (shutdown_ == Shutdown::disconnecting && is_idle) {
    if (storage_ && keeper_.wanted().write_back_open) {
      shutdown_ = Shutdown::flushing;
      BackendRequest flush;
      flush.tag = final_flush_.tag();
      storage_->start(flush);
    } else {
      shutdown_ = Shutdown::closing;
    }
  }
  if (shutdown_ == Shutdown::closing) {
    storage_.reset();
    shutdown_ = Shutdown::done;
  }
}

/// P4: what the sessions wrote is durable now; what they still had to be told of stays on record.
void VolumeServer::on_flushed(StatusCode status) {
  if (status != StatusCode::ok) {
    services_.host.log(
        transport::LogLevel::error,
        "volume=" + std::to_string(id().value()) + ": the last flush failed: the next session will be told");
    shutdown_ = Shutdown::closing;
    return;
  }
  shutdown_ = Shutdown::storing;
  VolumeState state = keeper_.wanted();
  state.write_back_open = sessions_->owes_flush_error();
  keeper_.store(state);
}

}  // namespace sluice::storage_node
