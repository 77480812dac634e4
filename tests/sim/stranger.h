#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "protocol/control_messages.h"
#include "protocol/io_frame.h"
#include "runtime/dialer.h"
#include "runtime/link.h"
#include "runtime/reactor.h"
#include "tests/sim/history.h"
#include "tests/sim/process.h"

namespace sluice::sim {

struct StrangerSetup {
  std::string volume;  ///< its own: what it does there is its own business
  std::string local_address;
  std::vector<transport::Address> masters;
  transport::TransportConfig transport;
  std::uint64_t seed = 0;
};

/// A client that keeps no rule. It gets a session of its own volume as anybody may, and then sends whatever
/// it likes (attack 34): numbers out of any window, other data under a used number, more than its credits,
/// other sessions' versions, frames that are damaged, cut short, random or sent before. Nobody else may
/// notice.
class Stranger final : public Process,
                       private runtime::Turning,
                       private runtime::DialerHandler,
                       private runtime::ControlHandler,
                       private runtime::LinkHandler {
 public:
  Stranger(Environment& environment, std::string host, History& history, const StrangerSetup& setup);
  ~Stranger() override;

  /// Leaves everybody alone from now on.
  void stop();
  [[nodiscard]] std::map<std::string, std::uint64_t> marks() const override { return marks_; }

 private:
  using Frame = std::vector<std::byte>;

  bool turn() override;
  bool arm() override { return reactor_.arm(); }
  [[nodiscard]] Duration longest_sleep() const override { return std::chrono::milliseconds(5); }

  void on_dialed(runtime::Dialer& dialer) override;
  void on_frame(runtime::Dialer& dialer, const protocol::ControlFrame& frame) override;
  void on_hung_up(runtime::Dialer& dialer, const Error& why) override;
  void on_control_up(runtime::ControlLink& link) override;
  void on_control(runtime::ControlLink& link, const protocol::ControlFrame& frame) override;
  void on_control_down(runtime::ControlLink& link, const Error& why) override;
  void on_control_drained(runtime::ControlLink& link) override;
  void on_up(runtime::Link& link, std::span<const std::byte> private_data) override;
  void on_message(runtime::Link& link, std::span<const std::byte> bytes,
                  transport::MessageHandle message) override;
  void on_sent(runtime::Link& link, std::uint64_t tag, transport::CompletionStatus status) override;
  void on_down(runtime::Link& link, const Error& why, std::span<const std::byte> private_data) override;
  void on_drained(runtime::Link& link) override;

  void go_on();
  void ask_for_a_session();
  void attach();
  void misbehave();
  void send_more_than_allowed();
  void lie_to_the_node();
  [[nodiscard]] protocol::IoRequest honest_request();
  [[nodiscard]] Frame encode(const protocol::IoRequest& request, std::uint32_t data_length);
  void poke(Frame& frame);
  void send(Frame frame);
  [[nodiscard]] bool one_in(std::uint64_t count) { return dice_.below(count) == 0; }

  History& history_;
  StrangerSetup setup_;
  SimRandomSource random_;
  transport::sim::Random dice_;
  runtime::Reactor reactor_;
  std::unique_ptr<runtime::Dialer> dialer_;
  std::unique_ptr<runtime::ControlLink> control_;
  std::unique_ptr<runtime::Link> path_;
  bool is_stopped_ = false;
  bool is_path_up_ = false;

  protocol::OpenAnswer opened_;
  protocol::Nonce nonce_;
  protocol::Cookie cookie_;
  std::uint32_t window_ = 0;
  std::uint32_t epoch_ = 0;
  std::uint64_t seq_ = 0;
  std::uint64_t low_ = 1;
  std::uint64_t last_request_ = 0;
  std::deque<Frame> sent_;
  std::set<std::uint64_t> misused_;  ///< numbers that were asked for again, for something else
  Instant ask_at_;
  Instant tick_at_;
  std::map<std::string, std::uint64_t> marks_;
};

}  // namespace sluice::sim
