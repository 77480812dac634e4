#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/blocking_io.h"
#include "protocol/base/clock.h"
#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "transport/transport_config.h"

/// The public C++ API: a volume as a block device. Offsets and lengths are bytes, multiples of the volume's
/// block size. For C there is sluice.h; for calls from several threads, shared_client.h.
namespace sluice::client {

/// What becomes of IO while no path to the volume is up.
enum class LossPolicy : std::uint8_t {
  queue,  ///< it waits for as long as it takes; close() is the way out
  fail,   ///< after `loss_deadline` everything outstanding completes (`outcome_unknown` if it was sent,
          ///< `unavailable` if not), and new IO is refused, until the volume is reachable again
};

/// Something that a log should have. `text` is one line, without time or level.
struct ClientEvent {
  enum class Kind : std::uint8_t {
    session,  ///< the session was opened, lost, replaced or ended
    path,     ///< a path came up, went down or was refused
    control,  ///< the connection to a master or to the node's control came up or went
  };
  Kind kind = Kind::session;
  transport::LogLevel level = transport::LogLevel::info;
  std::string_view text;  ///< valid during the call
};
using EventSink = std::function<void(const ClientEvent&)>;

struct BlockClientConfig {
  std::vector<transport::Address> masters;  ///< any of them may be the one in charge; at least one
  std::string volume;                       ///< its name
  std::string client;                       ///< who opens it: stable over restarts. Empty: the host's name

  bool read_only = false;  ///< several clients may have a volume open for reading
  bool steal = false;      ///< take the volume from its holder, who is fenced and never gets it back

  LossPolicy on_loss = LossPolicy::queue;
  Duration loss_deadline = std::chrono::seconds(30);

  /// Local addresses to use, one for each device ("rail"); path i of a volume goes over rail i modulo their
  /// number. Empty: one rail, as `transport` says.
  std::vector<std::string> local_hosts;
  /// How to reach masters and nodes, and how poll() waits. `local_host` counts if `local_hosts` is empty.
  transport::TransportConfig transport;

  /// Requests submitted and not yet taken from poll(), at most.
  std::uint32_t queue_depth = 128;
  /// Registered memory for data of requests whose own memory isn't registered, bytes; at least 2 MiB.
  std::size_t bounce_bytes = std::size_t{16} << 20U;

  Duration open_timeout = std::chrono::seconds(30);   ///< for open() as a whole
  Duration close_timeout = std::chrono::seconds(10);  ///< for each of close()'s steps: IO, node, master
  Duration io_timeout = std::chrono::seconds(10);  ///< a request that takes longer is sent over another path
  Duration keepalive_interval = std::chrono::seconds(1);
  std::uint32_t keepalive_misses = 3;  ///< intervals without a sign of life end a path; and without
                                       ///< any path, make the client ask the master where the volume is

  /// Called from within any call of the client, on the caller's thread. It must not call the client.
  EventSink on_event;
};

/// Whether the volume can be used now.
enum class ConnectionState : std::uint8_t {
  connected,     ///< a session is open, and at least one path is up
  reconnecting,  ///< IO waits, or is refused after `loss_deadline` (LossPolicy)
  ended,         ///< for good: closed, or fenced by another client's open; see end_reason()
};
[[nodiscard]] std::string_view to_string(ConnectionState state) noexcept;

struct VolumeInfo {
  VolumeId volume;
  Gvn gvn;  ///< the session's version; rises when the session is replaced
  std::uint64_t size_bytes = 0;
  std::uint32_t block_size = 0;        ///< bytes: every offset and length is a multiple of it
  std::uint32_t largest_io_bytes = 0;  ///< longer requests are split, and then aren't atomic; may change
                                       ///< with the session
  bool read_only = false;
  bool write_back = false;  ///< writes are durable after a flush or with Durability::stable only
};

struct PathInfo {
  std::string address;          ///< of the node
  std::string_view state;       ///< "down", "connecting", "up" or "dying"
  std::uint16_t in_flight = 0;  ///< requests
  std::uint32_t connects = 0;   ///< connections tried so far
};

/// The outcome of a submitted request. From now on its memory is the caller's again.
///
/// `ok`: done. `outcome_unknown`: it may or may not have had its effect, in whole or in part, and no part of
/// it will still take effect once the client is connected again. `io_error`, `no_space`: the node's backend
/// said so. `bad_checksum`: the data was damaged on its way, repeatedly. `unavailable`, `stale_version`
/// (fenced by another client's open), `cancelled` (closed): it was never sent.
struct Completion {
  std::uint64_t tag = 0;
  StatusCode status = StatusCode::ok;
};

/// One opening of one volume. It survives the loss of paths, nodes and masters: what was submitted is sent
/// again, exactly once as far as the volume is concerned.
///
/// Single-threaded: all calls come from one thread at a time (it may change), and nothing happens outside
/// of calls. The caller's loop must call poll() a few times each `keepalive_interval`, or paths are given up
/// for lack of a sign of life (they come back by themselves).
///
/// Ordering is a block device's: requests that overlap, one of them changing data, take effect in the order
/// of their submission; all others in any order. A flush covers the requests that completed before it was
/// submitted.
///
/// BlockingIo's calls submit and wait for that one completion; the completions of other requests stay for
/// poll().
///
/// Submitting and polling don't allocate, lock or throw.
class BlockClient final : public BlockingIo {
 public:
  /// Opens the volume, waiting at most `open_timeout`: until a session is acknowledged and a path is up.
  /// Errors: invalid_argument (the configuration, saying which field), no_device, address_unusable,
  /// out_of_memory; busy (held by another client: its name is in the message), not_found, timed_out
  /// (the message tells how far it got), and whatever else the master refused it with.
  static Result<std::unique_ptr<BlockClient>> open(const BlockClientConfig& config);

