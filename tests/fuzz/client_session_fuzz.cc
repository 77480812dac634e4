// A client session under any sequence of events, with any content: it may refuse, ignore, kill paths, never
// break a rule of its own (its checks abort).

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "protocol/client_session.h"

namespace sluice::protocol {
namespace {

/// Takes values off the input; zeroes once it is used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  [[nodiscard]] bool empty() const { return size_ == 0; }
  std::uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i)
      value = (value << 8U) | byte();
    return value;
  }
  /// Mostly small, so that it often fits what is there; sometimes anything.
  std::uint64_t mostly_small() {
    const std::uint8_t value = byte();
    return value == 255 ? number() : value % 16U;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

/// Does what the session's owner must do, and remembers what the next events can refer to.
class Owner {
 public:
  explicit Owner(Input input) : input_(input), session_(config(input_.byte())) {
    session_.open(Nonce(1), now_);
    absorb();
    while (!input_.empty())
      event();
  }

 private:
  static ClientConfig config(std::uint8_t choice) {
    ClientConfig config;
    config.client = *ClientId::from("c");
    config.volume = *VolumeName::from("v");
    config.max_outstanding = 6;
    config.max_window = 4;
    config.max_data_length = 16384;
    config.mode = (choice & 1U) != 0 ? AccessMode::read_only : AccessMode::read_write;
    config.on_loss = (choice & 2U) != 0 ? OnLoss::fail : OnLoss::queue;
    return config;
  }

  StatusCode status() { return static_cast<StatusCode>(input_.mostly_small()); }
  PathId path() { return PathId(static_cast<std::uint8_t>(input_.byte() % 10)); }
  PathEpoch epoch(PathId path) {
    if (path.value() >= kMaxPaths || input_.byte() % 8 == 0) return PathEpoch(input_.byte());
    return session_.paths().epoch(path);
  }
  Gvn gvn() { return input_.byte() % 8 == 0 ? Gvn(input_.number()) : session_.gvn(); }

  void event() {
    switch (input_.byte() % 13) {
      case 0:
        submit();
        break;
      case 1:
        open_answer();
        break;
      case 2:
        session_answer();
        break;
      case 3:
        accept();
        break;
      case 4: {
        const PathId id = path();
        session_.on_path_refused(id, epoch(id), status(), now_);
        break;
      }
      case 5: {
        const PathId id = path();
        session_.on_path_failed(id, epoch(id), now_);
        break;
      }
      case 6:
      case 7: {
        const PathId id = path();
        session_.on_path_destroyed(id, epoch(id), now_);
        break;
      }
      case 8:
      case 9:
        response();
        break;
      case 10: {
        const PathId id = path();
        session_.on_keepalive(id, epoch(id), {input_.byte() % 2 == 0, input_.byte()}, now_);
        break;
      }
      case 11:
        now_ = now_ + std::chrono::milliseconds(input_.byte() * 16);
        session_.on_tick(now_);
        break;
      default:
        if (input_.byte() % 16 == 0) session_.close(now_);
        absorb();
        session_.on_close_answer(RequestId(next_request_), {status(), session_.volume(), session_.gvn()},
                                 now_);
        break;
    }
    absorb();
  }

  void submit() {
    IoSubmission io;
    io.tag = input_.byte();
    io.op = static_cast<IoOp>(input_.byte() % 7);
    io.fua = input_.byte() % 4 == 0;
    io.offset = ByteCount(input_.mostly_small() * 4096);
    io.length = static_cast<std::uint32_t>(input_.mostly_small() * 4096);
    if (io.op == IoOp::flush) {
      io.offset = ByteCount(0);
      io.length = 0;
    }
    static_cast<void>(session_.submit(io, now_));
  }

  void open_answer() {
    OpenAnswer answer;
    answer.kind = input_.byte() % 2 == 0 ? OpenKind::open : OpenKind::reopen;
    if (input_.byte() % 4 == 0) answer.status = status();
    answer.mode = input_.byte() % 8 == 0 ? AccessMode::read_only : AccessMode::read_write;
    answer.policy = input_.byte() % 2 == 0 ? WritePolicy::write_back : WritePolicy::write_through;
    answer.volume = VolumeId(1);
    if (answer.status == StatusCode::ok) answer.gvn = Gvn(session_.gvn().value() + input_.byte() % 3);
    answer.size = ByteCount(16 * 4096);
    answer.block_size = 4096;
    for (int i = input_.byte() % 9; i > 0; --i)
      answer.addresses.push_back(*NodeAddress::from("n"));
    session_.on_open_answer(RequestId(next_request_), answer, now_);
  }

  void session_answer() {
    SessionAnswer answer;
    answer.volume = session_.volume();
    answer.gvn = gvn();
    answer.fence = answer.gvn;
    if (input_.byte() % 4 == 0) answer.status = status();
    if (answer.status == StatusCode::ok) {
      answer.boot = BootId(1);
      answer.cookie = Cookie(1);
      answer.window = 1U << (input_.byte() % 6);
      answer.max_paths = input_.byte() % 10;
    }
    session_.on_session_answer(RequestId(next_request_), answer, now_);
  }

  void accept() {
    PathAccept grant;
    grant.path = path();
    grant.epoch = epoch(grant.path);
    grant.gvn = gvn();
    grant.depth = static_cast<std::uint16_t>(input_.mostly_small());
    grant.in_capsule_limit = input_.byte() % 2 == 0 ? 4096 : 0;
    for (int i = input_.byte() % 5; i > 0; --i)
      grant.slots.push_back({static_cast<std::uint32_t>(4096U << (input_.byte() % 4)),
                             static_cast<std::uint16_t>(input_.mostly_small())});
    session_.on_path_accepted(grant, now_);
  }

  void response() {
    IoResponse response;
    PathId id = path();
    PathEpoch connection = epoch(id);
    if (!posts_.empty() && input_.byte() % 8 != 0) {
      const PostIo& post = posts_[input_.byte() % posts_.size()];
      id = post.path;
      connection = post.epoch;
      response.op = post.request.op;
      response.gvn = post.request.gvn;
      response.seq = post.request.seq;
    } else {
      response.op = static_cast<IoOp>(input_.byte() % 7);
      response.gvn = gvn();
      response.seq = Seq(input_.mostly_small());
    }
    if (input_.byte() % 4 == 0) response.status = status();
    session_.on_response(id, connection, response, now_);
  }

  void absorb() {
    for (const ClientAction& action : session_.actions()) {
      if (const auto* open = std::get_if<SendOpen>(&action)) next_request_ = open->id.value();
      if (const auto* join = std::get_if<SendSessionOpen>(&action)) next_request_ = join->id.value();
      if (const auto* close = std::get_if<SendClose>(&action)) next_request_ = close->id.value();
      if (const auto* post = std::get_if<PostIo>(&action)) {
        if (posts_.size() >= 16) posts_.erase(posts_.begin());
        posts_.push_back(*post);
      }
    }
    session_.clear_actions();
  }

  Input input_;
  ClientSession session_;
  Instant now_{1'000'000'000};
  std::uint64_t next_request_ = 0;
  std::vector<PostIo> posts_;
};

}  // namespace
}  // namespace sluice::protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const sluice::protocol::Owner owner(sluice::protocol::Input(data, size));
  return 0;
}
