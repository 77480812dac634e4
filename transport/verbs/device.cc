#include "transport/verbs/device.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>

namespace sluice::transport::verbs {

Result<SocketAddress> SocketAddress::resolve(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(address.host.c_str(), nullptr, &hints, &found);
  if (failure != 0) {
    return fail(StatusCode::address_unusable, "can't resolve host \"" + address.host +
                                                  "\": " + gai_strerror(failure) +
                                                  "; give a numeric address or a name that resolves here");
  }
  SocketAddress result = copy_of(*found->ai_addr);
  freeaddrinfo(found);
  result.set_port(address.port);
  return result;
}

SocketAddress SocketAddress::copy_of(const sockaddr& address) noexcept {
  SocketAddress copy;
  const std::size_t size = address.sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  std::memcpy(&copy.storage_, &address, size);
  return copy;
}

Address SocketAddress::to_address() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage_.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage_);
    inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    return {text.data(), ntohs(v6->sin6_port)};
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage_);
  inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
  return {text.data(), ntohs(v4->sin_port)};
}

void SocketAddress::set_port(std::uint16_t port) noexcept {
  if (storage_.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(&storage_)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(&storage_)->sin_port = htons(port);
  }
}

namespace {

constexpr std::string_view kRemedy =
    "; `soft_roce_setup.sh status` tells what is missing, and provider ofi works without any RDMA device";

Status describe_limits(Device& device) {
  if (ibv_query_device(device.context, &device.limits) != 0) {
    return fail_errno(errno, "query RDMA device " + device.name);
  }
  ibv_port_attr port{};
  if (ibv_query_port(device.context, device.port, &port) != 0) {
    return fail_errno(errno, "query port " + std::to_string(device.port) + " of RDMA device " + device.name);
  }
  if (port.state != IBV_PORT_ACTIVE) {
    return fail(StatusCode::no_device, "port " + std::to_string(device.port) + " of RDMA device " +
                                           device.name + " is " + ibv_port_state_str(port.state) +
                                           ", not active: is its link up?");
  }
  device.max_message_bytes = port.max_msg_sz;
  return {};
}

/// The device behind a local address, which rdma_bind_addr finds by the address's network interface.
Result<Device> device_at(const TransportConfig& config, rdma_event_channel& channel, SocketAddress local) {
  local.set_port(0);
  rdma_cm_id* raw = nullptr;
  if (injected_failure(config.faults, "rdma_create_id") ||
      rdma_create_id(&channel, &raw, nullptr, RDMA_PS_TCP) != 0) {
    return fail_errno(errno, "rdma_create_id (is the rdma_ucm module loaded?)");
  }
  Device device;
  device.anchor.reset(raw);
  const std::string host = local.to_address().host;
  if (injected_failure(config.faults, "rdma_bind_addr") || rdma_bind_addr(raw, local.get()) != 0 ||
      raw->verbs == nullptr) {
    return fail(StatusCode::no_device, "no RDMA device has the address " + host + std::string(kRemedy));
  }
  device.context = raw->verbs;
  device.name = ibv_get_device_name(raw->verbs->device);
  device.local = local;
  device.port = raw->port_num;
  if (!config.device.empty() && device.name != config.device) {
    return fail(StatusCode::no_device, "the address " + host + " belongs to RDMA device " + device.name +
                                           ", not to " + config.device + " as configured");
  }
  if (Status status = describe_limits(device); !status) return tl::unexpected(status.error());
  return device;
}

/// Addresses of all interfaces that are up, loopback left out: it never carries RDMA.
std::vector<SocketAddress> interface_addresses() {
  std::vector<SocketAddress> addresses;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    if ((entry->ifa_flags & IFF_LOOPBACK) != 0) continue;
    const bool is_ipv4 = entry->ifa_addr->sa_family == AF_INET;
    if (is_ipv4) addresses.push_back(SocketAddress::copy_of(*entry->ifa_addr));
  }
  freeifaddrs(list);
  return addresses;
}

}  // namespace

Result<Device> find_device(const TransportConfig& config, rdma_event_channel& channel) {
  if (!config.local_host.empty()) {
    const Result<SocketAddress> local = SocketAddress::resolve({config.local_host, 0});
    if (!local) return tl::unexpected(local.error());
    return device_at(config, channel, *local);
  }
  Error last{StatusCode::no_device,
             "no network interface of this host belongs to a usable RDMA device" + std::string(kRemedy)};
  for (const SocketAddress& local : interface_addresses()) {
    Result<Device> device = device_at(config, channel, local);
    if (device) return device;
    const bool tells_more = device.error().message.find("no RDMA device has") == std::string::npos;
    if (tells_more) last = device.error();
  }
  if (!config.device.empty()) last.message = "RDMA device " + config.device + ": " + last.message;
  return tl::unexpected(last);
}

}  // namespace sluice::transport::verbs
