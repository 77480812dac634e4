#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace sluice::transport::contract {

/// Counts the heap allocations and the locks that this thread takes while one of these is alive, whoever in
/// the process calls them. The program interposes malloc and its family and the pthread locks: see
/// call_counter.cc.
class CallCounter {
 public:
  CallCounter() noexcept;
  CallCounter(const CallCounter&) = delete;
  CallCounter& operator=(const CallCounter&) = delete;
  ~CallCounter() { stop(); }
  void stop() noexcept;

  /// "malloc from libfabric.so.1" -> count. Callers in this program itself, our code, are "us"; operator new
  /// is malloc from libstdc++.
  [[nodiscard]] std::map<std::string, std::uint64_t> by_caller() const;
};

}  // namespace sluice::transport::contract
