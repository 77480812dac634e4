// The other end of a connection in a process of its own, which the test kills: see peer_process.h for its
// roles.

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <sys/prctl.h>

#include "tests/contract/peer_process.h"

namespace sluice::transport::contract {

namespace {

template <typename T>
T must(Result<T> result, const char* what) {
  if (!result) {
    std::fprintf(stderr, "peer: %s: %s\n", what, result.error().describe().c_str());
    std::exit(EXIT_FAILURE);
  }
  return std::move(*result);
}

void must(const Status& status, const char* what) {
  if (!status && status.error().code != StatusCode::queue_full &&
      status.error().code != StatusCode::unavailable) {
    std::fprintf(stderr, "peer: %s: %s\n", what, status.error().describe().c_str());
    std::exit(EXIT_FAILURE);
  }
}

class Peer {
 public:
  Peer() : memory_(kPeerBytes) {
    provider_ = must(fabric_->open(0, TransportConfig{}), "open");
    domain_ = must(provider_->create_protection_domain(), "protection domain");
    queue_ = must(provider_->create_completion_queue(256), "completion queue");
    region_ = must(domain_->register_memory(memory_, Access::remote_write | Access::remote_read), "region");
    for (std::uint32_t i = 0; i < kPeerReceives; ++i)
      receives_.push_back({WorkId(WorkKind::first_user, i), region_->local(std::uint64_t{i} * 64, 64)});
    config_.domain = domain_.get();
    config_.queue = queue_.get();
    config_.send_depth = 32;
    config_.receive_depth = kPeerReceives;
    config_.initial_receives = receives_;
  }

  /// Tells the other side where this memory is, in the private data.
  [[noreturn]] void connect_and(const Address& to, const std::string& role) {
    std::array<std::byte, sizeof(RemoteBuffer)> where{};
    const RemoteBuffer remote = region_->remote(0);
    std::memcpy(where.data(), &remote, sizeof(remote));
    endpoint_ = must(provider_->connect(to, config_, where), "connect");
    announce(to);
    for (;;) {
      turn();
      if (endpoint_->state() != EndpointState::connected) continue;
      if (role == peer_role::kTalk) talk();
      if (role == peer_role::kWriteLarge) write_large();
    }
  }

  [[noreturn]] void listen_and(bool accepting) {
    listener_ = must(provider_->listen(fabric_->address(0)), "listen");
    announce(listener_->address());
    for (;;) {
      turn();
      if (request_ && accepting)
        endpoint_ = must(provider_->accept(std::move(request_), config_, {}), "accept");
    }
  }

 private:
  static void announce(const Address& address) {
    std::printf("%s\n", to_string(address).c_str());
    std::fflush(stdout);
  }

  void turn() {
    std::array<Completion, 16> taken;
    std::vector<ReceiveRequest> again;
    for (const Completion& done : std::span(taken).first(queue_->poll(taken))) {
      if (done.is_receive && done.status == CompletionStatus::success)
        again.push_back(receives_[done.id.slot()]);
    }
    if (!again.empty()) must(endpoint_->post_receives(again), "receives");
    while (auto event = provider_->next_event()) {
      if (event->kind == ConnectionEvent::Kind::connect_request) request_ = std::move(event->request);
      if (event->kind == ConnectionEvent::Kind::established && event->private_data.size() == sizeof(target_))
        std::memcpy(&target_, event->private_data.data(), sizeof(target_));
    }
    fabric_->advance();
  }

  [[nodiscard]] WorkRequest request(Opcode opcode, std::uint32_t bytes) {
    WorkRequest made;
    made.id = WorkId(WorkKind::first_user, number_++ & WorkId::kMaxSlot);
    made.opcode = opcode;
    made.signaled = true;
    if (bytes > 0) {
      made.segment_count = 1;
      made.segments[0] = region_->local(0, bytes);
    }
    made.remote = target_;
    return made;
  }

  /// As many messages as the other side has receives for, and writes for ever. One message more would hold
  /// back everything behind it, on ofi even the answers to the other side's own writes.
  void talk() {
    if (target_.key == 0 || endpoint_->send_room() < 2) return;
    const std::array chain{request(Opcode::write, 4096), request(Opcode::send, 0)};
    const bool has_receive = messages_ < kPeerReceives;
    const Status posted = endpoint_->post(std::span(chain).first(has_receive ? 2 : 1));
    must(posted, "post");
    if (posted && has_receive) ++messages_;
  }

  void write_large() {
    if (target_.key == 0 || endpoint_->send_room() < 1) return;
    std::memset(memory_.data(), static_cast<int>(1 + number_ % 255), memory_.size());
    must(endpoint_->post(std::array{request(Opcode::write, kPeerBytes)}), "post");
  }

  std::unique_ptr<TestFabric> fabric_ = make_fabric();
  std::vector<std::byte> memory_;
  std::unique_ptr<Provider> provider_;
  std::unique_ptr<ProtectionDomain> domain_;
  std::unique_ptr<CompletionQueue> queue_;
  std::unique_ptr<Region> region_;
  std::vector<ReceiveRequest> receives_;
  EndpointConfig config_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<ConnectionRequest> request_;
  std::unique_ptr<Endpoint> endpoint_;
  RemoteBuffer target_;
  std::uint32_t number_ = 0;
  std::uint32_t messages_ = 0;
};

}  // namespace

}  // namespace sluice::transport::contract

int main(int argc, char** argv) {
  using namespace sluice::transport;  // NOLINT(google-build-using-namespace)
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s connect|talk|write|listen|accept ADDRESS\n", argv[0]);
    return EXIT_FAILURE;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string role = argv[1];
  contract::Peer peer;
  if (role == contract::peer_role::kListenSilent || role == contract::peer_role::kAccept)
    peer.listen_and(role == contract::peer_role::kAccept);
  const auto address = parse_address(argv[2]);
  if (!address) {
    std::fprintf(stderr, "%s\n", address.error().describe().c_str());
    return EXIT_FAILURE;
  }
  peer.connect_and(*address, role);
}
