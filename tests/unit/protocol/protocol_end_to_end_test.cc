// Clients, a node and masters, wired through a network that delays, repeats and loses, and paths that break
// with anything in flight; the protocol's invariants, checked at every step.

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <catch2/catch.hpp>

#include "master/memory_metadata_store.h"
#include "protocol/client_session.h"
#include "protocol/open_service.h"
#include "protocol/volume_sessions.h"

namespace sluice::protocol::test {
namespace {

using master::MemoryMetadataStore;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr VolumeId kVolume{1};
constexpr NodeId kNode{5};
constexpr std::uint32_t kBlock = 4096;
constexpr std::size_t kBlocks = 6;
constexpr std::size_t kPaths = 2;

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : random_(seed) {
    VolumeRecord volume;
    volume.id = kVolume;
    volume.name = *VolumeName::from("db");
    volume.size = ByteCount(kBlocks * kBlock);
    volume.block_size = kBlock;
    volume.node = kNode;
    store_.contents().volumes[kVolume] = volume;
    replace_master();
    start_node();
    for (std::size_t i = 0; i < 2; ++i)
      start_client(i);
  }

  void run() {
    for (int step = 0; step < 1500; ++step) {
      fault();
      for (std::size_t i = 0; i < clients_.size(); ++i)
        use(i);
      advance(milliseconds(5));
    }
    faults_on_ = false;
    // Liveness: when faults stop, every IO completes or its session is replaced.
    for (int step = 0; step < 20000 && !all_done(); ++step)
      advance(milliseconds(10));
    INFO("phases " << to_string(clients_[0].session->phase()) << " "
                   << to_string(clients_[1].session->phase()));
    REQUIRE(all_done());
    REQUIRE(completions_ > 0);
  }

  [[nodiscard]] std::uint64_t requests_after_fence() const { return requests_after_fence_; }

 private:
  struct Write {
    std::size_t client = 0;
    bool acknowledged = false;
    std::optional<std::size_t> applied;  ///< its last place in the block's history
  };
  struct Client {
    std::unique_ptr<ClientSession> session;
    std::uint64_t incarnation = 0;
    std::map<std::uint64_t, IoSubmission> outstanding;
    std::map<std::uint64_t, std::array<std::size_t, kBlocks>> read_floor;
  };
  struct Connection {
    std::size_t client = 0;
    std::uint64_t incarnation = 0;
    PathKey key;
    bool client_side = true;  ///< the client's queue pair exists
    bool node_side = false;
    std::uint64_t node_boot = 0;
    Instant last_request{};
    Instant last_response{};
  };
  struct Event {
    Instant at;
    std::uint64_t order = 0;
    std::function<void()> run;
    bool operator>(const Event& other) const { return at != other.at ? at > other.at : order > other.order; }
  };

  // --- time and network ---

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool one_in(std::uint64_t count) { return below(count) == 0; }

  void at(Instant when, std::function<void()> run) { events_.push({when, order_++, std::move(run)}); }
  void after(Duration delay, std::function<void()> run) { at(now_ + delay, std::move(run)); }
  Duration delay() { return microseconds(50 + below(faults_on_ && one_in(10) ? 300'000 : 2'000)); }
  /// A control message: delayed, perhaps twice, perhaps never.
  void deliver(const std::function<void()>& run) {
    if (faults_on_ && one_in(10)) return;
    after(delay(), run);
    if (faults_on_ && one_in(10)) after(delay() * 4, run);
  }
  void advance(Duration step) {
    const Instant until = now_ + step;
    while (!events_.empty() && events_.top().at <= until) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      event.run();
    }
    now_ = until;
    for (std::size_t i = 0; i < clients_.size(); ++i)
      tell(i, [&](ClientSession& session) { session.on_tick(now_); });
    tell_node([&](ServerActions& actions) { node_->on_tick(now_, actions); });
  }

  void fault() {
    if (one_in(60)) break_some_connection();
    if (one_in(400)) start_node();
    if (one_in(300)) replace_master();
    if (one_in(250)) start_client(below(2));
  }

  // --- master ---

