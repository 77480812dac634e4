#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "client/request_table.h"
#include "protocol/base/status.h"
#include "protocol/client_actions.h"
#include "protocol/io_frame.h"
#include "protocol/private_data.h"
#include "runtime/link.h"
#include "runtime/reactor.h"

namespace sluice::client {

class PathLink;

/// Told what happens on a path's connection, from within Reactor::poll().
class PathHandler {
 public:
  PathHandler() = default;
  PathHandler(const PathHandler&) = delete;
  PathHandler& operator=(const PathHandler&) = delete;
  virtual ~PathHandler() = default;

  virtual void on_path_up(PathLink& path, const protocol::PathAccept& grant) = 0;
  /// It was up and broke, or (not is_up()) none came of the attempt. Before on_path_gone, never after
  /// close().
  virtual void on_path_failed(PathLink& path, const Error& why) = 0;
  /// The queue pair is destroyed. `refusal`: ok if it had been up or was closed from here; otherwise why no
  /// connection came of it.
  virtual void on_path_gone(PathLink& path, StatusCode refusal) = 0;
  virtual void on_path_response(PathLink& path, const protocol::IoResponse& response) = 0;
  virtual void on_path_keepalive(PathLink& path, const protocol::Keepalive& message) = 0;
};

/// One path's connection, from one to the next: sends requests with their data, takes answers.
///
/// A request that finds no room in the send queue waits here; room comes with the completions of what was
/// sent before. At most `depth` requests are unanswered, so that there is room for all that can wait, and the
/// node's credits never run out: it grants one with each answer.
///
/// Nothing allocates while the connection is up. One thread. Goes before its reactor and its domain.
class PathLink final : private runtime::LinkHandler {
 public:
  PathLink(protocol::PathId id, runtime::Reactor& reactor, runtime::Rail rail,
           transport::ProtectionDomain& domain, PathHandler& handler);
  ~PathLink() override = default;

  /// Starts a connection; the one before is gone. Errors, at once: as Reactor::connect.
  Status connect(const transport::Address& address, const protocol::PathAttach& attach);
  /// Ends the connection; on_path_gone follows.
  void close() noexcept;

  /// Sends a request, or lets it wait for room. `piece` holds its data until it is answered here or the
  /// connection is gone.
  void post(const protocol::IoRequest& request, const Piece& piece) noexcept;
  void post(const protocol::Keepalive& message) noexcept;
  /// Sends what has found no room so far: once a turn.
  void post_waiting() noexcept;

  [[nodiscard]] protocol::PathId id() const noexcept { return id_; }
  [[nodiscard]] protocol::PathEpoch epoch() const noexcept { return epoch_; }
  [[nodiscard]] bool has_connection() const noexcept { return link_ != nullptr; }
  [[nodiscard]] bool is_up() const noexcept { return is_up_; }
  /// Bytes of the longest write that the node granted capsule or slots for; of the last connection.
  [[nodiscard]] std::uint32_t longest_write() const noexcept { return grant_.longest_write(); }
  /// Of the last connection that was tried.
  [[nodiscard]] const transport::Address& address() const noexcept { return address_; }
  /// Times that a request had to wait for room in the send queue.
  [[nodiscard]] std::uint64_t stalls() const noexcept { return stalls_; }

 private:
  struct Waiting {
    protocol::IoRequest request;
    const Piece* piece = nullptr;
  };

  void on_up(runtime::Link& link, std::span<const std::byte> private_data) override;
  void on_message(runtime::Link& link, std::span<const std::byte> bytes,
                  transport::MessageHandle message) override;
  void on_sent(runtime::Link& link, std::uint64_t tag, transport::CompletionStatus status) override;
  void on_down(runtime::Link& link, const Error& why, std::span<const std::byte> private_data) override;
  void on_drained(runtime::Link& link) override;

  void take(std::span<const std::byte> bytes);
  [[nodiscard]] bool try_post(const protocol::IoRequest& request, const Piece& piece) noexcept;
  void failed(const Error& why);

  protocol::PathId id_;
  runtime::Reactor& reactor_;
  runtime::Rail rail_;
  transport::ProtectionDomain& domain_;
  PathHandler& handler_;

  protocol::PathEpoch epoch_;
  transport::Address address_;
  std::uint16_t depth_ = 0;  ///< asked for
  protocol::PathAccept grant_;
  StatusCode refusal_ = StatusCode::ok;  ///< why no connection came of the attempt
  bool is_up_ = false;
  bool is_closing_ = false;
  std::uint64_t stalls_ = 0;
  std::vector<Waiting> waiting_;  ///< oldest first; room for `depth` of them is made beforehand
  std::unique_ptr<runtime::Link> link_;
};

}  // namespace sluice::client
