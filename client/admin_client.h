#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/control_messages.h"
#include "runtime/dialer.h"
#include "runtime/event_loop.h"
#include "runtime/reactor.h"
#include "transport/transport_config.h"

namespace sluice::client {

struct AdminClientConfig {
  std::string peer = "master";  ///< who is asked, for errors: "master", "node 7"
  /// Tried one after the other until one answers; at least one.
  std::vector<transport::Address> addresses;
  transport::TransportConfig transport;
  Duration timeout = std::chrono::seconds(10);  ///< for one question as a whole
};

/// Asks a master or a node one question at a time, and waits for the answer. A master that isn't in charge is
/// left for the next one. One thread.
class AdminClient final : private runtime::Turning, private runtime::DialerHandler {
 public:
  /// Connects with the first question. Errors: those of opening the transport, invalid_argument (no address).
  static Result<std::unique_ptr<AdminClient>> create(AdminClientConfig config);
  ~AdminClient() override;

  /// The answer of the type that is expected, whatever its status; a status that isn't ok is no error here.
  /// Errors: invalid_argument (the question contradicts itself), unavailable or timed_out (nobody answered;
  /// each address's own reason is told), outcome_unknown (the connection ended with a command under way,
  /// which isn't sent twice), and the status of a CommandAnswer that came instead.
  template <typename Answer, typename Question>
  Result<Answer> ask(const Question& question) {
    if (!question.is_consistent()) {
      return fail(StatusCode::invalid_argument, "no such " + std::string(to_string(Question::kType)));
    }
    auto answer = exchange(question, is_repeatable(question));
    if (!answer) return tl::unexpected(answer.error());
    if (const auto* const expected = std::get_if<Answer>(&*answer)) return *expected;
    return unexpected_answer(*answer);
  }

  /// ask(), with the answer's own status as an error, in the master's words where it has some.
  template <typename Answer, typename Question>
  Result<Answer> request(const Question& question) {
    auto answer = ask<Answer>(question);
    if (!answer || answer->status == StatusCode::ok) return answer;
    if constexpr (requires { answer->reason; }) {
      return fail(answer->status, std::string(answer->reason.view()));
    } else {
      return fail(answer->status, config_.peer + " at " + to_string(dialer_->address()) + " refused");
    }
  }

  /// Whom the last answer came from.
  [[nodiscard]] const transport::Address& address() const noexcept { return answered_by_; }

 private:
  explicit AdminClient(AdminClientConfig config) : config_(std::move(config)) {}

  /// Whether asking twice does no harm.
  template <typename Question>
  static constexpr bool is_repeatable(const Question& /*question*/) noexcept {
    return !std::is_same_v<Question, protocol::VolumeCommand> &&
           !std::is_same_v<Question, protocol::NodeCommand>;
  }

  Result<protocol::ControlMessage> exchange(const protocol::ControlMessage& question, bool is_repeatable);
  [[nodiscard]] tl::unexpected<Error> unexpected_answer(const protocol::ControlMessage& answer) const;
  [[nodiscard]] std::string describe_failures() const;

  bool turn() override;
  bool arm() override { return reactor_.arm(); }
  [[nodiscard]] Duration longest_sleep() const override { return std::chrono::milliseconds(20); }

  void on_dialed(runtime::Dialer& dialer) override;
  void on_frame(runtime::Dialer& dialer, const protocol::ControlFrame& frame) override;
  void on_hung_up(runtime::Dialer& dialer, const Error& why) override;

  struct Exchange {
    protocol::ControlFrame question;
    bool is_repeatable = false;
    bool was_sent = false;
    std::uint32_t failures = 0;
    std::optional<Result<protocol::ControlMessage>> outcome;
  };

  AdminClientConfig config_;
  SteadyClock clock_;
  runtime::Reactor reactor_;
  std::unique_ptr<runtime::EventLoop> loop_;
  std::unique_ptr<runtime::Dialer> dialer_;  // goes before its reactor
  std::vector<std::string> reasons_;         ///< why an address didn't answer, in the order of the addresses
  transport::Address answered_by_;
  std::uint64_t last_request_ = 0;
  std::optional<Exchange> exchange_;
};

/// All of the master's volumes or nodes, list after list. Errors: as AdminClient::request.
Result<std::vector<protocol::VolumeEntry>> list_volumes(AdminClient& master);
Result<std::vector<protocol::NodeEntry>> list_nodes(AdminClient& master);

}  // namespace sluice::client
