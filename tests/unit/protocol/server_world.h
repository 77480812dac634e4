#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "protocol/volume_sessions.h"
#include "tests/unit/protocol/choices.h"

namespace sluice::protocol::test {

/// A node around one volume, its network, disk and master, each of which does what the choices say, in any
/// order. After every event what the volume asks for is held against the rules.
class ServerWorld {
 public:
  ServerWorld() : volume_(config(), {}) { volume_.on_backend_locked(); }

  void run(Choices& choices) {
    while (choices.any_left()) {
      actions_.clear();
      step(choices);
      for (const ServerAction& action : actions_)
        std::visit([this](const auto& asked) { carry_out(asked); }, action);
      require(volume_.fence() >= last_fence_, "invariant 9: the fence is monotone");
      last_fence_ = volume_.fence();
    }
  }

 private:
  using PathName = std::tuple<std::uint64_t, std::uint8_t, std::uint32_t>;

  struct Connection {
    PathKey key;
    bool dying = false;
    bool destroyed = false;
  };
  struct Work {
    PathKey path;
    AttemptId attempt;
    IoRequest request;
    bool submitted = false;
  };

  /// To the master.
  struct Question {
    RequestId id;
    Gvn gvn;
    std::uint64_t hellos = 0;  ///< before it was asked
  };

  static constexpr std::uint64_t kSize = 64ULL * 4096;
  static constexpr VolumeId kVolume{3};

  static VolumeSessionsConfig config() {
    return {kVolume, NodeId(1), BootId(2), 4, 2, 4, std::chrono::seconds(10)};
  }
  static PathName name(const PathKey& key) { return {key.gvn.value(), key.path.value(), key.epoch.value()}; }
  static Cookie cookie_of(Gvn gvn) { return Cookie(gvn.value() * 7 + 1); }

  void step(Choices& choices) {
    switch (choices.below(16)) {
      case 0:
        return open(choices);
      case 1:
        return verify(choices);
      case 2:
        return make_durable(choices);
      case 3:
        return attach(choices);
      case 4:
        return destroy_queue_pair(choices);
      case 5:
        return lose_path(choices);
      case 6:
        return control(choices);
      case 7:
      case 8:
        return submit(choices);
      case 9:
      case 10:
        return finish(choices);
      default:
        return request(choices);
    }
  }

  // --- events ---

  void open(Choices& choices) {
    if (choices.yes()) ++newest_;
    const std::uint32_t version = newest_ > 3 ? newest_ - choices.below(3) : newest_;
    const Gvn gvn = make_gvn(ManagerVersion(1), OpenVersion(version));
    const SessionOpen open{kVolume, gvn, *ClientId::from("c"), Nonce(1 + choices.below(2))};
    volume_.on_session_open(Token(++tokens_), open, cookie_of(gvn), now_, actions_);
  }

  void verify(Choices& choices) {
    if (asked_.empty()) return;
    const std::size_t index = choices.below(asked_.size());
    const auto [id, gvn, hellos] = asked_[index];
    asked_.erase(asked_.begin() + static_cast<std::ptrdiff_t>(index));
    const bool reader = open_version(gvn).value() % 4 == 0;
    const bool yes = choices.below(4) != 0;
    VerifyAnswer answer;
    answer.status = yes ? StatusCode::ok : StatusCode::stale_version;
    answer.volume = kVolume;
    answer.gvn = gvn;
    answer.current_gvn = gvn;
    answer.manager_version = ManagerVersion(choices.below(16) == 0 ? 0 : 1);
    answer.mode = reader ? AccessMode::read_only : AccessMode::read_write;
    answer.policy = WritePolicy::write_back;
    if (yes) {
      answer.era = reader ? make_gvn(ManagerVersion(1), OpenVersion(4)) : gvn;
      answer.size = ByteCount(kSize);
      answer.block_size = 4096;
    }
    if (yes && hellos == hellos_) allowed_.insert(gvn);
    volume_.on_verify_answer(id, answer, actions_);
  }

  void say_hello() {
    const std::optional<Gvn> reported = volume_.prepare_hello(actions_);
    require(reported.has_value() == !persisting_, "a hello waits for the fence that is being written");
    if (!reported) return;
    require(*reported == volume_.fence(), "a hello reports the fence");
    ++hellos_;
    allowed_.clear();
  }

  void make_durable(Choices& choices) {
    if (!persisting_) return;
    const Gvn fence = *std::exchange(persisting_, std::nullopt);
    volume_.on_fence_durable(fence, choices.below(8) == 0 ? StatusCode::no_space : StatusCode::ok, actions_);
  }

  void attach(Choices& choices) {
    const Gvn gvn = volume_.fence();
    if (gvn == Gvn(0)) return;
    const PathId path(static_cast<std::uint8_t>(choices.below(3)));
    if (choices.below(4) != 0) ++epoch_;
    const Cookie cookie = choices.below(8) == 0 ? Cookie(1) : cookie_of(gvn);
    volume_.on_path_attach(Token(++tokens_), {path, 4, PathEpoch(epoch_), gvn, kVolume, cookie}, actions_);
  }

