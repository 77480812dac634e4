#pragma once

#include <cstddef>
#include <cstdint>

/// Every bound of the protocol, where it comes from, and how the bounds depend on each other.
namespace sluice::protocol {

// --- Windows and paths ---------------------------------------------------------------------------------

/// Sequence numbers that a session may have between its lowest unanswered one and its highest. A request
/// carries `seq - low` in 16 bits, which sets the largest window.
inline constexpr std::uint32_t kMinWindowSize = 2;
inline constexpr std::uint32_t kDefaultWindowSize = 1024;
inline constexpr std::uint32_t kMaxWindowSize = 32768;
static_assert(kMaxWindowSize - 1 <= UINT16_MAX, "seq - low must fit its 16 bits");
static_assert((kDefaultWindowSize & (kDefaultWindowSize - 1)) == 0, "an entry is found by masking");

/// Connections of one session, one to each address of the node.
inline constexpr std::size_t kMaxPaths = 8;

/// Requests that one path may have unanswered: the depth of its receive queue, without the receives that
/// are kept back for control messages.
inline constexpr std::uint16_t kDefaultPathDepth = 256;
inline constexpr std::uint16_t kMaxPathDepth = 1024;

/// Sessions of one volume on its node at one time: one writer, or the readers of one era.
inline constexpr std::size_t kMaxVolumeSessions = 8;

/// Session opens of one volume that a node works on at one time; more are told to come back.
inline constexpr std::size_t kMaxPendingOpens = 4;

// --- Data ----------------------------------------------------------------------------------------------

/// Smallest and largest logical block. 512 bytes is what disks have always had, 4 KiB is a page.
inline constexpr std::uint32_t kMinBlockSize = 512;
inline constexpr std::uint32_t kMaxBlockSize = 4096;

/// Write data up to this length may follow the request in the same SEND.
inline constexpr std::uint32_t kMaxInCapsuleData = 4096;

/// Longest read or write; longer ones are split by the client. Equals the largest staging slot.
inline constexpr std::uint32_t kMaxDataLength = 1U << 20U;
static_assert(kMaxInCapsuleData <= kMaxDataLength);
static_assert(kMaxDataLength % kMaxBlockSize == 0);

/// Longest discard or write of zeroes. They carry no data; the bound keeps one of them from occupying the
/// backend, and therefore a fence that waits for it, for long.
inline constexpr std::uint32_t kMaxRangeLength = 1U << 30U;
static_assert(kMaxRangeLength % kMaxBlockSize == 0);

/// Sizes of staging slots that a path may be granted, and slots altogether.
inline constexpr std::size_t kMaxSlotClasses = 4;
inline constexpr std::uint16_t kMaxSlots = 4096;

// --- Messages ------------------------------------------------------------------------------------------

/// The IO frames' sizes are asserted in io_frame.h.
inline constexpr std::size_t kIoRequestSize = 64;
inline constexpr std::size_t kIoResponseSize = 32;
inline constexpr std::size_t kMaxCapsuleSize = kIoRequestSize + kMaxInCapsuleData;

/// A control message fits one page, and so one receive.
inline constexpr std::size_t kMaxControlSize = 4096;
static_assert(kMaxControlSize <= kMaxCapsuleSize, "a path's receives also take control messages");

/// What rdma_cm carries in a connection's private data (connect 56, accept 196, reject 148 bytes) less the
/// transport's own 8 bytes, and on accept 8 more in reserve.
inline constexpr std::size_t kMaxPathAttachSize = 48;
inline constexpr std::size_t kMaxPathAcceptSize = 180;
inline constexpr std::size_t kMaxPathRejectSize = 140;

inline constexpr std::size_t kMaxClientIdLength = 63;
inline constexpr std::size_t kMaxVolumeNameLength = 63;
inline constexpr std::size_t kMaxNodeAddressLength = 63;

/// Fences in one hello; a node with more volumes sends several.
inline constexpr std::size_t kMaxFencesPerHello = 128;

/// Words for an operator in one answer.
inline constexpr std::size_t kMaxTextLength = 191;

/// Volumes and nodes in one part of a list: what fits a control message.
inline constexpr std::size_t kMaxListEntries = 20;
inline constexpr std::size_t kMaxNodeListEntries = 7;

/// Threads of a node that share its volumes.
inline constexpr std::uint16_t kMaxReactors = 64;

}  // namespace sluice::protocol