  void replace_master() {
    masters_.push_back(std::make_unique<OpenService>(store_));
    REQUIRE(masters_.back()->take_over());
    if (node_) after(delay(), [this] { say_hello(); });
  }
  /// Mostly the one in charge, sometimes a deposed one that doesn't know.
  OpenService& some_master() {
    if (faults_on_ && one_in(8)) return *masters_[below(masters_.size())];
    return *masters_.back();
  }
  void say_hello() {
    std::optional<Gvn> fence;
    tell_node([&](ServerActions& actions) { fence = node_->prepare_hello(actions); });
    if (!fence) return after(delay(), on_boot([this] { say_hello(); }));
    Hello hello;
    hello.node = kNode;
    hello.boot = BootId(boot_);
    hello.manager_version = node_->manager_version();
    for (std::size_t i = 0; i < kPaths; ++i)
      hello.addresses.push_back(*NodeAddress::from("node:1"));
    hello.fences.push_back({kVolume, *fence});
    const std::optional<HelloAnswer> answer = masters_.back()->on_hello(hello);
    REQUIRE(answer.has_value());
    CHECK(answer->status == StatusCode::ok);
    node_->on_manager_version(answer->manager_version);
  }

  // --- clients ---

  void start_client(std::size_t index) {
    if (clients_.size() <= index) clients_.resize(index + 1);
    Client& client = clients_[index];
    for (Connection& connection : connections_) {
      if (connection.client == index && connection.client_side) {
        connection.client_side = false;
        lose_on_node(connection);
      }
    }
    client.outstanding.clear();  // the process died: its writes are nobody's
    client.read_floor.clear();
    ++client.incarnation;
    ClientConfig config;
    config.client = *ClientId::from(index == 0 ? "client-a" : "client-b");
    config.volume = *VolumeName::from("db");
    config.steal = true;
    config.max_outstanding = 8;
    config.max_window = 8;
    config.max_data_length = 2 * kBlock;
    config.io_timeout = milliseconds(400);
    config.control_timeout = milliseconds(200);
    config.ask_master_after = milliseconds(300);
    config.reconnect = {milliseconds(5), milliseconds(100)};
    config.open_timeout = std::chrono::hours(1);
    client.session = std::make_unique<ClientSession>(config);
    tell(index, [&](ClientSession& session) { session.open(Nonce(++nonce_), now_); });
  }

  void use(std::size_t index) {
    Client& client = clients_[index];
    if (client.session->phase() == SessionPhase::ended && one_in(200)) start_client(index);
    if (!one_in(2)) return;
    IoSubmission io;
    io.tag = ++tag_;
    io.op = one_in(3) ? IoOp::read : one_in(8) ? IoOp::flush : IoOp::write;
    if (io.op != IoOp::flush) {
      const std::uint64_t first = below(kBlocks - 1);
      io.offset = ByteCount(first * kBlock);
      io.length = kBlock;
      if (io.op == IoOp::write && one_in(3)) io.length = 2 * kBlock;
      if (io.op == IoOp::write) io.data_crc = static_cast<std::uint32_t>(io.tag);
    }
    StatusCode status = StatusCode::ok;
    client.outstanding[io.tag] = io;
    client.read_floor[io.tag] = floor_;
    if (io.op == IoOp::write) writes_[io.tag] = {index, false, {}};
    tell(index, [&](ClientSession& session) { status = session.submit(io, now_); });
    if (status != StatusCode::ok) {
      client.outstanding.erase(io.tag);
      client.read_floor.erase(io.tag);
    }
  }

  [[nodiscard]] bool all_done() const {
    return std::all_of(clients_.begin(), clients_.end(), [](const Client& client) {
      const SessionPhase phase = client.session->phase();
      return client.outstanding.empty() && (phase == SessionPhase::active || phase == SessionPhase::ended);
    });
  }

  /// One event of a client, and what it asks for.
  template <typename Tell>
  void tell(std::size_t index, Tell&& event) {
    Client& client = clients_[index];
    event(*client.session);
    const std::vector<ClientAction> actions(client.session->actions().begin(),
                                            client.session->actions().end());
    client.session->clear_actions();
    for (const ClientAction& action : actions)
      std::visit([&](const auto& each) { perform(index, each); }, action);
  }
  template <typename Tell>
  std::function<void()> to_client(std::size_t index, Tell event) {
    return [this, index, incarnation = clients_[index].incarnation, event] {
      if (clients_[index].incarnation == incarnation) tell(index, event);
    };
  }

