#include "transport/ofi/listener.h"

#include <fstream>

#include <sys/socket.h>

#include "transport/handshake.h"

namespace sluice::transport::ofi {

// ---- Refusing
// ----------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Rejecter>> Rejecter::create(const Fabric& fabric, EventQueue& events) {
  Result<InfoHandle> info = fabric.passive_info({});
  if (!info) return tl::unexpected(info.error());
  auto handle = open_fabric<fid_pep>(fabric.faults(), "fi_passive_ep", [&](fid_pep** out) {
    return fi_passive_ep(fabric.get(), info->get(), out, nullptr);
  });
  if (!handle) return fail_while("open a passive endpoint", handle.error());
  if (Status status = call_fabric(fabric.faults(), "fi_pep_bind",
                                  [&] { return fi_pep_bind(handle->get(), &events.get()->fid, 0); });
      !status) {
    return fail_while("open a passive endpoint", status.error());
  }
  return std::unique_ptr<Rejecter>(new Rejecter(fabric, std::move(*handle)));
}

void Rejecter::reject(fid_t request, std::span<const std::byte> private_data) noexcept {
  const HandshakeMessage handshake({}, private_data);
  const int result = fi_reject(handle_.get(), request, handshake.bytes().data(), handshake.bytes().size());
  if (result != 0) {
    log_line(fabric_.config(), LogLevel::warning,
             fail_fabric(result, "reject a connection: fi_reject").value().message);
  }
}

// ---- Requests
// ----------------------------------------------------------------------------------------------------

OfiConnectionRequest::OfiConnectionRequest(Rejecter& rejecter, InfoHandle info, std::vector<std::byte> data,
                                           const ParsedHandshake& handshake)
    : rejecter_(rejecter),
      info_(std::move(info)),
      data_(std::move(data)),
      private_data_at_(static_cast<std::size_t>(handshake.private_data.data() - data_.data())),
      private_data_bytes_(handshake.private_data.size()),
      peer_credits_(handshake.header.credits),
      peer_mailbox_(mailbox_behind(data_, private_data_bytes_)) {}

OfiConnectionRequest::~OfiConnectionRequest() {
  reject({});
}

std::string OfiConnectionRequest::peer() const {
  if (!info_ || info_->dest_addr == nullptr) return "unknown";
  return to_string(SocketAddress(info_->dest_addr, info_->dest_addrlen).to_address());
}

void OfiConnectionRequest::reject(std::span<const std::byte> private_data) noexcept {
  if (info_) rejecter_.reject(info_->handle, private_data);
  info_.reset();
}

// ---- Listening
// ---------------------------------------------------------------------------------------------------

Result<std::unique_ptr<OfiListener>> OfiListener::create(const Fabric& fabric, ListenerHost& host,
                                                         const Address& address) {
  const Result<SocketAddress> resolved = SocketAddress::resolve(address);
  if (!resolved) return fail_while("listen at " + to_string(address), resolved.error());
  std::unique_ptr<OfiListener> listener(new OfiListener(fabric, host));
  if (Status status = listener->open(*resolved); !status) {
    Error error = status.error();
    if (error.code == StatusCode::address_unusable) {
      error.message += ": take an address of this machine and a port that nobody listens on";
    }
    return fail_while("listen at " + to_string(address), std::move(error));
  }
  if (Status status = host.enter_listener(*listener); !status) return tl::unexpected(status.error());
  listener->is_entered_ = true;
  return listener;
}

Status OfiListener::open(const SocketAddress& address) {
  FaultInjector* faults = fabric_.faults();
  const Result<InfoHandle> info = fabric_.passive_info(address);
  if (!info) return tl::unexpected(info.error());
  Result<std::unique_ptr<EventQueue>> events = EventQueue::create(fabric_);
  if (!events) return tl::unexpected(events.error());
  events_ = std::move(*events);
  auto handle = open_fabric<fid_pep>(faults, "fi_passive_ep", [&](fid_pep** out) {
    return fi_passive_ep(fabric_.get(), info->get(), out, nullptr);
  });
  if (!handle) return tl::unexpected(handle.error());
  handle_ = std::move(*handle);
  if (Status status = call_fabric(faults, "fi_pep_bind",
                                  [&] { return fi_pep_bind(handle_.get(), &events_->get()->fid, 0); });
      !status) {
    return status;
  }
  if (Status status = call_fabric(faults, "fi_listen", [&] { return fi_listen(handle_.get()); }); !status) {
    return status;
  }
  sockaddr_storage actual{};
  std::size_t length = sizeof actual;
  if (Status status =
          call_fabric(faults, "fi_getname", [&] { return fi_getname(&handle_->fid, &actual, &length); });
      !status) {
    return status;
  }
  address_ = SocketAddress(&actual, length).to_address();
  return {};
}

OfiListener::~OfiListener() {
  shut_down_sockets();
  if (is_entered_) host_.leave_listener(*this);
}

/// A peer whose socket was accepted but whose request hasn't come yet would be leaked with its descriptor by
/// the tcp fabric of libfabric 1.17, and wait in vain. Only the fabric's epoll set knows its socket. After
/// the shutdown the last look at the events closes it.
void OfiListener::shut_down_sockets() noexcept {
  if (!events_) return;
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(events_->fd()));
  std::string word;
  while (info >> word) {
    int fd = -1;
    if (word != "tfd:" || !(info >> fd)) continue;
    int domain = AF_UNSPEC;  // what is no socket stays alone, as does the fabric's own (AF_UNIX)
    socklen_t length = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) continue;
    if (domain == AF_INET || domain == AF_INET6) shutdown(fd, SHUT_RDWR);
  }
}

}  // namespace sluice::transport::ofi
