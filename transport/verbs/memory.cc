#include "transport/verbs/memory.h"

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>

#include <sys/resource.h>

namespace sluice::transport::verbs {

namespace {

/// Bytes that this process has pinned or locked, from /proc/self/status; 0 if that can't be read.
std::uint64_t locked_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::uint64_t kilobytes = 0;
  while (status >> word) {
    std::uint64_t value = 0;
    if ((word == "VmLck:" || word == "VmPin:") && status >> value) kilobytes += value;
  }
  return kilobytes * 1024;
}

}  // namespace

std::string memlock_shortfall(std::size_t bytes) {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return {};
  const std::uint64_t needed = locked_bytes() + bytes;
  if (needed <= limit.rlim_cur) return {};
  return "RLIMIT_MEMLOCK is " + std::to_string(limit.rlim_cur) + " bytes, " +
         std::to_string(needed - limit.rlim_cur) +
         " too few: raise it (`ulimit -l unlimited`, LimitMEMLOCK=infinity)";
}

Result<std::unique_ptr<VerbsProtectionDomain>> VerbsProtectionDomain::create(ibv_context& context,
                                                                             FaultInjector* faults) {
  ibv_pd* raw = injected_failure(faults, "ibv_alloc_pd") ? nullptr : ibv_alloc_pd(&context);
  if (raw == nullptr) return fail_errno(errno, "allocate an RDMA protection domain");
  return std::make_unique<VerbsProtectionDomain>(ProtectionDomainHandle(raw), faults);
}

Result<std::unique_ptr<Region>> VerbsProtectionDomain::register_memory(std::span<std::byte> memory,
                                                                       Access access) {
  if (memory.empty()) return fail(StatusCode::invalid_argument, "register memory: nothing to register");
  unsigned flags = 0;
  // Remote write needs local write (ibv_reg_mr(3)).
  if (has(access, Access::local_write) || has(access, Access::remote_write)) flags |= IBV_ACCESS_LOCAL_WRITE;
  if (has(access, Access::remote_write)) flags |= IBV_ACCESS_REMOTE_WRITE;
  if (has(access, Access::remote_read)) flags |= IBV_ACCESS_REMOTE_READ;
  ibv_mr* raw = injected_failure(faults_, "ibv_reg_mr")
                    ? nullptr
                    : ibv_reg_mr(handle_.get(), memory.data(), memory.size(), flags);
  if (raw == nullptr) {
    const int error = errno;
    const std::string what = "register " + std::to_string(memory.size()) + " bytes for RDMA";
    const std::string shortfall = memlock_shortfall(memory.size());
    if (!shortfall.empty()) return fail(StatusCode::out_of_memory, what + ": " + shortfall);
    return fail_errno(error, what);
  }
  return std::make_unique<VerbsRegion>(MemoryRegionHandle(raw), memory);
}

}  // namespace sluice::transport::verbs
