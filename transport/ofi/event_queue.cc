#include "transport/ofi/event_queue.h"

#include <array>
#include <cerrno>

namespace sluice::transport::ofi {

namespace {

/// More than any fabric's connection data (tcp: 256 bytes).
constexpr std::size_t kMaxEventBytes = sizeof(fi_eq_cm_entry) + 512;

std::vector<std::byte> copy_bytes(const void* bytes, std::size_t size) {
  const auto* first = static_cast<const std::byte*>(bytes);
  return {first, first + size};
}

}  // namespace

Result<std::unique_ptr<EventQueue>> EventQueue::create(const Fabric& fabric) {
  fi_eq_attr attributes{};
  attributes.wait_obj = FI_WAIT_FD;
  auto handle = open_fabric<fid_eq>(fabric.faults(), "fi_eq_open", [&](fid_eq** out) {
    return fi_eq_open(fabric.get(), &attributes, out, nullptr);
  });
  if (!handle) return fail_while("open an event queue", handle.error());
  int fd = -1;
  if (Status status = call_fabric(fabric.faults(), "fi_control",
                                  [&] { return fi_control(&(*handle)->fid, FI_GETWAIT, &fd); });
      !status) {
    return fail_while("get an event queue's descriptor", status.error());
  }
  return std::unique_ptr<EventQueue>(new EventQueue(fabric, std::move(*handle), fd));
}

std::optional<FabricEvent> EventQueue::read() {
  alignas(fi_eq_cm_entry) std::array<std::byte, kMaxEventBytes> buffer;
  for (;;) {
    if (injected_failure(fabric_.faults(), "fi_eq_read")) return std::nullopt;  // the next look finds it
    // The tcp fabric of libfabric 1.17 takes a stale EAGAIN in errno for "no data yet" when a peer hangs up
    // during the handshake, and then spins on that socket for ever.
    errno = 0;
    std::uint32_t kind = 0;
    const ssize_t size = fi_eq_read(handle_.get(), &kind, buffer.data(), buffer.size(), 0);
    if (size == -FI_EAVAIL) return read_error();
    if (size < static_cast<ssize_t>(sizeof(fi_eq_cm_entry))) return std::nullopt;
    auto* entry = reinterpret_cast<fi_eq_cm_entry*>(buffer.data());
    FabricEvent event;
    event.endpoint = entry->fid;
    event.data = copy_bytes(entry->data, static_cast<std::size_t>(size) - sizeof(fi_eq_cm_entry));
    switch (kind) {
      case FI_CONNREQ:
        event.kind = FabricEvent::Kind::request;
        event.info.reset(entry->info);
        return event;
      case FI_CONNECTED:
        event.kind = FabricEvent::Kind::connected;
        return event;
      case FI_SHUTDOWN:
        event.kind = FabricEvent::Kind::shutdown;
        return event;
      default:
        break;  // nothing that we asked for
    }
  }
}

std::optional<FabricEvent> EventQueue::read_error() {
  std::array<std::byte, kMaxEventBytes> data;
  fi_eq_err_entry entry{};
  entry.err_data = data.data();
  entry.err_data_size = data.size();
  if (fi_eq_readerr(handle_.get(), &entry, 0) < 0) return std::nullopt;
  FabricEvent event;
  event.kind = FabricEvent::Kind::error;
  event.endpoint = entry.fid;
  event.error = std::abs(entry.err);
  if (entry.err_data != nullptr) event.data = copy_bytes(entry.err_data, entry.err_data_size);
  return event;
}

}  // namespace sluice::transport::ofi