  void perform(std::size_t index, const SendOpen& action) {
    const auto reply_to = clients_[index].incarnation;
    deliver([this, index, action, reply_to] {
      const OpenAnswer answer = some_master().on_open(action.request);
      if (answer.status == StatusCode::ok) {
        // 6: GVNs of a volume strictly rise, and each is one opening's.
        const auto [owner, is_new] = given_.emplace(answer.gvn, action.request.nonce);
        CHECK(owner->second == action.request.nonce);
        if (is_new) {
          CHECK(answer.gvn > highest_given_);
          highest_given_ = answer.gvn;
        }
      }
      if (clients_[index].incarnation != reply_to) return;
      deliver(to_client(index, [this, action, answer](ClientSession& session) {
        session.on_open_answer(action.id, answer, now_);
      }));
    });
  }
  void perform(std::size_t index, const SendSessionOpen& action) {
    deliver([this, index, action, incarnation = clients_[index].incarnation] {
      const Token token(++token_);
      session_askers_[token] = {index, incarnation, action.id};
      tell_node([&](ServerActions& actions) {
        node_->on_session_open(token, action.request, Cookie(++cookie_), now_, actions);
      });
    });
  }
  void perform(std::size_t /*index*/, const SendClose& /*action*/) {}
  void perform(std::size_t /*index*/, const ReportPhase& /*action*/) {}
  void perform(std::size_t index, const SendKeepalive& action) {
    const Connection* connection = find(index, action.path, action.epoch);
    if (connection == nullptr || !connection->node_side || action.message.reply) return;
    after(delay(), to_client(index, [this, action](ClientSession& session) {
            session.on_keepalive(action.path, action.epoch, {true, action.message.count}, now_);
          }));
  }
  void perform(std::size_t index, const ConnectPath& action) {
    Connection connection;
    connection.client = index;
    connection.incarnation = clients_[index].incarnation;
    connection.key = {action.attach.gvn, action.attach.path, action.attach.epoch};
    connection.node_boot = boot_;
    connections_.push_back(connection);
    const std::size_t id = connections_.size() - 1;
    after(delay(), [this, id, action] {
      if (connections_[id].node_boot != boot_) return refuse(id, StatusCode::connection_refused);
      const Token token(++token_);
      attach_askers_[token] = id;
      tell_node([&](ServerActions& actions) { node_->on_path_attach(token, action.attach, actions); });
    });
  }
  void perform(std::size_t index, const KillPath& action) {
    Connection* connection = find(index, action.path, action.epoch);
    REQUIRE(connection != nullptr);
    const auto id = static_cast<std::size_t>(connection - connections_.data());
    after(delay(), to_client(index, [this, id, action](ClientSession& session) {
            connections_[id].client_side = false;
            session.on_path_destroyed(action.path, action.epoch, now_);
          }));
    // The node finds out some time later; what has arrived there by then is processed.
    after(delay() * 3, [this, id] { lose_on_node(connections_[id]); });
  }
  void perform(std::size_t index, const PostIo& action) {
    Connection* connection = find(index, action.path, action.epoch);
    REQUIRE(connection != nullptr);
    REQUIRE(clients_[index].outstanding.contains(action.tag));
    // A reliable connection delivers in order.
    connection->last_request = std::max(connection->last_request, now_ + delay());
    const auto id = static_cast<std::size_t>(connection - connections_.data());
    at(connection->last_request, [this, id, action] {
      if (!connections_[id].node_side || connections_[id].node_boot != boot_) return;
      std::array<std::byte, kIoRequestSize> frame{};
      encode(action.request, frame);
      std::array<std::byte, kIoRequestSize + 2 * kBlock> capsule{};
      std::copy(frame.begin(), frame.end(), capsule.begin());
      const std::size_t data =
          action.request.placement == DataPlacement::in_capsule ? action.request.length : 0;
      // 2: what comes after its session was fenced is noted, and must never be answered.
      const ServerSession* session = node_->session(connections_[id].key.gvn);
      if (session == nullptr || !session->is_active()) {
        came_after_fence_.insert({connections_[id].key, action.request.seq});
        ++requests_after_fence_;
      }
      tell_node([&](ServerActions& actions) {
        node_->on_request(connections_[id].key, std::span(capsule).first(kIoRequestSize + data), actions);
      });
    });
  }
  void perform(std::size_t index, const CompleteIo& action) {
    Client& client = clients_[index];
    const auto found = client.outstanding.find(action.tag);
    REQUIRE(found != client.outstanding.end());  // exactly once
    const IoSubmission io = found->second;
    ++completions_;
    if (action.status == StatusCode::ok && io.op == IoOp::write) {
      REQUIRE(writes_[io.tag].applied.has_value());
      for (std::size_t block = first(io.offset); block < first(io.offset) + io.length / kBlock; ++block)
        floor_[block] = std::max(floor_[block], place_of(block, io.tag));
    }
    if (action.status == StatusCode::ok && io.op == IoOp::read) {
      // 5: the last acknowledged write or a later one.
      CHECK(place_of(first(io.offset), action.data_crc) >= client.read_floor[io.tag][first(io.offset)]);
    }
    client.outstanding.erase(found);
    client.read_floor.erase(action.tag);
  }