  void destroy_queue_pair(Choices& choices) {
    std::vector<Connection*> dying;
    for (auto& [key, connection] : connections_) {
      if (connection.dying && !connection.destroyed) dying.push_back(&connection);
    }
    if (dying.empty()) return;
    Connection& connection = *dying[choices.below(dying.size())];
    connection.destroyed = true;
    volume_.on_queue_pair_destroyed(connection.key, actions_);
  }

  void lose_path(Choices& choices) {
    if (const auto key = pick_path(choices)) volume_.on_path_lost(*key, actions_);
  }

  void control(Choices& choices) {
    const Gvn gvn = choices.yes() ? volume_.fence() : make_gvn(ManagerVersion(1), OpenVersion(newest_ + 1));
    switch (choices.below(5)) {
      case 4:
        return say_hello();
      case 0:
        now_ = now_ + std::chrono::seconds(choices.below(12));
        return volume_.on_tick(now_, actions_);
      case 1:
        if (gvn == Gvn(0)) return;
        return volume_.on_close(Token(++tokens_),
                                {kVolume, gvn, *ClientId::from("c"), Nonce(1 + choices.below(2))}, now_,
                                actions_);
      case 2:
        if (gvn == Gvn(0)) return;
        newest_ = std::max(newest_, open_version(gvn).value());
        allowed_.insert(gvn);
        return volume_.on_quiesce(Token(++tokens_), {kVolume, gvn, ManagerVersion(choices.below(2))}, now_,
                                  actions_);
      default:
        return bad_payload(choices);
    }
  }

  void bad_payload(Choices& choices) {
    const auto index = pick_work(choices, false);
    if (!index || work_[*index].request.op != IoOp::write) return;
    const Work work = work_[*index];
    const ServerSession* session = volume_.session(work.path.gvn);
    if (!session->is_active()) return;
    work_.erase(work_.begin() + static_cast<std::ptrdiff_t>(*index));
    volume_.on_bad_payload(work.path.gvn, work.attempt, actions_);
  }

  void submit(Choices& choices) {
    const auto index = pick_work(choices, false);
    if (!index) return;
    const Work work = work_[*index];
    const bool active = volume_.session(work.path.gvn)->is_active();
    // Taken away first: what the volume asks for next may depend on it.
    work_.erase(work_.begin() + static_cast<std::ptrdiff_t>(*index));
    const bool may = volume_.may_submit(work.path.gvn, work.attempt, actions_);
    require(may == active, "W7: only an active session's operation is submitted");
    if (!may) return;
    if (work.request.op != IoOp::read) {
      require(submitted_.insert({work.path.gvn.value(), work.request.seq.value()}).second,
              "invariant 3: each write executes at most once");
    }
    work_.push_back({work.path, work.attempt, work.request, true});
  }

  void finish(Choices& choices) {
    const auto index = pick_work(choices, true);
    if (!index) return;
    const Work work = work_[*index];
    work_.erase(work_.begin() + static_cast<std::ptrdiff_t>(*index));
    const StatusCode status = choices.below(8) == 0 ? StatusCode::io_error : StatusCode::ok;
    if (work.request.op != IoOp::read) {
      outcomes_[{work.path.gvn.value(), work.request.seq.value()}] = status;
    }
    volume_.on_io_done(work.path.gvn, work.attempt, {status, 0}, actions_);
  }

  void request(Choices& choices) {
    const auto key = pick_path(choices);
    if (!key) return;
    IoRequest request;
    request.op = static_cast<IoOp>(1 + choices.below(5));
    request.gvn = key->gvn;
    request.seq = Seq(1 + choices.below(6) + (choices.below(8) == 0 ? choices.below(256) : 0));
    request.low =
        Seq(request.seq.value() - std::min<std::uint64_t>(request.seq.value() - 1, choices.below(6)));
    if (request.op != IoOp::flush) {
      request.offset = ByteCount(4096 * std::uint64_t{choices.below(8) == 0 ? choices.below(80) : 0});
      request.length = 4096;
    }
    if (request.op == IoOp::write) {
      request.placement = DataPlacement::slot;
      request.slot = SlotIndex(0);
      request.data_crc = choices.below(32) == 0 ? 1 : 0;
    }
    if (request.op == IoOp::read) request.placement = DataPlacement::remote;
    request.path_tag = make_path_tag(kVolume, key->gvn, cookie_of(key->gvn), key->path, key->epoch);
    std::array<std::byte, kIoRequestSize> frame{};
    encode(request, frame);
    if (choices.below(64) == 0) frame[choices.below(frame.size())] ^= std::byte{1};
    volume_.on_request(*key, frame, actions_);
  }

