#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/options.h"

namespace sluice::cli {

/// What looking at one thing has shown.
struct Finding {
  enum class Verdict : std::uint8_t {
    good,
    note,     ///< worth knowing, and nothing is wrong
    warning,  ///< works, less well than it could
    failure,  ///< doesn't work
  };
  std::string subject;
  Verdict verdict = Verdict::good;
  std::string detail;
  std::string remedy;  ///< what to do; empty if nothing
};

[[nodiscard]] std::string_view to_string(Finding::Verdict verdict) noexcept;

using Findings = std::vector<Finding>;

/// Versions of this program, its protocol, the kernel and the libraries.
void examine_versions(Findings& findings);
/// How much memory may be locked, which registered memory is.
void examine_locked_memory(Findings& findings);
/// RDMA devices with their ports, GIDs and MTUs, and the device nodes that user space needs.
void examine_devices(Findings& findings);
/// A connection from this host to itself over each local address, with a message each way.
void examine_loopback(const ClientOptions& options, Findings& findings);
/// Whether the masters answer, and the nodes that they know.
void examine_cluster(const ClientOptions& options, Findings& findings);

}  // namespace sluice::cli
