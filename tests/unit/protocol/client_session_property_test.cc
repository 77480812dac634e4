// Random events against a plain model of what a client session must keep.

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include <catch2/catch.hpp>
#include <rapidcheck.h>

#include "protocol/client_session.h"

namespace sluice::protocol::test {
namespace {

constexpr std::uint32_t kBlock = 4096;
constexpr std::uint64_t kBlocks = 12;
constexpr VolumeId kVolume{11};
constexpr std::uint32_t kWindow = 8;
constexpr std::size_t kPaths = 3;

/// The world around one session: master, node and paths as sets of what is under way, in any order; and the
/// rules, checked against everything that the session does.
class World {
 public:
  explicit World(OnLoss on_loss) : session_(config(on_loss)) {
    session_.open(Nonce(1), now_);
    absorb();
  }

  void submit() {
    IoSubmission io;
    io.tag = next_tag_;
    io.op = *rc::gen::element(IoOp::read, IoOp::write, IoOp::write, IoOp::discard, IoOp::write_zeroes,
                              IoOp::flush);
    if (io.op != IoOp::flush) {
      const auto first = *rc::gen::inRange<std::uint64_t>(0, kBlocks);
      const auto count = *rc::gen::inRange<std::uint64_t>(1, std::min<std::uint64_t>(4, kBlocks - first) + 1);
      io.offset = ByteCount(first * kBlock);
      io.length = static_cast<std::uint32_t>(count * kBlock);
    }
    if (session_.submit(io, now_) == StatusCode::ok) {
      callers_.emplace(io.tag, io);
      ++next_tag_;
    }
    absorb();
  }

  /// The node answers any attempt on a living path, in any order.
  void answer_any() {
    std::vector<PostIo> living;
    for (const auto& [key, post] : attempts_) {
      if (alive_.contains({post.path, post.epoch})) living.push_back(post);
    }
    if (living.empty()) return;
    const PostIo post = *rc::gen::elementOf(living);
    const StatusCode status = *rc::gen::weightedElement<StatusCode>(
        {{30, StatusCode::ok}, {2, StatusCode::io_error}, {2, StatusCode::bad_checksum}});
    answer(post, status);
  }

  void answer_that_session_is_over() {
    if (attempts_.empty() || alive_.empty()) return;
    for (const auto& [key, post] : attempts_) {
      if (!alive_.contains({post.path, post.epoch})) continue;
      return answer(PostIo(post), *rc::gen::element(StatusCode::no_session, StatusCode::seq_misuse));
    }
  }

  void accept_any() {
    if (connecting_.empty()) return;
    const PathAttach attach = *rc::gen::elementOf(connecting_);
    forget(attach.path, attach.epoch);
    PathAccept grant;
    grant.path = attach.path;
    grant.epoch = attach.epoch;
    grant.gvn = attach.gvn;
    grant.depth = 4;
    grant.in_capsule_limit = 4096;
    grant.slots.push_back({16384, 2});
    alive_.insert({attach.path, attach.epoch});
    session_.on_path_accepted(grant, now_);
    absorb();
  }

  void refuse_any() {
    if (connecting_.empty()) return;
    const PathAttach attach = *rc::gen::elementOf(connecting_);
    forget(attach.path, attach.epoch);
    const StatusCode status = *rc::gen::weightedElement<StatusCode>(
        {{5, StatusCode::connection_refused}, {1, StatusCode::no_session}});
    session_.on_path_refused(attach.path, attach.epoch, status, now_);
    absorb();
  }

  void lose_any() {
    if (alive_.empty()) return;
    const auto [path, epoch] = *rc::gen::elementOf(std::vector<Connection>(alive_.begin(), alive_.end()));
    session_.on_path_failed(path, epoch, now_);
    absorb();
  }

  void destroy_any() {
    if (dying_.empty()) return;
    const auto connection = *rc::gen::elementOf(std::vector<Connection>(dying_.begin(), dying_.end()));
    dying_.erase(connection);
    std::erase_if(attempts_, [&](const auto& entry) {
      return entry.second.path == connection.first && entry.second.epoch == connection.second;
    });
    session_.on_path_destroyed(connection.first, connection.second, now_);
    absorb();
  }