  std::optional<PathKey> pick_path(Choices& choices) {
    if (connections_.empty()) return std::nullopt;
    auto found = connections_.begin();
    std::advance(found, choices.below(std::min<std::size_t>(connections_.size(), 256)));
    return found->second.key;
  }
  std::optional<std::size_t> pick_work(Choices& choices, bool submitted) {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < work_.size(); ++i) {
      if (work_[i].submitted == submitted) found.push_back(i);
    }
    if (found.empty()) return std::nullopt;
    return found[choices.below(std::min<std::size_t>(found.size(), 256))];
  }

  // --- what the volume asks for ---

  void carry_out(const Execute& asked) {
    require(is_usable(asked.path) || !volume_.session(asked.path.gvn)->is_active(),
            "what executes came on a live path");
    work_.push_back(
        {asked.path, asked.attempt, volume_.session(asked.path.gvn)->request(asked.attempt), false});
  }
  void carry_out(const Respond& asked) {
    require(is_usable(asked.path), "R2: an answer goes to a live path");
    const IoResponse& response = asked.response;
    const auto outcome = outcomes_.find({response.gvn.value(), response.seq.value()});
    if (response.repeated && response.op != IoOp::read && outcome != outcomes_.end()) {
      require(response.status == outcome->second, "invariant 7: a repeat gets the original status");
    }
  }
  void carry_out(const DestroyQueuePair& asked) {
    Connection& connection = connections_.at(name(asked.path));
    require(!connection.dying, "a queue pair is destroyed once");
    connection.dying = true;
  }
  void carry_out(const ReleasePath& asked) {
    const auto connection = connections_.find(name(asked.path));
    require(connection != connections_.end() && connection->second.destroyed,
            "R4: slots outlive their queue pair");
    for (const Work& work : work_)
      require(!(work.path == asked.path), "R3: slots outlive what executes from them");
    connections_.erase(connection);
  }
  void carry_out(const AcceptPath& asked) {
    for (const auto& [key, connection] : connections_) {
      require(!(connection.key.gvn == asked.path.gvn && connection.key.path == asked.path.path),
              "R4: a path is granted slots after the old ones were released");
    }
    connections_[name(asked.path)] = {asked.path, false, false};
  }
  void carry_out(const AskMaster& asked) { asked_.push_back({asked.id, asked.request.gvn, hellos_}); }
  void carry_out(const PersistFence& asked) {
    require(allowed_.contains(asked.fence), "P1, P3: a fence rests on a master's word since the last hello");
    require(!persisting_, "one fence is written at a time");
    require(asked.fence > last_fence_ && asked.fence >= highest_on_disk_,
            "invariant 9: the fence on the disk is monotone");
    require_older_are_over(asked.fence);
    highest_on_disk_ = asked.fence;
    persisting_ = asked.fence;
  }
  void carry_out(const AnswerSession& asked) {
    if (asked.answer.status != StatusCode::ok) return;
    require(asked.answer.fence >= asked.answer.gvn, "P3: the fence is durable before the acknowledgement");
    require_older_are_over(asked.answer.gvn);
  }
  void carry_out(const AnswerClose& asked) {
    if (asked.answer.status == StatusCode::ok) require_over(asked.answer.gvn);
  }
  void carry_out(const AnswerQuiesce& asked) {
    if (asked.answer.status == StatusCode::ok) require_older_are_over(Gvn(asked.answer.fence.value() + 1));
  }
  void carry_out(const RejectPath& asked) {
    require(asked.reject.status != StatusCode::ok, "a rejected path is told why");
  }

  [[nodiscard]] bool is_usable(const PathKey& path) const {
    const auto connection = connections_.find(name(path));
    return connection != connections_.end() && !connection->second.destroyed;
  }

  /// Readers of one era stand side by side, any other older session must be over (invariants 1 and 2).
  void require_older_are_over(Gvn gvn) const {
    const auto is_reader = [](Gvn version) { return open_version(version).value() % 4 == 0; };
    for (const Work& work : work_) {
      require(work.path.gvn >= gvn || (is_reader(work.path.gvn) && is_reader(gvn)),
              "P3, F1: nothing of an older session is in flight");
    }
    for (const auto& [key, connection] : connections_) {
      require(connection.key.gvn >= gvn || (is_reader(connection.key.gvn) && is_reader(gvn)),
              "P3: no queue pair of an older session is left");
    }
  }
  void require_over(Gvn gvn) const {
    for (const Work& work : work_)
      require(work.path.gvn != gvn, "C2: nothing of a closed session is in flight");
  }

  VolumeSessions volume_;
  ServerActions actions_;
  std::map<PathName, Connection> connections_;
  std::vector<Work> work_;
  std::vector<Question> asked_;
  std::set<Gvn> allowed_;     ///< verified, or quiesced at, since the last hello
  std::uint64_t hellos_ = 0;  ///< so far
  std::optional<Gvn> persisting_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> submitted_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, StatusCode> outcomes_;
  Gvn last_fence_;
  Gvn highest_on_disk_;
  Instant now_{};
  std::uint64_t tokens_ = 0;
  std::uint32_t newest_ = 1;
  std::uint32_t epoch_ = 1;
};

}  // namespace sluice::protocol::test