  /// Without close(): the connections end at once, without waiting for anything. Requests that were submitted
  /// have an unknown outcome, their memory is the caller's again, and the volume stays held by this opening
  /// until another one steals it.
  ~BlockClient() override;

  /// Gives the volume up: waits for what is outstanding, ends the session at the node, tells the master.
  /// Takes at most three times `close_timeout`; no submissions afterwards. Completions can still be polled.
  /// Errors: timed_out (the volume may still count as held), or what had ended the session before.
  Status close();

  [[nodiscard]] VolumeInfo info() const;
  [[nodiscard]] std::vector<PathInfo> paths() const;
  [[nodiscard]] ConnectionState state() const noexcept;
  /// Why the session ended; ok after close(), or while it hasn't ended.
  [[nodiscard]] StatusCode end_reason() const noexcept;

  // --- Memory ----------------------------------------------------------------------------------------

  /// Registers memory with every device, so that data of requests inside it isn't copied. It must stay
  /// mapped until unregister_memory() or the client's end. Whole pages are best (fork). Errors:
  /// out_of_memory (says how RLIMIT_MEMLOCK falls short), invalid_argument (empty, or overlaps registered
  /// memory).
  Status register_memory(std::span<std::byte> memory);
  /// `memory` as it was registered. Errors: busy (a request in it is outstanding), not_found.
  Status unregister_memory(std::span<std::byte> memory);

  // --- Asynchronous ----------------------------------------------------------------------------------
  // `ok`: taken, and its completion will come from poll() with this tag. Anything else: refused at once, with
  // no effect, and no completion: queue_full (`queue_depth` requests are outstanding: poll), invalid_request
  // (offset or length not aligned, out of range, or empty), read_only, unavailable (LossPolicy::fail, and the
  // volume is lost), shutting_down or cancelled (closed), stale_version (another client's open has fenced
  // this one).
  // Memory must stay untouched (reads: unread) until the completion. Longer requests than `largest_io_bytes`
  // are split; the first piece's failure fails the request, and an unknown outcome prevails.
  // Requests leave with the next poll().

  [[nodiscard]] StatusCode submit_read(std::uint64_t tag, std::uint64_t offset,
                                       std::span<std::byte> into) noexcept;
  [[nodiscard]] StatusCode submit_write(std::uint64_t tag, std::uint64_t offset,
                                        std::span<const std::byte> data,
                                        Durability durability = Durability::volume_policy) noexcept;
  [[nodiscard]] StatusCode submit_flush(std::uint64_t tag) noexcept;
  /// The range's content is undefined until it is written again.
  [[nodiscard]] StatusCode submit_discard(std::uint64_t tag, std::uint64_t offset, std::uint64_t length,
                                          Durability durability = Durability::volume_policy) noexcept;
  [[nodiscard]] StatusCode submit_write_zeroes(std::uint64_t tag, std::uint64_t offset, std::uint64_t length,
                                               Durability durability = Durability::volume_policy) noexcept;

  /// Sends what was submitted, and returns what has completed: at most out.size(). If nothing has, waits for
  /// it in the way of the polling mode, up to `timeout`: 0 doesn't wait at all.
  std::size_t poll(std::span<Completion> out, Duration timeout);

  /// Requests submitted and not yet taken from poll().
  [[nodiscard]] std::uint32_t outstanding() const noexcept;

  // --- Other people's loops --------------------------------------------------------------------------
  // To sleep elsewhere: call arm(); if it says true, wait until fd() is readable, and no longer than
  // longest_sleep(); then call poll(out, 0ns) until it returns 0. If arm() says false, poll first.

  [[nodiscard]] int fd() const noexcept;
  [[nodiscard]] bool arm() noexcept;
  [[nodiscard]] Duration longest_sleep() const noexcept;

 private:
  class Implementation;
  explicit BlockClient(std::unique_ptr<Implementation> implementation);
  Status run(const IoRequestArgs& args) override;

  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sluice::client
