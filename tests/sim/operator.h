#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/control_messages.h"
#include "runtime/dialer.h"
#include "runtime/event_loop.h"
#include "runtime/reactor.h"

namespace sluice::sim {

/// Somebody with a console: gives the master commands, one after the other, and asks until each has an
/// answer.
class Operator final : public runtime::Turning, private runtime::DialerHandler {
 public:
  using Answered = std::function<void(const protocol::ControlMessage& answer)>;

  Operator(const Clock& clock, std::unique_ptr<transport::Provider> provider,
           std::vector<transport::Address> masters);
  ~Operator() override;

  /// `answered`: called with the first definite answer; not with "not now".
  /// `patience`: then it isn't asked any more.
  void ask(protocol::ControlMessage message, Duration patience, Answered answered = {});
  [[nodiscard]] bool is_idle() const noexcept { return questions_.empty(); }
  /// Forgets what hasn't been answered.
  void give_up() { questions_.clear(); }

  bool turn() override;
  bool arm() override { return reactor_.arm(); }
  [[nodiscard]] Duration longest_sleep() const override { return std::chrono::milliseconds(50); }

 private:
  struct Question {
    protocol::ControlMessage message;
    Answered answered;
    Instant deadline;
  };

  void on_dialed(runtime::Dialer& dialer) override;
  void on_frame(runtime::Dialer& dialer, const protocol::ControlFrame& frame) override;
  void on_hung_up(runtime::Dialer& dialer, const Error& why) override;
  void ask_again();

  const Clock& clock_;
  runtime::Reactor reactor_;
  std::unique_ptr<runtime::Dialer> dialer_;
  std::deque<Question> questions_;
  std::uint64_t last_request_ = 0;
  Instant ask_at_;
  Instant tick_at_;
};

}  // namespace sluice::sim
