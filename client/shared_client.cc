#include "client/shared_client.h"

#include <array>
#include <atomic>
#include <bit>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "client/call_inbox.h"
#include "client/client_host.h"

namespace sluice::client {
namespace {

using protocol::IoOp;

/// Calls for asynchronous requests, lent and given back by any thread.
class CallPool {
 public:
  explicit CallPool(std::size_t count) : calls_(count) {
    for (Call& call : calls_)
      give_back(call);
  }
  [[nodiscard]] Call* take() noexcept {
    const std::lock_guard lock(mutex_);
    Call* const call = free_;
    if (call != nullptr) free_ = call->next;
    return call;
  }
  void give_back(Call& call) noexcept {
    const std::lock_guard lock(mutex_);
    call.next = free_;
    free_ = &call;
  }

 private:
  std::mutex mutex_;
  std::vector<Call> calls_;
  Call* free_ = nullptr;
};

}  // namespace

/// The thread that owns the client, and what it turns.
class SharedClient::Implementation final : private runtime::Turning {
 public:
  explicit Implementation(const BlockClientConfig& config)
      : config_(config), pool_(std::size_t{4} * config.queue_depth) {}
  ~Implementation() override { static_cast<void>(close()); }

  Status open() {
    std::promise<Status> opened;
    std::future<Status> outcome = opened.get_future();
    thread_ = std::thread([this, &opened] { run(opened); });
    Status status = outcome.get();
    if (!status) thread_.join();
    return status;
  }

  /// Any thread, and again: all get the same answer.
  Status close() {
    stop_ = true;
    inbox_.wake();
    const std::lock_guard lock(close_mutex_);
    if (thread_.joinable()) thread_.join();
    return close_status_;
  }

  Status run_call(const IoRequestArgs& io) {
    Call call;
    call.io = io;
    if (!inbox_.post(call)) return to_status(io, StatusCode::shutting_down, config_.volume);
    call.is_done.wait(false, std::memory_order_acquire);
    return to_status(io, call.status, config_.volume);
  }

  StatusCode run_async(const IoRequestArgs& io, Callback callback, void* context) noexcept {
    Call* const call = pool_.take();
    if (call == nullptr) return StatusCode::queue_full;
    call->io = io;
    call->callback = callback;
    call->context = context;
    if (inbox_.post(*call)) return StatusCode::ok;
    pool_.give_back(*call);
    return StatusCode::shutting_down;
  }

  /// What `get` says on the client's thread; `ended` once that has ended.
  template <typename Value>
  Value inspect(Value (*get)(const VolumeClient&), Value ended) {
    struct Question {
      Value answer;
      Value (*get)(const VolumeClient&);
    } question{std::move(ended), get};
    Call call;
    call.context = &question;
    call.inspect = [](VolumeClient& client, void* context) {
      auto& asked = *static_cast<Question*>(context);
      asked.answer = asked.get(client);
    };
    if (inbox_.post(call)) call.is_done.wait(false, std::memory_order_acquire);
    return std::move(question.answer);
  }

  /// As it was when the volume was opened.
  [[nodiscard]] const VolumeInfo& first_info() const noexcept { return first_info_; }

 private:
  // --- The thread

  void run(std::promise<Status>& opened) {
    auto host = ClientHost::create(config_);
    if (!host) return opened.set_value(tl::unexpected(host.error()));
    host_ = std::move(*host);
    Status status = host_->loop().watch(inbox_.fd());
    if (status) status = host_->open(host_->core());
    const bool is_open = status.has_value();
    if (is_open) first_info_ = host_->core().info();
    opened.set_value(std::move(status));
    if (!is_open) return host_.reset();
    while (!stop_)
      host_->loop().run_once(*this, std::chrono::seconds(1));
    turn();  // what was posted before the end
    close_status_ = host_->close(*this);
    end_calls();
  }

  bool turn() override {
    bool any = false;
    VolumeClient& client = host_->core();
    for (Call* call = inbox_.take(); call != nullptr;) {
      Call* const next = call->next;
      start(*call);
      call = next;
      any = true;
    }
    any = client.turn() || any;
    std::array<Completion, 32> taken;
    for (std::size_t count = client.take(taken); count > 0; count = client.take(taken)) {
      for (std::size_t i = 0; i < count; ++i)
        complete(taken[i]);
      any = true;
    }
    start_waiting();
    return any;
  }
  bool arm() override { return inbox_.arm() && !stop_ && host_->core().arm(); }
  [[nodiscard]] Duration longest_sleep() const override { return host_->core().longest_sleep(); }

