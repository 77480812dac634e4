#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <rdma/rdma_cma.h>

#include "transport/transport_config.h"

namespace sluice::transport::contract {

/// A user of rdma_cm that says what it likes in its private data: one connection, made or taken.
class RawRdmaPeer {
 public:
  enum class Answer : std::uint8_t { none, accepted, refused, failed };

  /// Connects to `server` with these bytes.
  static std::unique_ptr<RawRdmaPeer> connecting(const Address& server, std::span<const std::byte> says);
  /// Listens at `host` and accepts one connection with these bytes.
  static std::unique_ptr<RawRdmaPeer> listening(const std::string& host, std::span<const std::byte> says);

  RawRdmaPeer(const RawRdmaPeer&) = delete;
  RawRdmaPeer& operator=(const RawRdmaPeer&) = delete;
  ~RawRdmaPeer();

  /// Takes the events that there are.
  void turn();
  [[nodiscard]] Answer answer() const noexcept { return answer_; }
  /// What came with the answer.
  [[nodiscard]] const std::vector<std::byte>& heard() const noexcept { return heard_; }
  [[nodiscard]] std::uint16_t port() const noexcept;

 private:
  explicit RawRdmaPeer(std::span<const std::byte> says);
  void on_event(const rdma_cm_event& event);
  void make_queue_pair(rdma_cm_id* id);
  [[nodiscard]] rdma_conn_param parameters() const noexcept;

  std::vector<std::byte> says_;
  std::vector<std::byte> heard_;
  Answer answer_ = Answer::none;
  rdma_event_channel* channel_ = nullptr;
  rdma_cm_id* id_ = nullptr;        ///< listens, or connects
  rdma_cm_id* accepted_ = nullptr;  ///< of a listening one
};

}  // namespace sluice::transport::contract
