#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "protocol/identifiers.h"
#include "protocol/limits.h"
#include "protocol/wire_codec.h"

/// The frames of the data path: a request of 64 bytes, which in-capsule data may follow in the same SEND,
/// and a response of 32. Nothing here allocates, on success or failure.
namespace sluice::protocol {

enum class IoOp : std::uint8_t {
  read = 1,          ///< the node WRITEs the data into `target`, then SENDs the response
  write = 2,         ///< data in the capsule or in a slot
  flush = 3,         ///< what was acknowledged before is durable afterwards; offset and length are 0
  discard = 4,       ///< the range's content becomes undefined until written
  write_zeroes = 5,  ///< the range reads as zeroes afterwards
};

/// Where the data of a request is, or goes.
enum class DataPlacement : std::uint8_t {
  none = 0,        ///< flush, discard, write_zeroes
  in_capsule = 1,  ///< write: follows the request in the same SEND, exactly `length` bytes
  slot = 2,        ///< write: in staging slot `slot` of the path that the request comes on (R1)
  remote = 3,      ///< read: to be written to `target`
};

/// Whether the operation changes blocks: serialised by C1, refused in a read-only session.
[[nodiscard]] constexpr bool changes_data(IoOp op) noexcept {
  return op == IoOp::write || op == IoOp::discard || op == IoOp::write_zeroes;
}

/// Memory of the peer, as its transport names it: on verbs the rkey and the virtual address, on libfabric a
/// 64-bit key and an address that may be an offset.
struct RemoteBuffer {
  std::uint64_t key = 0;
  std::uint64_t address = 0;

  friend constexpr bool operator==(const RemoteBuffer&, const RemoteBuffer&) noexcept = default;
};

/// Tells the frames of one connection from those of any other: a checksum over what a path attach agreed on.
/// GVNs are counted per volume, so that a frame of another volume may well carry this session's GVN, sequence
/// numbers in the window and a good CRC; it doesn't carry this tag. It protects from misdelivery (a queue
/// pair number used again, a proxy's mistake), not from forgery. Both sides compute it, it's never sent
/// alone.
using PathTag = Quantity<struct PathTagTag, std::uint32_t>;
[[nodiscard]] PathTag make_path_tag(VolumeId volume, Gvn gvn, Cookie cookie, PathId path,
                                    PathEpoch epoch) noexcept;

/// One attempt at one IO. On the wire 64 bytes, every field naturally aligned:
///
///      0  magic          1  0x51
///      1  version        1
///      2  op             1
///      3  flags          1  bit 0 FUA, bits 1-2 data placement, others 0
///      4  slot           2  0xffff: none
///      6  seq - low      2  `low` is never further below `seq` than the largest window
///      8  gvn            8
///     16  seq            8  from 1
///     24  offset         8  bytes
///     32  length         4  bytes: at most 1 GiB
///     36  data CRC       4  of a write's data; else 0
///     40  target key     8  a read's target; else 0
///     48  target address 8
///     56  path tag       4
///     60  header CRC     4  of bytes 0 to 59
///
/// The budget: libfabric's keys and addresses are 64 bits each, so that a read target takes 16 bytes, and a
/// target in every request (rather than one region named when the path is attached) lets a caller's many
/// registered buffers be read into without a copy. That leaves no room for a 64-bit `low`; as `seq - low` is
/// below the window's size, its distance fits 16 bits. All 64 bytes are used: a new field needs a new
/// version.
struct IoRequest {
  IoOp op = IoOp::flush;
  bool fua = false;  ///< durable before the answer; write, discard and write_zeroes only
  DataPlacement placement = DataPlacement::none;
  SlotIndex slot = kNoSlot;
  Gvn gvn;
  Seq seq;
  Seq low;  ///< the lowest seq without a definitive answer at the client; 1 <= low <= seq
  ByteCount offset;
  std::uint32_t length = 0;    ///< bytes
  std::uint32_t data_crc = 0;  ///< CRC32C of the write's data
  RemoteBuffer target;
  PathTag path_tag;

  friend constexpr bool operator==(const IoRequest&, const IoRequest&) noexcept = default;
};

/// The answer to one attempt, on the queue pair that the attempt came on (R2). On the wire 32 bytes:
///
///      0  magic      1  0xa1
///      1  version    1
///      2  op         1  the request's
///      3  flags      1  bit 0: the stored answer to an earlier attempt; others 0
///      4  status     2
///      6  reserved   2  0
///      8  gvn        8
///     16  seq        8
///     24  data CRC   4  of a read's data; else 0
///     28  header CRC 4  of bytes 0 to 27
///
/// Every request gets exactly one response unless its path is killed, and its receive is posted again before
/// the response is sent: a response is also the credit for the next request. Statuses `ok`, `io_error`,
/// `no_space`, `invalid_request`, `read_only` and `seq_misuse` are definitive for the IO. `bad_checksum`,
/// `out_of_window` and `expired` are not: nothing was done for this attempt. `stale_version` and
/// `no_session` end the session.
struct IoResponse {
  IoOp op = IoOp::flush;
  bool repeated = false;
  StatusCode status = StatusCode::ok;
  Gvn gvn;
  Seq seq;
  std::uint32_t data_crc = 0;

