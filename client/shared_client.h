#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "client/block_client.h"
#include "protocol/base/status.h"

namespace sluice::client {

/// A BlockClient for many threads: a thread of its own does the IO and keeps the paths alive, and every call
/// may come from any thread at any time. One session serves all of them, so that a write that has completed
/// is visible to every thread, and a flush covers what has completed before it, whoever wrote it.
class SharedClient final : public BlockingIo {
 public:
  /// Told of the outcome on the client's own thread: it must not wait or throw, and may submit.
  using Callback = void (*)(void* context, StatusCode status);

  /// As BlockClient::open. Start it after fork(): its thread wouldn't be in the child.
  static Result<std::unique_ptr<SharedClient>> open(const BlockClientConfig& config);

  /// Closes the volume if close() hasn't.
  ~SharedClient() override;

  /// As BlockClient::close(), and within the same time whatever happens; then the thread has ended. Calls
  /// that come after it, or are still waiting at its end, fail (`shutting_down`, `outcome_unknown`).
  Status close();

  [[nodiscard]] VolumeInfo info() const;
  [[nodiscard]] std::vector<PathInfo> paths() const;
  [[nodiscard]] ConnectionState state() const;

  // --- Asynchronous: `callback(context, status)` is called once, unless the call itself is refused:
  // queue_full (four times `queue_depth` calls are outstanding), shutting_down.

  [[nodiscard]] StatusCode read_async(std::uint64_t offset, std::span<std::byte> into, Callback callback,
                                      void* context) noexcept;
  [[nodiscard]] StatusCode write_async(std::uint64_t offset, std::span<const std::byte> data,
                                       Durability durability, Callback callback, void* context) noexcept;
  [[nodiscard]] StatusCode flush_async(Callback callback, void* context) noexcept;
  [[nodiscard]] StatusCode discard_async(std::uint64_t offset, std::uint64_t length, Durability durability,
                                         Callback callback, void* context) noexcept;
  [[nodiscard]] StatusCode write_zeroes_async(std::uint64_t offset, std::uint64_t length,
                                              Durability durability, Callback callback,
                                              void* context) noexcept;

 private:
  class Implementation;
  explicit SharedClient(std::unique_ptr<Implementation> implementation);
  Status run(const IoRequestArgs& args) override;

  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sluice::client
