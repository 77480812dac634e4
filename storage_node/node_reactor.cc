#include "storage_node/node_reactor.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/private_data.h"

namespace sluice::storage_node {
namespace {

using transport::LogLevel;

constexpr Duration kTickInterval = std::chrono::milliseconds(100);
constexpr Duration kReportInterval = std::chrono::seconds(1);

/// Entries of a completion queue that a path, and a control connection, may need.
constexpr std::uint32_t kPathCompletions = 540;
constexpr std::uint32_t kControlCompletions = 48;
constexpr std::uint32_t kLeastCompletions = 1024;

/// As deep as all connections might need it, or as the device can: then fewer of them find a place.
std::uint32_t queue_depth(transport::Provider& provider, const NodeReactorConfig& config) {
  const std::size_t wanted = config.limits.paths * kPathCompletions +
                             config.control.max_connections * kControlCompletions + kLeastCompletions;
  auto depth = static_cast<std::uint32_t>(std::min<std::size_t>(wanted, 1U << 20U));
  while (depth > kLeastCompletions && !provider.create_completion_queue(depth))
    depth /= 2;
  return depth;
}

}  // namespace

// ---- Starting

Result<std::unique_ptr<NodeReactor>> NodeReactor::create(const NodeReactorConfig& config,
                                                         const NodeIdentity& identity,
                                                         NodeReactorParts parts) {
  check(parts.providers.size() == config.listen.size(), "a reactor has a provider for each of its addresses");
  auto providers = std::move(parts.providers);
  std::unique_ptr<NodeReactor> node(new NodeReactor(config, identity, std::move(parts)));
  if (const Status started = node->start(std::move(providers)); !started) {
    return tl::unexpected(started.error());
  }
  return node;
}

NodeReactor::NodeReactor(NodeReactorConfig config, const NodeIdentity& identity, NodeReactorParts parts)
    : config_(std::move(config)),
      identity_(identity),
      backend_(std::move(parts.backend)),
      clock_(parts.clock),
      random_(parts.random),
      log_(std::move(parts.log)),
      agent_(parts.agent),
      refusal_log_(log_),
      desk_(links_, config_.control, *this) {}

NodeReactor::~NodeReactor() = default;

Status NodeReactor::start(std::vector<std::unique_ptr<transport::Provider>> providers) {
  auto memory = IoMemory::create(config_.memory, log_);
  if (!memory) return tl::unexpected(memory.error());
  memory_ = std::move(*memory);
  buffers_ = std::make_unique<BufferQueue>(*memory_);
  copy_source_ = std::make_unique<CopySource>(links_, *memory_, desk_);
  if (Status registered = backend_->register_buffers(memory_->all()); !registered) return registered;
  for (auto& provider : providers) {
    if (Status added = add_rail(std::move(provider)); !added) return added;
  }
  const VolumeServices services{*this,    links_,       *memory_,  *buffers_,      random_,
                                actions_, has_backlog_, identity_, config_.session};
  volumes_ = std::make_unique<Volumes>(
      services, *backend_, config_.limits.volumes,
      [this](protocol::RequestId request, const protocol::VolumeOrderAnswer& answer) {
        agent_.post(AnswerLetter{request, answer});
      });
  if (Status loaded = volumes_->load(); !loaded) return loaded;
  report();
  return {};
}

Status NodeReactor::add_rail(std::unique_ptr<transport::Provider> provider) {
  // Receives for keepalives, and what the channel keeps back, come on top of a path's depth.
  constexpr std::uint32_t kBesideRequests = 8;
  const std::uint32_t room = provider->info().max_queue_depth;
  const std::uint32_t depth = room > kBesideRequests ? room - kBesideRequests : 1;
  config_.session.path_depth =
      static_cast<std::uint16_t>(std::min<std::uint32_t>(config_.session.path_depth, depth));
  const std::uint32_t queue = queue_depth(*provider, config_);
  const auto rail = links_.add_rail(std::move(provider), queue);
  if (!rail) return tl::unexpected(rail.error());
  auto listener = links_.listen(*rail, config_.listen[listeners_.size()], *this);
  if (!listener) return tl::unexpected(listener.error());
  listeners_.push_back(std::move(*listener));
  return {};
}

std::vector<transport::Address> NodeReactor::addresses() const {
  std::vector<transport::Address> all;
  for (const auto& listener : listeners_)
    all.push_back(listener->address());
  return all;
}

// ---- A turn

bool NodeReactor::turn() {
  now_ = clock_.now();
  bool worked = links_.poll();        // requests in: checked, and started at the backend
  worked = take_mail() || worked;     // the master's answers and orders
  if (hello_round_) prepare_hello();  // for a master that wants all fences
  if (now_ >= tick_at_) tick();       // what hangs, who is silent
  buffers_->serve();                  // requests that waited for memory
  backend_->submit();                 // what was started, in one call
  worked = poll_backend() || worked;  // outcomes in: answers out
  if (has_backlog_) has_backlog_ = volumes_->send_backlogs();  // answers that found no room before
  links_.flush();                                              // everything out, one doorbell a connection
  return worked;
}

bool NodeReactor::poll_backend() {
  const std::size_t count = backend_->poll(done_);
  for (const BackendCompletion& completion : std::span(done_).first(count))
    BackendWork::of(completion.tag).on_backend_done(completion.status);
  return count > 0;
}

void NodeReactor::tick() {
  tick_at_ = now_ + kTickInterval;
  desk_.tick(now_);
  volumes_->tick(now_);
  copy_source_->tick();
  refusal_log_.tick(now_);
  if (now_ >= report_at_) report();
  if (is_shutting_down_) advance_shutdown();
}

void NodeReactor::report() {
  report_at_ = now_ + kReportInterval;
  const auto space = backend_->space();
  if (!space) log_refusal("free space isn't known: " + space.error().describe());
  agent_.post(ReportLetter{config_.index, volumes_->manager_version(),
                           static_cast<std::uint32_t>(volumes_->session_count()),
                           space ? *space : BackendSpace{}});
}

bool NodeReactor::arm() {
  return links_.arm() && backend_->arm();
}

Duration NodeReactor::longest_sleep() const {
  return std::max(tick_at_ - clock_.now(), Duration::zero());
}

std::vector<int> NodeReactor::wait_fds() const {
  std::vector<int> fds = links_.wait_fds();
  fds.push_back(mailbox_.fd());
  if (backend_->wait_fd() >= 0) fds.push_back(backend_->wait_fd());
  return fds;
}

// ---- Mail

bool NodeReactor::take_mail() {
  const std::vector<ReactorLetter> letters = mailbox_.take();
  for (const ReactorLetter& letter : letters)
    std::visit([this](const auto& each) { take(each); }, letter);
  return !letters.empty();
}

void NodeReactor::take(const VerifyAnswerLetter& letter) {
  volumes_->on_manager_version(letter.answer.manager_version);
  if (VolumeServer* const volume = volumes_->find(letter.answer.volume)) {
    volume->on_verify_answer(letter.id, letter.answer);
  }
}

void NodeReactor::take(const OrderLetter& letter) {
  if (const auto* const order = std::get_if<protocol::VolumeOrder>(&letter.order)) {
    return volumes_->on_order(letter.request_id, *order);
  }
  const auto& quiesce = std::get<protocol::QuiesceRequest>(letter.order);
  VolumeServer* const volume = volumes_->find(quiesce.volume);
  if (volume != nullptr && !is_shutting_down_) {
    return volume->on_quiesce(token_for(letter.request_id), quiesce, now_);
  }
  // One that was removed since is as quiet as can be.
  const Gvn tombstone = volumes_->tombstone(quiesce.volume);
  const StatusCode status = volume != nullptr          ? StatusCode::shutting_down
                            : quiesce.gvn <= tombstone ? StatusCode::ok
                                                       : StatusCode::not_found;
  agent_.post(AnswerLetter{letter.request_id, protocol::QuiesceAnswer{status, quiesce.volume, tombstone}});
}

void NodeReactor::prepare_hello() {
  if (!volumes_->prepare_hello()) return;
  agent_.post(HelloReadyLetter{config_.index, *hello_round_});
  hello_round_.reset();
}

void NodeReactor::take(const ManagerVersionLetter& letter) {
  volumes_->on_manager_version(letter.seen);
}

void NodeReactor::take(const ShutdownLetter& /*letter*/) {
  if (std::exchange(is_shutting_down_, true)) return;
  listeners_.clear();
  volumes_->shut_down();
  tick_at_ = now_;
}

void NodeReactor::advance_shutdown() {
  if (!volumes_->is_shut_down() || copy_source_->pieces() > 0) return;
  desk_.close_all();
  is_shut_down_ = desk_.count() == 0;
}

// ---- Who connects

void NodeReactor::on_incoming(runtime::Incoming incoming) {
  const std::span<const std::byte> private_data = incoming.request->private_data();
  if (private_data.empty()) return desk_.accept(std::move(incoming), now_);
  const auto message = protocol::decode_private_data(private_data);
  const auto* const attach = message ? std::get_if<protocol::PathAttach>(&*message) : nullptr;
  if (attach == nullptr) {
    const std::string why = message ? "not an attach" : message.error().describe();
    return log_refusal(incoming.request->peer() + " refused: " + why);
  }
  on_attach(std::move(incoming), *attach);
}

void NodeReactor::on_attach(runtime::Incoming incoming, const protocol::PathAttach& attach) {
  const std::string peer = incoming.request->peer();
  VolumeServer* const volume = volumes_->find(attach.volume);
  const bool is_full = volumes_->path_count() >= config_.limits.paths;
  if (volume != nullptr && !is_full && !is_shutting_down_) {
    return volume->on_attach(token_for(std::move(incoming)), attach);
  }
  protocol::PathReject reject;
  reject.path = attach.path;
  reject.epoch = attach.epoch;
  reject.status = is_shutting_down_   ? StatusCode::shutting_down
                  : volume == nullptr ? StatusCode::no_session
                                      : StatusCode::limit_reached;
  log_refusal("volume=" + std::to_string(attach.volume.value()) + " gvn=" + to_string(attach.gvn) +
              ": path from " + peer + " refused: " + std::string(to_string(reject.status)));
  std::array<std::byte, protocol::kMaxPrivateDataSize> bytes;
  const std::size_t length = protocol::encode(protocol::PrivateData(reject), bytes);
  links_.reject(std::move(incoming), std::span(bytes).first(length));
}

// ---- Who asks

bool NodeReactor::on_request(const ControlAsker& asker, const protocol::ControlMessage& message) {
  if (const auto* const open = std::get_if<protocol::SessionOpen>(&message)) {
    on_session_open(asker, *open);
  } else if (const auto* const close = std::get_if<protocol::CloseRequest>(&message)) {
    on_close(asker, *close);
  } else if (const auto* const status = std::get_if<protocol::VolumeStatusRequest>(&message)) {
    on_status_request(asker, *status);
  } else if (const auto* const read = std::get_if<protocol::CopyRead>(&message)) {
    copy_source_->on_read(asker, *read, is_shutting_down_ ? nullptr : volumes_->find(read->volume));
  } else {
    return false;
  }
  return true;
}

void NodeReactor::on_session_open(const ControlAsker& asker, const protocol::SessionOpen& open) {
  VolumeServer* const volume = volumes_->find(open.volume);
  if (is_shutting_down_) return refuse(asker, open, StatusCode::shutting_down);
  if (volume == nullptr) return refuse(asker, open, StatusCode::not_found);
  // One that replaces another session takes nothing more.
  if (volume->session_count() == 0 && volumes_->session_count() >= config_.limits.sessions) {
    return refuse(asker, open, StatusCode::limit_reached);
  }
  volume->on_session_open(token_for(asker), open, now_);
}

void NodeReactor::refuse(const ControlAsker& asker, const protocol::SessionOpen& open, StatusCode why) {
  log_refusal("volume=" + std::to_string(open.volume.value()) + " gvn=" + to_string(open.gvn) + " client=" +
              std::string(open.client.view()) + ": session refused: " + std::string(to_string(why)));
  protocol::SessionAnswer answer;
  answer.status = why;
  answer.volume = open.volume;
  answer.gvn = open.gvn;
  answer.manager_version = volumes_->manager_version();
  answer.node = identity_.node;
  answer.boot = identity_.boot;
  desk_.answer(asker, answer);
}

void NodeReactor::on_close(const ControlAsker& asker, const protocol::CloseRequest& request) {
  if (VolumeServer* const volume = volumes_->find(request.volume)) {
    return volume->on_close(token_for(asker), request, now_);
  }
  desk_.answer(asker, protocol::CloseAnswer{StatusCode::no_session, request.volume, request.gvn});
}

void NodeReactor::on_status_request(const ControlAsker& asker, const protocol::VolumeStatusRequest& request) {
  const VolumeServer* const volume = volumes_->find(request.volume);
  protocol::VolumeStatus status;
  status.status = StatusCode::not_found;
  status.volume = request.volume;
  desk_.answer(asker, volume != nullptr ? volume->status() : status);
}

// ---- What volumes ask for

protocol::Token NodeReactor::token_for(Asker asker) {
  last_token_ = protocol::Token(last_token_.value() + 1);
  askers_.emplace(last_token_, std::move(asker));
  return last_token_;
}

void NodeReactor::answer(protocol::Token token, const protocol::ControlMessage& message) {
  auto asker = askers_.extract(token);
  check(!asker.empty(), "whoever asks is answered once");
  if (const auto* const control = std::get_if<ControlAsker>(&asker.mapped())) {
    return desk_.answer(*control, message);
  }
  agent_.post(AnswerLetter{std::get<protocol::RequestId>(asker.mapped()),
                           std::get<protocol::QuiesceAnswer>(message)});
}

runtime::Incoming NodeReactor::take_incoming(protocol::Token token) {
  auto asker = askers_.extract(token);
  check(!asker.empty(), "whoever wants to connect is answered once");
  return std::get<runtime::Incoming>(std::move(asker.mapped()));
}

void NodeReactor::ask_master(VolumeId /*volume*/, protocol::RequestId id,
                             const protocol::VerifyRequest& request) {
  agent_.post(VerifyLetter{id, request});
}

void NodeReactor::on_fence(VolumeId volume, Gvn fence) {
  agent_.post(FenceLetter{volume, fence});
}

void NodeReactor::log(LogLevel level, const std::string& line) {
  if (log_) log_(level, line);
}

}  // namespace sluice::storage_node