  Connection* find(std::size_t index, PathId path, PathEpoch epoch) {
    for (auto each = connections_.rbegin(); each != connections_.rend(); ++each) {
      if (each->client == index && each->incarnation == clients_[index].incarnation &&
          each->key.path == path && each->key.epoch == epoch) {
        return &*each;
      }
    }
    return nullptr;
  }

  void break_some_connection() {
    if (connections_.empty()) return;
    const std::size_t id = connections_.size() - 1 - below(std::min<std::size_t>(4, connections_.size()));
    fail_on_client(id);
    after(delay() * 2, [this, id] { lose_on_node(connections_[id]); });
  }
  void fail_on_client(std::size_t id) {
    const Connection connection = connections_[id];
    if (!connection.client_side || connection.incarnation != clients_[connection.client].incarnation) return;
    after(delay(), to_client(connection.client, [this, key = connection.key](ClientSession& session) {
            session.on_path_failed(key.path, key.epoch, now_);
          }));
  }
  void refuse(std::size_t id, StatusCode status) {
    const Connection connection = connections_[id];
    if (connection.incarnation != clients_[connection.client].incarnation) return;
    after(delay(), to_client(connection.client, [this, key = connection.key, status](ClientSession& session) {
            session.on_path_refused(key.path, key.epoch, status, now_);
          }));
  }

  // --- node ---

  void start_node() {
    ++boot_;
    // F2: what the old process had submitted lands before the new one gets the lock.
    std::map<std::uint64_t, std::function<void()>> in_flight;
    std::swap(in_flight, backend_);
    for (auto& [id, apply] : in_flight)
      apply();
    for (std::size_t id = 0; id < connections_.size(); ++id) {
      if (connections_[id].node_side) {
        connections_[id].node_side = false;
        fail_on_client(id);
      }
    }
    session_askers_.clear();
    attach_askers_.clear();
    VolumeSessionsConfig config;
    config.volume = kVolume;
    config.node = kNode;
    config.boot = BootId(boot_);
    config.window_size = 8;
    config.max_paths = kPaths;
    config.path_depth = 8;
    node_ = std::make_unique<VolumeSessions>(config, VolumeRecovery{durable_fence_, durable_manager_, false});
    node_->on_backend_locked();
    after(delay(), [this] { say_hello(); });
  }

  template <typename Tell>
  void tell_node(Tell&& event) {
    ServerActions actions;
    event(actions);
    for (const ServerAction& action : actions)
      std::visit([this](const auto& each) { this->perform(each); }, action);
  }
  /// For an event of this boot alone.
  template <typename Run>
  std::function<void()> on_boot(Run run) {
    return [this, boot = boot_, run] {
      if (boot == boot_) run();
    };
  }

  void lose_on_node(Connection& connection) {
    if (!connection.node_side || connection.node_boot != boot_) return;
    const PathKey key = connection.key;
    tell_node([&](ServerActions& actions) { node_->on_path_lost(key, actions); });
  }
  Connection* find(const PathKey& key) {
    for (auto each = connections_.rbegin(); each != connections_.rend(); ++each) {
      if (each->key == key && each->node_boot == boot_) return &*each;
    }
    return nullptr;
  }

