#include "transport/ofi/fabric.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <set>
#include <string>

namespace sluice::transport::ofi {

namespace {

constexpr std::uint32_t kApiVersion = FI_VERSION(1, 17);

/// What the contract's "work executes in the order of posting" asks of the fabric. A READ's answer may be
/// overtaken, as on a reliable connected queue pair; completions are put in order by WorkQueues.
constexpr std::uint64_t kRequiredOrder =
    FI_ORDER_SAS | FI_ORDER_SAW | FI_ORDER_WAS | FI_ORDER_WAW | FI_ORDER_RAS | FI_ORDER_RAW | FI_ORDER_RAR;

/// The registration modes that ProtectionDomain and Endpoint know how to serve.
constexpr int kServedMrModes = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;

/// One message's length is 32 bits in the contract; a power of two below that is plenty.
constexpr std::size_t kMessageLimitBytes = std::size_t{1} << 30U;

InfoHandle make_hints(const std::string& fabric, std::uint64_t order) {
  InfoHandle hints(fi_allocinfo());
  if (!hints) return hints;
  hints->caps = FI_MSG | FI_RMA;
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->ep_attr->type = FI_EP_MSG;
  hints->tx_attr->msg_order = order;
  hints->rx_attr->msg_order = order;
  hints->domain_attr->mr_mode = kServedMrModes;
  hints->domain_attr->threading = FI_THREAD_DOMAIN;
  if (!fabric.empty()) hints->fabric_attr->prov_name = strdup(fabric.c_str());
  return hints;
}

Result<InfoHandle> get_info(FaultInjector* faults, const fi_info* hints) {
  fi_info* found = nullptr;
  if (Status status = call_fabric(
          faults, "fi_getinfo", [&] { return fi_getinfo(kApiVersion, nullptr, nullptr, 0, hints, &found); });
      !status) {
    return tl::unexpected(status.error());
  }
  return InfoHandle(found);
}

bool has_ip_addresses(const fi_info& info) {
  return info.addr_format == FI_SOCKADDR || info.addr_format == FI_SOCKADDR_IN ||
         info.addr_format == FI_SOCKADDR_IN6;
}

std::string usable_fabrics(FaultInjector* faults) {
  const InfoHandle hints = make_hints("", kRequiredOrder);
  if (!hints) return "none";
  const Result<InfoHandle> found = get_info(faults, hints.get());
  if (!found) return "none";
  std::set<std::string> names;
  for (const fi_info* info = found->get(); info != nullptr; info = info->next) {
    if (has_ip_addresses(*info)) names.insert(info->fabric_attr->prov_name);
  }
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

Error explain_absence(const TransportConfig& config, const Error& cause) {
  const InfoHandle unordered_hints = make_hints(config.fabric, 0);
  if (unordered_hints && get_info(config.faults, unordered_hints.get())) {
    return {StatusCode::unsupported,
            "fabric \"" + config.fabric +
                "\" doesn't keep sends, writes and reads in order, or its registration modes aren't known; "
                "usable here: " +
                usable_fabrics(config.faults)};
  }
  return {StatusCode::no_device, "fabric \"" + config.fabric + "\" isn't there for connected endpoints (" +
                                     cause.message + "); usable here: " + usable_fabrics(config.faults)};
}

Result<InfoHandle> choose(const TransportConfig& config) {
  const InfoHandle hints = make_hints(config.fabric, kRequiredOrder);
  if (!hints) return fail(StatusCode::out_of_memory, "fi_allocinfo: out of memory");
  const Result<InfoHandle> found = get_info(config.faults, hints.get());
  if (!found) return tl::unexpected(explain_absence(config, found.error()));
  for (const fi_info* info = found->get(); info != nullptr; info = info->next) {
    if (!has_ip_addresses(*info)) continue;
    InfoHandle chosen(fi_dupinfo(info));
    if (!chosen) return fail(StatusCode::out_of_memory, "fi_dupinfo: out of memory");
    return chosen;
  }
  return fail(StatusCode::unsupported, "fabric \"" + config.fabric + "\" has no IP addresses; usable here: " +
                                           usable_fabrics(config.faults));
}

/// libfabric frees an info's addresses with free().
void* heap_copy(const SocketAddress& address) {
  void* copy = std::malloc(address.length());
  if (copy != nullptr) std::memcpy(copy, address.get(), address.length());
  return copy;
}

std::uint32_t format_of(const SocketAddress& address) {
  return address.family() == AF_INET6 ? FI_SOCKADDR_IN6 : FI_SOCKADDR_IN;
}

}  // namespace

Fabric::Fabric(TransportConfig config, InfoHandle info) : config_(std::move(config)), info_(std::move(info)) {
  constexpr std::size_t kDepthLimit = std::numeric_limits<std::uint16_t>::max();
  max_queue_depth_ =
      static_cast<std::uint32_t>(std::min({info_->tx_attr->size, info_->rx_attr->size, kDepthLimit}));
  max_message_bytes_ = static_cast<std::uint32_t>(std::min(info_->ep_attr->max_msg_size, kMessageLimitBytes));
  max_inline_bytes_ = static_cast<std::uint32_t>(std::min(info_->tx_attr->inject_size, kMessageLimitBytes));
  max_segments_ = static_cast<std::uint8_t>(std::min(info_->tx_attr->iov_limit, kMaxSegments));
}

Result<std::unique_ptr<Fabric>> Fabric::open(const TransportConfig& config) {
  Result<InfoHandle> info = choose(config);
  if (!info) return tl::unexpected(info.error());
  std::unique_ptr<Fabric> fabric(new Fabric(config, std::move(*info)));
  if (!config.local_host.empty()) {
    const Result<SocketAddress> local = SocketAddress::resolve({config.local_host, 0});
    if (!local) return tl::unexpected(local.error());
    if (Status status = check_is_ours(*local); !status) return tl::unexpected(status.error());
    fabric->local_address_ = *local;
  }
  auto handle = open_fabric<fid_fabric>(config.faults, "fi_fabric", [&](fid_fabric** out) {
    return fi_fabric(fabric->info_->fabric_attr, out, nullptr);
  });
  if (!handle) return fail_while("open fabric \"" + config.fabric + "\"", handle.error());
  fabric->handle_ = std::move(*handle);
  return fabric;
}

Result<InfoHandle> Fabric::copy_info() const {
  InfoHandle copy(fi_dupinfo(info_.get()));
  if (!copy) return fail(StatusCode::out_of_memory, "fi_dupinfo: out of memory");
  std::free(copy->src_addr);
  std::free(copy->dest_addr);
  copy->src_addr = copy->dest_addr = nullptr;
  copy->src_addrlen = copy->dest_addrlen = 0;
  return copy;
}

Result<InfoHandle> Fabric::passive_info(const std::optional<SocketAddress>& source) const {
  Result<InfoHandle> info = copy_info();
  if (!info || !source) return info;
  (*info)->addr_format = format_of(*source);
  (*info)->src_addr = heap_copy(*source);
  (*info)->src_addrlen = source->length();
  if ((*info)->src_addr == nullptr) return fail(StatusCode::out_of_memory, "listen: out of memory");
  return info;
}

Result<InfoHandle> Fabric::active_info(const SocketAddress& destination) const {
  Result<InfoHandle> info = copy_info();
  if (!info) return info;
  (*info)->addr_format = format_of(destination);
  (*info)->dest_addr = heap_copy(destination);
  (*info)->dest_addrlen = destination.length();
  const bool from_configured = local_address_ && local_address_->family() == destination.family();
  if (from_configured) {
    (*info)->src_addr = heap_copy(*local_address_);
    (*info)->src_addrlen = local_address_->length();
  }
  if ((*info)->dest_addr == nullptr || (from_configured && (*info)->src_addr == nullptr)) {
    return fail(StatusCode::out_of_memory, "connect: out of memory");
  }
  return info;
}

}  // namespace sluice::transport::ofi
