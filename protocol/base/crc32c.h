#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice {

/// CRC32C (Castagnoli, RFC 3720 appendix B.4: reflected, initial value and final XOR all ones), as in iSCSI
/// and NVMe. Of "123456789": 0xe3069283. `previous` continues a checksum over split data: crc32c(b,
/// crc32c(a)) is crc32c(ab).
///
/// Computed in the way that is quicker here, which is found once, at the first call.
std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t previous = 0) noexcept;

/// The two ways: the processor's own instructions (ISA-L), and tables.
std::uint32_t crc32c_by_instructions(std::span<const std::byte> data, std::uint32_t previous = 0) noexcept;
std::uint32_t crc32c_by_tables(std::span<const std::byte> data, std::uint32_t previous = 0) noexcept;

}  // namespace sluice