  void answer_control(bool healthy = false) {
    if (const auto asked = std::exchange(open_question_, std::nullopt)) {
      OpenAnswer answer;
      answer.kind = asked->request.kind;
      const bool same = asked->request.boot != BootId(0) && (healthy || *rc::gen::inRange(0, 3) != 0);
      if (!healthy && *rc::gen::inRange(0, 4) == 0) {
        answer.status = StatusCode::unavailable;
      } else {
        if (!same) ++open_version_;
        answer.gvn =
            same ? asked->request.previous_gvn : make_gvn(ManagerVersion(1), OpenVersion(open_version_));
        answer.volume = kVolume;
        answer.size = ByteCount(kBlocks * kBlock);
        answer.block_size = kBlock;
        answer.node = NodeId(5);
        for (std::size_t i = 0; i < kPaths; ++i)
          answer.addresses.push_back(*NodeAddress::from("n:1"));
      }
      session_.on_open_answer(asked->id, answer, now_);
      absorb();
    } else if (const auto join = std::exchange(join_question_, std::nullopt)) {
      if (session_.phase() != SessionPhase::joining || join->request.gvn != session_.gvn()) return;
      RC_ASSERT(dying_.empty() && alive_.empty());  // C3, C5
      SessionAnswer answer;
      answer.volume = kVolume;
      answer.gvn = join->request.gvn;
      answer.fence = join->request.gvn;
      answer.boot = BootId(6);
      answer.cookie = Cookie(7);
      answer.window = kWindow;
      answer.max_paths = kPaths;
      acknowledged_ = join->request.gvn;
      highest_seq_ = 0;
      answered_.clear();
      sent_.clear();
      session_.on_session_answer(join->id, answer, now_);
      absorb();
    }
  }

  void tick() {
    now_ = now_ + std::chrono::milliseconds(*rc::gen::inRange(1, 800));
    session_.on_tick(now_);
    absorb();
  }

  /// Faults stop: everything must complete.
  void settle() {
    for (int i = 0; i < 3000 && !callers_.empty(); ++i) {
      while (!dying_.empty())
        destroy_first();
      answer_control(true);
      while (!connecting_.empty())
        accept_any();
      const std::map<Key, PostIo> present = attempts_;
      for (const auto& [key, post] : present) {
        if (alive_.contains({post.path, post.epoch}) && attempts_.contains(key)) answer(post, StatusCode::ok);
      }
      now_ = now_ + std::chrono::milliseconds(100);
      session_.on_tick(now_);
      absorb();
    }
    RC_LOG() << "phase " << to_string(session_.phase()) << ", " << alive_.size() << " paths up, "
             << attempts_.size() << " attempts, " << connecting_.size() << " connecting";
    RC_ASSERT(callers_.empty());
    RC_ASSERT(session_.outstanding().size() == 0U);
  }

 private:
  using Connection = std::pair<PathId, PathEpoch>;
  using Key = std::tuple<std::uint64_t, PathId, PathEpoch>;

  static ClientConfig config(OnLoss on_loss) {
    ClientConfig config;
    config.client = *ClientId::from("c");
    config.volume = *VolumeName::from("v");
    config.max_outstanding = 12;
    config.max_window = 16;
    config.max_data_length = 16384;
    config.on_loss = on_loss;
    config.loss_deadline = std::chrono::seconds(2);
    config.io_timeout = std::chrono::seconds(3);
    return config;
  }

  void destroy_first() {
    const Connection connection = *dying_.begin();
    dying_.erase(connection);
    std::erase_if(attempts_, [&](const auto& entry) {
      return entry.second.path == connection.first && entry.second.epoch == connection.second;
    });
    session_.on_path_destroyed(connection.first, connection.second, now_);
    absorb();
  }

  void forget(PathId path, PathEpoch epoch) {
    std::erase_if(connecting_,
                  [&](const PathAttach& attach) { return attach.path == path && attach.epoch == epoch; });
  }

  void answer(const PostIo& post, StatusCode status) {
    if (status == StatusCode::ok || status == StatusCode::io_error)
      answered_.insert(post.request.seq.value());
    attempts_.erase({post.tag, post.path, post.epoch});
    session_.on_response(post.path, post.epoch,
                         {post.request.op, false, status, post.request.gvn, post.request.seq, 0}, now_);
    absorb();
  }

  void absorb() {
    const std::vector<ClientAction> actions(session_.actions().begin(), session_.actions().end());
    session_.clear_actions();
    for (const ClientAction& action : actions)
      std::visit([this](const auto& each) { this->on(each); }, action);
  }

  void on(const SendOpen& action) {
    RC_ASSERT(!action.request.steal);
    open_question_ = action;
  }
  void on(const SendSessionOpen& action) { join_question_ = action; }
  static void on(const SendClose& /*action*/) {}
  static void on(const SendKeepalive& /*action*/) {}
  static void on(const ReportPhase& /*action*/) {}
  void on(const ConnectPath& action) {
    for (const auto& [path, epoch] : dying_)
      RC_ASSERT(path != action.attach.path);
    auto& last = last_epoch_[action.attach.path];
    RC_ASSERT(action.attach.epoch > last);
    last = action.attach.epoch;
    connecting_.push_back(action.attach);
  }
  void on(const KillPath& action) {
    forget(action.path, action.epoch);
    alive_.erase({action.path, action.epoch});
    RC_ASSERT(dying_.insert({action.path, action.epoch}).second);
  }