  void start(Call& call) {
    if (call.inspect != nullptr) {
      call.inspect(host_->core(), call.context);
      return finish(call, StatusCode::ok);
    }
    if (first_waiting_ != nullptr || !try_submit(call)) wait(call);
  }
  bool try_submit(Call& call) {
    call.io.tag = std::bit_cast<std::uint64_t>(&call);
    const StatusCode status = host_->core().submit(call.io);
    if (status == StatusCode::queue_full) return false;
    if (status == StatusCode::ok) {
      call.previous = nullptr;
      call.next = std::exchange(submitted_, &call);
      if (call.next != nullptr) call.next->previous = &call;
    } else {
      finish(call, status);
    }
    return true;
  }
  void complete(const Completion& completion) {
    Call& call = *std::bit_cast<Call*>(completion.tag);
    (call.previous == nullptr ? submitted_ : call.previous->next) = call.next;
    if (call.next != nullptr) call.next->previous = call.previous;
    finish(call, completion.status);
  }
  /// In the order of their coming, once there is room.
  void wait(Call& call) noexcept {
    call.next = nullptr;
    (first_waiting_ == nullptr ? first_waiting_ : last_waiting_->next) = &call;
    last_waiting_ = &call;
  }
  void start_waiting() {
    while (first_waiting_ != nullptr) {
      Call& call = *first_waiting_;
      Call* const next = call.next;
      if (!try_submit(call)) return;
      first_waiting_ = next;
    }
  }

  void finish(Call& call, StatusCode status) {
    if (call.callback == nullptr) {
      call.status = status;
      call.is_done.store(true, std::memory_order_release);  // from here on it may be gone
      call.is_done.notify_one();
      return;
    }
    const Callback callback = call.callback;
    void* const context = call.context;
    pool_.give_back(call);
    callback(context, status);
  }

  /// After the close: the outcome of what the client still has, if it couldn't end in time, is unknown; what
  /// it never had is refused.
  void end_calls() {
    turn();
    host_.reset();  // with the connections goes all that could reach the requests' memory
    finish_all(std::exchange(submitted_, nullptr), StatusCode::outcome_unknown);
    finish_all(std::exchange(first_waiting_, nullptr), StatusCode::shutting_down);
    finish_all(inbox_.close(), StatusCode::shutting_down);
  }
  void finish_all(Call* first, StatusCode status) {
    while (first != nullptr) {
      Call& call = *first;
      first = call.next;
      finish(call, status);
    }
  }

  BlockClientConfig config_;
  CallInbox inbox_;
  CallPool pool_;
  std::thread thread_;
  std::mutex close_mutex_;
  std::atomic<bool> stop_ = false;

  // The thread's own, until it has ended.
  std::unique_ptr<ClientHost> host_;
  Call* first_waiting_ = nullptr;
  Call* last_waiting_ = nullptr;
  Call* submitted_ = nullptr;  ///< the youngest first
  Status close_status_;
  VolumeInfo first_info_;
};

// ---- The public face

SharedClient::SharedClient(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}

SharedClient::~SharedClient() = default;

Result<std::unique_ptr<SharedClient>> SharedClient::open(const BlockClientConfig& config) {
  auto implementation = std::make_unique<Implementation>(config);
  if (auto status = implementation->open(); !status) return tl::unexpected(status.error());
  return std::unique_ptr<SharedClient>(new SharedClient(std::move(implementation)));
}

Status SharedClient::close() {
  return implementation_->close();
}

VolumeInfo SharedClient::info() const {
  return implementation_->inspect<VolumeInfo>([](const VolumeClient& client) { return client.info(); },
                                              implementation_->first_info());
}

std::vector<PathInfo> SharedClient::paths() const {
  return implementation_->inspect<std::vector<PathInfo>>(
      [](const VolumeClient& client) { return client.paths(); }, {});
}

ConnectionState SharedClient::state() const {
  return implementation_->inspect<ConnectionState>([](const VolumeClient& client) { return client.state(); },
                                                   ConnectionState::ended);
}

Status SharedClient::run(const IoRequestArgs& args) {
  return implementation_->run_call(args);
}

StatusCode SharedClient::read_async(std::uint64_t offset, std::span<std::byte> into, Callback callback,
                                    void* context) noexcept {
  return implementation_->run_async(read_args(offset, into), callback, context);
}

StatusCode SharedClient::write_async(std::uint64_t offset, std::span<const std::byte> data,
                                     Durability durability, Callback callback, void* context) noexcept {
  return implementation_->run_async(write_args(offset, data, durability), callback, context);
}

StatusCode SharedClient::flush_async(Callback callback, void* context) noexcept {
  return implementation_->run_async({}, callback, context);
}

StatusCode SharedClient::discard_async(std::uint64_t offset, std::uint64_t length, Durability durability,
                                       Callback callback, void* context) noexcept {
  return implementation_->run_async(range_args(IoOp::discard, offset, length, durability), callback, context);
}

StatusCode SharedClient::write_zeroes_async(std::uint64_t offset, std::uint64_t length, Durability durability,
                                            Callback callback, void* context) noexcept {
  return implementation_->run_async(range_args(IoOp::write_zeroes, offset, length, durability), callback,
                                    context);
}

}  // namespace sluice::client
