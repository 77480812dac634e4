#include "client/admin_client.h"

#include <utility>

#include "transport/factory.h"

namespace sluice::client {
namespace {

using protocol::ControlFrame;
using protocol::ControlMessage;

/// One connection's sends and receives.
constexpr std::uint32_t kQueueDepth = 256;
/// Rounds over the addresses that come to nothing before the user is told; a new master is up by then, or
/// isn't.
constexpr std::uint32_t kRounds = 3;

std::optional<StatusCode> status_of(const ControlMessage& message) {
  return std::visit(
      [](const auto& answer) -> std::optional<StatusCode> {
        if constexpr (requires { answer.status; }) return answer.status;
        return std::nullopt;
      },
      message);
}

/// List after list, each from the last entry's id on.
template <typename Question, typename List, typename Entries>
Result<std::vector<typename Entries::value_type>> list_all(AdminClient& master, Entries List::*entries) {
  std::vector<typename Entries::value_type> all;
  for (bool more = true; more;) {
    Question question;
    if (!all.empty()) question.after = all.back().id;
    const auto list = master.request<List>(question);
    if (!list) return tl::unexpected(list.error());
    const Entries& part = (*list).*entries;
    all.insert(all.end(), part.begin(), part.end());
    more = list->more && !part.empty();
  }
  return all;
}

}  // namespace

Result<std::unique_ptr<AdminClient>> AdminClient::create(AdminClientConfig config) {
  if (config.addresses.empty()) {
    return fail(StatusCode::invalid_argument, "no address of a " + config.peer + " is known");
  }
  // Nothing but answers is waited for: spinning wins nothing.
  config.transport.polling.mode = transport::PollingMode::event;
  std::unique_ptr<AdminClient> client(new AdminClient(std::move(config)));
  auto provider = transport::open_provider(client->config_.transport);
  if (!provider) return tl::unexpected(provider.error());
  auto rail = client->reactor_.add_rail(std::move(*provider), kQueueDepth);
  if (!rail) return tl::unexpected(rail.error());
  auto loop = runtime::EventLoop::create(client->config_.transport.polling);
  if (!loop) return tl::unexpected(loop.error());
  client->loop_ = std::move(*loop);
  for (const int fd : client->reactor_.wait_fds()) {
    if (Status watched = client->loop_->watch(fd); !watched) return tl::unexpected(watched.error());
  }
  client->reasons_.resize(client->config_.addresses.size());
  runtime::DialerConfig dialer;
  dialer.addresses = client->config_.addresses;
  runtime::DialerHandler& handler = *client;
  client->dialer_ = std::make_unique<runtime::Dialer>(client->reactor_, *rail, std::move(dialer), handler);
  return client;
}

AdminClient::~AdminClient() = default;

Result<ControlMessage> AdminClient::exchange(const ControlMessage& question, bool is_repeatable) {
  exchange_ = Exchange{.question = {protocol::RequestId(++last_request_), question},
                       .is_repeatable = is_repeatable,
                       .was_sent = false,
                       .failures = 0,
                       .outcome = std::nullopt};
  reasons_.assign(reasons_.size(), {});
  if (dialer_->is_up()) on_dialed(*dialer_);
  const Instant deadline = clock_.now() + config_.timeout;
  while (!exchange_->outcome && clock_.now() < deadline)
    loop_->run_once(*this, deadline - clock_.now());
  const std::optional<Exchange> done = std::exchange(exchange_, std::nullopt);
  if (done->outcome) return *done->outcome;
  if (done->was_sent && !is_repeatable) {
    return fail(StatusCode::outcome_unknown,
                config_.peer + " at " + to_string(dialer_->address()) +
                    " took the command and hasn't answered yet; it may still be carried out");
  }
  return fail(StatusCode::timed_out, "no answer from the " + config_.peer + " within " +
                                         std::to_string(config_.timeout / std::chrono::milliseconds(1)) +
                                         " ms" + describe_failures());
}

bool AdminClient::turn() {
  reactor_.flush();
  const bool any = reactor_.poll();
  dialer_->tick(clock_.now());
  reactor_.flush();
  return any;
}

void AdminClient::on_dialed(runtime::Dialer& dialer) {
  if (!exchange_ || exchange_->outcome) return;
  // A send that fails is followed by on_hung_up.
  exchange_->was_sent = dialer.send(exchange_->question).has_value();
}

void AdminClient::on_frame(runtime::Dialer& dialer, const ControlFrame& frame) {
  if (!exchange_ || exchange_->outcome || frame.request_id != exchange_->question.request_id) return;
  if (status_of(frame.message) == StatusCode::not_master) {
    exchange_->was_sent = false;
    dialer.try_next();
    return;
  }
  answered_by_ = dialer.address();
  exchange_->outcome = frame.message;
}

void AdminClient::on_hung_up(runtime::Dialer& /*dialer*/, const Error& why) {
  if (!exchange_ || exchange_->outcome) return;
  // Failures go round the addresses as the dialer does.
  reasons_[exchange_->failures % reasons_.size()] = why.describe();
  ++exchange_->failures;
  if (exchange_->was_sent && !exchange_->is_repeatable) {
    exchange_->outcome =
        fail(StatusCode::outcome_unknown,
             "the connection to the " + config_.peer + " ended before it answered (" + why.describe() +
                 "): the command may or may not have been carried out; look before trying again");
  } else if (exchange_->failures >= kRounds * reasons_.size()) {
    exchange_->outcome =
        fail(StatusCode::unavailable, "the " + config_.peer + " can't be reached" + describe_failures());
  }
  exchange_->was_sent = false;
}

std::string AdminClient::describe_failures() const {
  std::string text;
  for (const std::string& reason : reasons_) {
    if (!reason.empty()) text += (text.empty() ? ": " : "; ") + reason;
  }
  return text;
}

tl::unexpected<Error> AdminClient::unexpected_answer(const ControlMessage& answer) const {
  if (const auto* const command = std::get_if<protocol::CommandAnswer>(&answer)) {
    if (command->status != StatusCode::ok) return fail(command->status, std::string(command->reason.view()));
  }
  return fail(StatusCode::malformed, config_.peer + " at " + to_string(answered_by_) +
                                         " gave an answer to another question; is it of another version?");
}

Result<std::vector<protocol::VolumeEntry>> list_volumes(AdminClient& master) {
  return list_all<protocol::ListVolumes>(master, &protocol::VolumeList::volumes);
}

Result<std::vector<protocol::NodeEntry>> list_nodes(AdminClient& master) {
  return list_all<protocol::ListNodes>(master, &protocol::NodeList::nodes);
}

}  // namespace sluice::client