  void perform(const Execute& action) {
    const Gvn gvn = action.path.gvn;
    // 2: nothing is admitted once the fence of a newer session is being written.
    CHECK(gvn >= fenced_below_);
    after(microseconds(below(500)), on_boot([this, gvn, action] {
            bool may = false;
            tell_node([&](ServerActions& actions) { may = node_->may_submit(gvn, action.attempt, actions); });
            if (!may) return;
            const IoRequest request = node_->session(gvn)->request(action.attempt);
            // An unordered backend: everything submitted lands at some time.
            const std::uint64_t id = ++backend_id_;
            const auto data = std::make_shared<std::uint32_t>(0);
            backend_[id] = [this, request, data] { *data = apply(request); };
            after(microseconds(below(faults_on_ && one_in(20) ? 600'000 : 3'000)),
                  on_boot([this, id, gvn, action, data] {
                    backend_.at(id)();
                    backend_.erase(id);
                    tell_node([&](ServerActions& actions) {
                      node_->on_io_done(gvn, action.attempt, {StatusCode::ok, *data}, actions);
                    });
                  }));
          }));
  }

  /// The operation takes effect; the invariants on effects.
  std::uint32_t apply(const IoRequest& request) {
    const std::size_t block = first(request.offset);
    if (request.op == IoOp::read) return static_cast<std::uint32_t>(history_[block].back());
    if (request.op != IoOp::write) return 0;
    // 1: no effect of a session after a newer one was acknowledged.
    CHECK(request.gvn >= acknowledged_);
    // 3: each write of a session executes at most once.
    CHECK(executed_.insert({request.gvn, request.seq}).second);
    const std::uint64_t tag = request.data_crc;
    for (std::size_t i = block; i < block + request.length / kBlock; ++i) {
      // 3, 4: an overwritten value never comes back: neither over an acknowledged one nor any other.
      const bool was_overwritten =
          std::find(history_[i].begin(), history_[i].end() - 1, tag) != history_[i].end() - 1;
      CHECK_FALSE(was_overwritten);
      if (history_[i].back() != tag) history_[i].push_back(tag);
      writes_[tag].applied = history_[i].size() - 1;
    }
    return 0;
  }
  static std::size_t first(ByteCount offset) { return static_cast<std::size_t>(offset.value() / kBlock); }
  [[nodiscard]] std::size_t place_of(std::size_t block, std::uint64_t tag) const {
    const auto found = std::find(history_[block].begin(), history_[block].end(), tag);
    REQUIRE(found != history_[block].end());
    return static_cast<std::size_t>(found - history_[block].begin());
  }

  void perform(const Respond& action) {
    // 2: no answer to a session for work admitted after the fence.
    CHECK(action.path.gvn >= fenced_below_);
    CHECK_FALSE(came_after_fence_.contains({action.path, action.response.seq}));
    Connection* connection = find(action.path);
    if (connection == nullptr) return;
    connection->last_response = std::max(connection->last_response, now_ + delay());
    if (connection->incarnation != clients_[connection->client].incarnation) return;
    at(connection->last_response, to_client(connection->client, [this, action](ClientSession& session) {
         session.on_response(action.path.path, action.path.epoch, action.response, now_);
       }));
  }
  void perform(const DestroyQueuePair& action) {
    after(delay(), on_boot([this, action] {
            if (Connection* connection = find(action.path)) {
              connection->node_side = false;
              fail_on_client(static_cast<std::size_t>(connection - connections_.data()));
            }
            tell_node([&](ServerActions& actions) { node_->on_queue_pair_destroyed(action.path, actions); });
          }));
  }
  void perform(const ReleasePath& /*action*/) {}
  void perform(const AcceptPath& action) {
    const std::size_t id = attach_askers_.at(action.token);
    Connection& connection = connections_[id];
    connection.node_side = true;
    PathAccept accept;
    accept.path = action.path.path;
    accept.epoch = action.path.epoch;
    accept.gvn = action.path.gvn;
    accept.depth = action.depth;
    accept.in_capsule_limit = kBlock;
    accept.slots.push_back({2 * kBlock, 2});
    if (connection.incarnation != clients_[connection.client].incarnation) return lose_on_node(connection);
    after(delay(), to_client(connection.client, [this, accept](ClientSession& session) {
            session.on_path_accepted(accept, now_);
          }));
  }
  void perform(const RejectPath& action) { refuse(attach_askers_.at(action.token), action.reject.status); }
  void perform(const AskMaster& action) {
    deliver([this, action] {
      const VerifyAnswer answer = some_master().on_verify(action.request);
      deliver(on_boot([this, action, answer] {
        tell_node([&](ServerActions& actions) { node_->on_verify_answer(action.id, answer, actions); });
      }));
    });
  }
  void perform(const PersistFence& action) {
    fenced_below_ = std::max(fenced_below_, action.fence);
    after(delay(), on_boot([this, action] {
            CHECK(action.fence >= durable_fence_);  // 9: monotone
            durable_fence_ = action.fence;
            durable_manager_ = action.manager_version;
            tell_node([&](ServerActions& actions) {
              node_->on_fence_durable(action.fence, StatusCode::ok, actions);
            });
          }));
  }
  void perform(const AnswerSession& action) {
    if (action.answer.status == StatusCode::ok) {
      CHECK(durable_fence_ >= action.answer.gvn);  // 9: durable before the acknowledgement
      CHECK(action.answer.gvn >= acknowledged_);   // 6: never accepted twice
      acknowledged_ = std::max(acknowledged_, action.answer.gvn);
    }
    const Asker asker = session_askers_.at(action.token);
    if (clients_[asker.client].incarnation != asker.incarnation) return;
    deliver(to_client(asker.client, [this, id = asker.id, answer = action.answer](ClientSession& session) {
      session.on_session_answer(id, answer, now_);
    }));
  }
  void perform(const AnswerClose& /*action*/) {}
  void perform(const AnswerQuiesce& /*action*/) {}

