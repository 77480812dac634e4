#pragma once

#include <memory>
#include <optional>

#include "transport/ofi/address.h"
#include "transport/ofi/handles.h"
#include "transport/provider.h"

namespace sluice::transport::ofi {

/// The fabric in use, what it can do, and how to describe endpoints to it. Outlives all that is opened on it.
class Fabric {
 public:
  /// Errors: see open_ofi_provider().
  static Result<std::unique_ptr<Fabric>> open(const TransportConfig& config);

  [[nodiscard]] const TransportConfig& config() const noexcept { return config_; }
  [[nodiscard]] FaultInjector* faults() const noexcept { return config_.faults; }
  [[nodiscard]] fid_fabric* get() const noexcept { return handle_.get(); }
  [[nodiscard]] const fi_info& info() const noexcept { return *info_; }
  [[nodiscard]] bool has_mr_mode(std::uint64_t bit) const noexcept {
    return (static_cast<std::uint64_t>(info_->domain_attr->mr_mode) & bit) != 0;
  }

  [[nodiscard]] std::uint32_t max_queue_depth() const noexcept { return max_queue_depth_; }
  [[nodiscard]] std::uint32_t max_message_bytes() const noexcept { return max_message_bytes_; }
  [[nodiscard]] std::uint32_t max_inline_bytes() const noexcept { return max_inline_bytes_; }
  [[nodiscard]] std::uint8_t max_segments() const noexcept { return max_segments_; }

  /// The description of an endpoint that listens at `source`, or nowhere.
  [[nodiscard]] Result<InfoHandle> passive_info(const std::optional<SocketAddress>& source) const;
  /// The description of an endpoint that connects to `destination`, from the configured address if any.
  [[nodiscard]] Result<InfoHandle> active_info(const SocketAddress& destination) const;

 private:
  Fabric(TransportConfig config, InfoHandle info);

  [[nodiscard]] Result<InfoHandle> copy_info() const;

  TransportConfig config_;
  std::optional<SocketAddress> local_address_;
  InfoHandle info_;
  FabricHandle handle_;
  std::uint32_t max_queue_depth_ = 0;
  std::uint32_t max_message_bytes_ = 0;
  std::uint32_t max_inline_bytes_ = 0;
  std::uint8_t max_segments_ = 1;
};

}  // namespace sluice::transport::ofi