  friend constexpr bool operator==(const IoResponse&, const IoResponse&) noexcept = default;
};

/// Writes a request. It must keep the rules that decode_request checks.
void encode(const IoRequest& request, std::span<std::byte, kIoRequestSize> out) noexcept;

/// `capsule` is one whole received message: the request and, for DataPlacement::in_capsule, its data, no
/// byte more or less. Fails with `malformed`, or `version_mismatch` for another protocol version (W1). Never
/// looks at the data itself: its CRC is for whoever touches it.
[[nodiscard]] Result<IoRequest> decode_request(std::span<const std::byte> capsule) noexcept;

/// The data that follows an in-capsule write; empty for any other request.
[[nodiscard]] std::span<const std::byte> in_capsule_data(std::span<const std::byte> capsule) noexcept;

/// Writes a response.
void encode(const IoResponse& response, std::span<std::byte, kIoResponseSize> out) noexcept;

/// `frame` is one whole received message. Fails as decode_request does.
[[nodiscard]] Result<IoResponse> decode_response(std::span<const std::byte> frame) noexcept;

/// What a received message on a path says it is, by its first bytes alone.
enum class FrameKind : std::uint8_t { io_request, io_response, control, unknown };
[[nodiscard]] FrameKind classify(std::span<const std::byte> message) noexcept;

[[nodiscard]] constexpr bool is_valid(IoOp op) noexcept {
  return op >= IoOp::read && op <= IoOp::write_zeroes;
}
[[nodiscard]] std::string_view to_string(IoOp op) noexcept;
[[nodiscard]] std::string_view to_string(DataPlacement placement) noexcept;
[[nodiscard]] std::string to_string(const IoRequest& request);
[[nodiscard]] std::string to_string(const IoResponse& response);

/// The layouts as they are on the wire: what encode and decode work on, and docs/wire_format.md shows.
namespace wire {

inline constexpr std::uint8_t kIoVersion = 1;

struct RawIoRequest {
  static constexpr std::uint8_t kMagic = 0x51;

  std::uint8_t magic = kMagic;
  std::uint8_t version = kIoVersion;
  std::uint8_t op = 0;
  std::uint8_t flags = 0;
  std::uint16_t slot = 0;
  std::uint16_t seq_minus_low = 0;
  std::uint64_t gvn = 0;
  std::uint64_t seq = 0;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  std::uint32_t data_crc = 0;
  std::uint64_t target_key = 0;
  std::uint64_t target_address = 0;
  std::uint32_t path_tag = 0;
  std::uint32_t header_crc = 0;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("magic", self.magic, "0x51");
    visit("version", self.version, "1");
    visit("op", self.op, "1 read, 2 write, 3 flush, 4 discard, 5 write_zeroes");
    visit("flags", self.flags,
          "bit 0: FUA (write, discard, write_zeroes); bits 1-2: data placement, 0 none, 1 in the capsule, "
          "2 in a slot, 3 remote; others 0");
    visit("slot", self.slot, "the staging slot of a write placed in a slot; else 0xffff");
    visit("seq_minus_low", self.seq_minus_low, "seq less the lowest seq without a definitive answer");
    visit("gvn", self.gvn, "the session's version");
    visit("seq", self.seq, "the IO's number in its session, from 1, the same for every attempt");
    visit("offset", self.offset, "first byte, a multiple of the block size; 0 for flush");
    visit("length", self.length, "bytes, a multiple of the block size; 0 for flush");
    visit("data_crc", self.data_crc, "CRC32C of a write's data; else 0");
    visit("target_key", self.target_key, "a read's target: the region's remote key; else 0");
    visit("target_address", self.target_address, "a read's target: address in that region; else 0");
    visit("path_tag", self.path_tag, "CRC32C over volume, gvn, cookie, path and path epoch");
    visit("header_crc", self.header_crc, "CRC32C of the bytes before it");
  }
};
static_assert(max_size<RawIoRequest>() == kIoRequestSize);

struct RawIoResponse {
  static constexpr std::uint8_t kMagic = 0xa1;

  std::uint8_t magic = kMagic;
  std::uint8_t version = kIoVersion;
  std::uint8_t op = 0;
  std::uint8_t flags = 0;
  std::uint16_t status = 0;
  std::uint64_t gvn = 0;
  std::uint64_t seq = 0;
  std::uint32_t data_crc = 0;
  std::uint32_t header_crc = 0;

  template <typename Self, typename Visitor>
  static constexpr void fields(Self& self, Visitor& visit) {
    visit("magic", self.magic, "0xa1");
    visit("version", self.version, "1");
    visit("op", self.op, "the request's");
    visit("flags", self.flags, "bit 0: the stored answer to an earlier attempt; others 0");
    visit("status", self.status, "a status code");
    visit.reserved(2);
    visit("gvn", self.gvn, "the request's");
    visit("seq", self.seq, "the request's");
    visit("data_crc", self.data_crc, "CRC32C of a successful read's data; else 0");
    visit("header_crc", self.header_crc, "CRC32C of the bytes before it");
  }
};
static_assert(max_size<RawIoResponse>() == kIoResponseSize);

}  // namespace wire
}  // namespace sluice::protocol