  struct Asker {
    std::size_t client = 0;
    std::uint64_t incarnation = 0;
    RequestId id;
  };

  std::mt19937_64 random_;  ///< a seed gives the same run everywhere
  bool faults_on_ = true;
  Instant now_{1'000'000'000};
  std::uint64_t order_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;

  MemoryMetadataStore store_;
  std::vector<std::unique_ptr<OpenService>> masters_;
  std::map<Gvn, Nonce> given_;
  Gvn highest_given_;

  std::vector<Client> clients_;
  std::vector<Connection> connections_;
  std::uint64_t nonce_ = 0;
  std::uint64_t tag_ = 0;
  std::uint64_t completions_ = 0;

  std::unique_ptr<VolumeSessions> node_;
  std::uint64_t boot_ = 0;
  Gvn durable_fence_;
  ManagerVersion durable_manager_;
  Gvn acknowledged_;
  std::uint64_t token_ = 0;
  std::uint64_t cookie_ = 0;
  std::map<Token, Asker> session_askers_;
  std::map<Token, std::size_t> attach_askers_;
  std::map<std::uint64_t, std::function<void()>> backend_;
  std::uint64_t backend_id_ = 0;

  std::array<std::vector<std::uint64_t>, kBlocks> history_ = [] {
    std::array<std::vector<std::uint64_t>, kBlocks> empty;
    empty.fill({0});
    return empty;
  }();
  std::array<std::size_t, kBlocks> floor_{};  ///< place of the latest acknowledged write
  std::map<std::uint64_t, Write> writes_;
  std::set<std::pair<Gvn, Seq>> executed_;

  struct ByPlace {
    using Request = std::pair<PathKey, Seq>;
    bool operator()(const Request& a, const Request& b) const {
      const auto place = [](const Request& each) {
        return std::tuple(each.first.gvn, each.first.path, each.first.epoch, each.second);
      };
      return place(a) < place(b);
    }
  };
  Gvn fenced_below_;
  std::set<ByPlace::Request, ByPlace> came_after_fence_;
  std::uint64_t requests_after_fence_ = 0;
};

}  // namespace

TEST_CASE(
    "invariants 1, 2, 3, 4, 5, 6, 9 and liveness, end to end: two clients that steal from each other, "
    "a node and masters that are replaced, messages that are lost, repeated and late",
    "[C1][C3][C4][C5][P1][P2][P3][end_to_end]") {
  std::uint64_t requests_after_fence = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Simulation simulation(seed);
    simulation.run();
    requests_after_fence += simulation.requests_after_fence();
  }
  CHECK(requests_after_fence > 100);  // invariant 2 was put to the test
}

}  // namespace sluice::protocol::test