  void on(const PostIo& action) {
    const IoRequest& request = action.request;
    RC_ASSERT(alive_.contains({action.path, action.epoch}));
    RC_ASSERT(request.gvn == acknowledged_);  // C5
    RC_ASSERT(callers_.contains(action.tag));
    // Numbers: from 1, one operation each, kept through retries, below low + W; low as the model has it.
    const std::uint64_t seq = request.seq.value();
    RC_ASSERT(!answered_.contains(seq));
    const auto [sent, is_new] = sent_.emplace(seq, action.tag);
    RC_ASSERT(sent->second == action.tag);
    if (is_new) RC_ASSERT(seq == ++highest_seq_);
    RC_ASSERT(request.low <= request.seq);
    RC_ASSERT(seq - request.low.value() < kWindow);
    RC_ASSERT(request.low.value() == model_low());
    // C1, invariant 3: no two overlapping operations in flight when either one writes.
    for (const auto& [key, other] : attempts_) {
      if (other.tag == action.tag || request.op == IoOp::flush || other.request.op == IoOp::flush) continue;
      const bool overlap = request.offset.value() < other.request.offset.value() + other.request.length &&
                           other.request.offset.value() < request.offset.value() + request.length;
      if (callers_.contains(other.tag)) {
        RC_ASSERT(!overlap || (!changes_data(request.op) && !changes_data(other.request.op)));
      }
    }
    RC_ASSERT(attempts_.emplace(Key{action.tag, action.path, action.epoch}, action).second);
  }

  void on(const CompleteIo& action) {
    RC_ASSERT(callers_.erase(action.tag) == 1U);  // exactly once
    for (const auto& [key, post] : attempts_)
      RC_ASSERT(post.tag != action.tag);  // C3
    // A third damaged payload is an answer too.
    if (action.status == StatusCode::bad_checksum || action.status == StatusCode::outcome_unknown) {
      note_answered(action.tag);
    }
    if (action.status == StatusCode::outcome_unknown) return;
    const bool known = action.status == StatusCode::ok || action.status == StatusCode::io_error ||
                       action.status == StatusCode::bad_checksum || action.status == StatusCode::unavailable;
    RC_ASSERT(known);
  }

  void note_answered(std::uint64_t tag) {
    for (const auto& [seq, sent_tag] : sent_) {
      if (sent_tag == tag) answered_.insert(seq);
    }
  }

  [[nodiscard]] std::uint64_t model_low() const {
    std::uint64_t low = 1;
    while (answered_.contains(low))
      ++low;
    return low;
  }

  ClientSession session_;
  Instant now_{1'000'000'000};
  std::uint64_t next_tag_ = 1;
  std::uint32_t open_version_ = 0;
  Gvn acknowledged_;
  std::optional<SendOpen> open_question_;
  std::optional<SendSessionOpen> join_question_;
  std::vector<PathAttach> connecting_;
  std::set<Connection> alive_;
  std::set<Connection> dying_;
  std::map<PathId, PathEpoch> last_epoch_;
  std::map<Key, PostIo> attempts_;  ///< live: not answered on their own connection, nor that destroyed
  std::map<std::uint64_t, IoSubmission> callers_;
  std::map<std::uint64_t, std::uint64_t> sent_;  ///< number -> tag
  std::set<std::uint64_t> answered_;
  std::uint64_t highest_seq_ = 0;
};

void run(OnLoss on_loss) {
  World world(on_loss);
  const int steps = *rc::gen::inRange(1, 400);
  for (int step = 0; step < steps; ++step) {
    switch (*rc::gen::weightedElement<int>(
        {{8, 0}, {8, 1}, {4, 2}, {1, 3}, {2, 4}, {4, 5}, {4, 6}, {2, 7}, {1, 8}})) {
      case 0:
        world.submit();
        break;
      case 1:
        world.answer_any();
        break;
      case 2:
        world.accept_any();
        break;
      case 3:
        world.refuse_any();
        break;
      case 4:
        world.lose_any();
        break;
      case 5:
        world.destroy_any();
        break;
      case 6:
        world.answer_control();
        break;
      case 7:
        world.tick();
        break;
      default:
        world.answer_that_session_is_over();
        break;
    }
  }
  world.settle();
}

}  // namespace

TEST_CASE(
    "C1, C2, C3, C5: whatever happens in whatever order, every operation completes exactly once, and only "
    "when nothing can reach its memory",
    "[C1][C2][C3][C5][property]") {
  CHECK(rc::check("queue on loss", [] { run(OnLoss::queue); }));
  CHECK(rc::check("fail on loss", [] { run(OnLoss::fail); }));
}

}  // namespace sluice::protocol::test
