#include <memory>

#include "client/cli/doctor.h"
#include "protocol/control_messages.h"
#include "runtime/control_link.h"
#include "runtime/event_loop.h"
#include "runtime/reactor.h"
#include "transport/factory.h"

namespace sluice::cli {
namespace {

using Verdict = Finding::Verdict;
using runtime::ControlLink;

constexpr std::uint32_t kQueueDepth = 256;
constexpr Duration kPatience = std::chrono::seconds(5);

/// Both ends of one connection in one thread: listens, connects to itself, and exchanges a message each way.
class Loopback final : private runtime::Turning,
                       private runtime::ListenHandler,
                       private runtime::ControlHandler {
 public:
  static Result<std::unique_ptr<Loopback>> create(const transport::TransportConfig& config) {
    std::unique_ptr<Loopback> loopback(new Loopback);
    auto provider = transport::open_provider(config);
    if (!provider) return tl::unexpected(provider.error());
    loopback->provider_name_ = (*provider)->info().name;
    auto rail = loopback->reactor_.add_rail(std::move(*provider), kQueueDepth);
    if (!rail) return tl::unexpected(rail.error());
    loopback->rail_ = *rail;
    transport::PollingConfig polling;
    polling.mode = transport::PollingMode::event;
    auto loop = runtime::EventLoop::create(polling);
    if (!loop) return tl::unexpected(loop.error());
    loopback->loop_ = std::move(*loop);
    for (const int fd : loopback->reactor_.wait_fds()) {
      if (Status watched = loopback->loop_->watch(fd); !watched) return tl::unexpected(watched.error());
    }
    return loopback;
  }

  [[nodiscard]] const std::string& provider_name() const noexcept { return provider_name_; }

  /// How long connecting and the exchange took.
  Result<Duration> run(const std::string& host) {
    const Instant start = clock_.now();
    runtime::ListenHandler& listen_handler = *this;
    auto listener = reactor_.listen(rail_, {host, 0}, listen_handler);
    if (!listener) return tl::unexpected(listener.error());
    const auto domain = reactor_.control_domain(rail_);
    if (!domain) return tl::unexpected(domain.error());
    auto connecting = ControlLink::connect(reactor_, rail_, **domain, (*listener)->address(), {}, *this);
    if (!connecting) return tl::unexpected(connecting.error());
    connecting_ = std::move(*connecting);
    while (!outcome_ && clock_.now() - start < kPatience)
      loop_->run_once(*this, std::chrono::milliseconds(100));
    const Duration took = clock_.now() - start;
    close_links();
    if (!outcome_) return fail(StatusCode::timed_out, "no answer within 5 s");
    if (!*outcome_) return tl::unexpected(outcome_->error());
    return took;
  }

 private:
  Loopback() = default;

  void close_links() {
    for (ControlLink* const link : {connecting_.get(), accepted_.get()}) {
      if (link != nullptr) link->close();
    }
    const Instant start = clock_.now();
    while ((connecting_ || accepted_) && clock_.now() - start < kPatience)
      loop_->run_once(*this, std::chrono::milliseconds(100));
  }

  bool turn() override {
    const bool any = reactor_.poll();
    reactor_.flush();
    return any;
  }
  bool arm() override { return reactor_.arm(); }
  [[nodiscard]] Duration longest_sleep() const override { return std::chrono::milliseconds(100); }

  void on_incoming(runtime::Incoming incoming) override {
    const auto domain = reactor_.control_domain(incoming.rail);
    if (!domain) return;
    auto accepted = ControlLink::accept(reactor_, std::move(incoming), **domain, {}, *this);
    if (accepted) accepted_ = std::move(*accepted);
  }
  void on_control_up(ControlLink& link) override {
    if (&link != connecting_.get()) return;
    if (Status sent = link.send({protocol::RequestId(1), protocol::ListNodes{}}); !sent) outcome_ = sent;
  }
  /// A question from the connecting end, its answer from the other.
  void on_control(ControlLink& link, const protocol::ControlFrame& frame) override {
    if (&link == connecting_.get()) {
      outcome_ = Status{};
    } else if (Status sent = link.send({frame.request_id, protocol::NodeList{}}); !sent) {
      outcome_ = sent;
    }
  }
  void on_control_down(ControlLink& /*link*/, const Error& why) override {
    if (!outcome_) outcome_ = tl::unexpected(why);
  }
  void on_control_drained(ControlLink& link) override {
    (&link == connecting_.get() ? connecting_ : accepted_).reset();
  }

  SteadyClock clock_;
  std::string provider_name_;
  runtime::Reactor reactor_;
  runtime::Rail rail_{};
  std::unique_ptr<runtime::EventLoop> loop_;
  std::unique_ptr<ControlLink> connecting_;  // each goes before the reactor
  std::unique_ptr<ControlLink> accepted_;
  std::optional<Status> outcome_;
};

void examine(const ClientOptions& options, const std::string& host, Findings& findings) {
  transport::TransportConfig config = options.transport;
  config.local_host = host;
  const std::string subject = host.empty() ? "loopback" : "loopback on " + host;
  const auto loopback = Loopback::create(config);
  if (!loopback) {
    findings.push_back({subject, Verdict::failure, loopback.error().describe(),
                        "check transport.provider and transport.local_addresses"});
    return;
  }
  const std::string provider = (*loopback)->provider_name();
  const auto took = (*loopback)->run(host.empty() ? "127.0.0.1" : host);
  if (!took) {
    findings.push_back(
        {subject, Verdict::failure, "by " + provider + ": " + took.error().describe(),
         "for verbs: check that the address belongs to an active port (rdma link), and that no "
         "firewall drops UDP port 4791"});
    return;
  }
  findings.push_back({subject, Verdict::good,
                      "by " + provider + ": connected and answered in " +
                          std::to_string(*took / std::chrono::microseconds(1)) + " us",
                      ""});
}

}  // namespace

void examine_loopback(const ClientOptions& options, Findings& findings) {
  if (options.local_addresses.empty()) return examine(options, "", findings);
  for (const std::string& host : options.local_addresses)
    examine(options, host, findings);
}

}  // namespace sluice::cli
