#include "transport/verbs/words.h"

#include <array>
#include <cstdio>

namespace sluice::transport::verbs {

CompletionStatus status_of(ibv_wc_status status, bool is_receive) noexcept {
  switch (status) {
    // What Soft-RoCE says of a local buffer that can't be used, and of a message longer than its receive.
    case IBV_WC_LOC_QP_OP_ERR:
      return is_receive ? CompletionStatus::local_length : CompletionStatus::local_protection;
    case IBV_WC_SUCCESS:
      return CompletionStatus::success;
    case IBV_WC_WR_FLUSH_ERR:
      return CompletionStatus::flushed;
    case IBV_WC_REM_ACCESS_ERR:
    case IBV_WC_REM_INV_REQ_ERR:
      return CompletionStatus::remote_access;
    case IBV_WC_REM_OP_ERR:
    case IBV_WC_REM_ABORT_ERR:
      return CompletionStatus::remote_operation;
    case IBV_WC_LOC_PROT_ERR:
    case IBV_WC_LOC_ACCESS_ERR:
      return CompletionStatus::local_protection;
    case IBV_WC_LOC_LEN_ERR:
      return CompletionStatus::local_length;
    case IBV_WC_RNR_RETRY_EXC_ERR:
      return CompletionStatus::receiver_not_ready;
    case IBV_WC_RETRY_EXC_ERR:
    case IBV_WC_RESP_TIMEOUT_ERR:
      return CompletionStatus::retry_exceeded;
    default:
      return CompletionStatus::other;
  }
}

Error describe_failure(const ibv_wc& completion, CompletionStatus status, WorkId id,
                       const std::string& peer) {
  std::array<char, 64> numbers{};
  // NOLINTNEXTLINE(cert-err33-c): truncation is harmless
  std::snprintf(numbers.data(), numbers.size(), "status %d, vendor error 0x%x",
                static_cast<int>(completion.status), completion.vendor_err);
  return {code_of(status), "connection to " + peer + ": " + ibv_wc_status_str(completion.status) + " (" +
                               numbers.data() + ") on work [" + to_string(id) + "], queue pair " +
                               std::to_string(completion.qp_num) + ": " + std::string(meaning_of(status))};
}

Error describe_connect_failure(rdma_cm_event_type event, int status, const std::string& peer) {
  const std::string where = "connect to " + peer + ": ";
  const std::string numbers =
      std::string(" (") + rdma_event_str(event) + ", status " + std::to_string(status) + ")";
  switch (event) {
    case RDMA_CM_EVENT_REJECTED:
      if (status == kRejectInvalidServiceId) {
        return {StatusCode::connection_refused, where + "nobody listens there" + numbers +
                                                    ": is the daemon running, and is this its address?"};
      }
      if (status == kRejectStaleConnection) {
        return {StatusCode::unavailable,
                where + "the peer still holds an older connection of this queue pair number" + numbers +
                    ": try again"};
      }
      return {StatusCode::connection_refused, where + "the peer rejected the connection" + numbers};
    case RDMA_CM_EVENT_UNREACHABLE:
      return {StatusCode::unavailable,
              where + "no answer" + numbers + ": check the path, its MTU, and that the peer's device is up"};
    case RDMA_CM_EVENT_ADDR_ERROR:
      return {StatusCode::address_unusable, where + "the address isn't reached through this RDMA device" +
                                                numbers + ": check routes and ARP"};
    case RDMA_CM_EVENT_ROUTE_ERROR:
      return {StatusCode::unavailable,
              where + "no RDMA route" + numbers + ": check the fabric or subnet manager"};
    default:
      return {StatusCode::unavailable, where + "failed" + numbers};
  }
}

}  // namespace sluice::transport::verbs
