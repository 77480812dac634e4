#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "client/block_client.h"

namespace sluice::cli {

/// Page-aligned memory, registered with a client's devices for as long as it lives.
class RegisteredBuffers {
 public:
  /// `count` buffers of `bytes` each; `client` outlives them. Errors: out_of_memory.
  static Result<std::unique_ptr<RegisteredBuffers>> make(client::BlockClient& client, std::size_t count,
                                                         std::size_t bytes);
  RegisteredBuffers(const RegisteredBuffers&) = delete;
  RegisteredBuffers& operator=(const RegisteredBuffers&) = delete;
  /// Nothing of the client's may be under way in them.
  ~RegisteredBuffers();

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::span<std::byte> at(std::size_t index) const noexcept {
    return memory_.subspan(index * bytes_, bytes_);
  }

 private:
  RegisteredBuffers(client::BlockClient& client, std::span<std::byte> memory, std::size_t count,
                    std::size_t bytes) noexcept
      : client_(client), memory_(memory), count_(count), bytes_(bytes) {}

  client::BlockClient& client_;
  std::span<std::byte> memory_;
  std::size_t count_;
  std::size_t bytes_;
};

/// The error of a request that the client didn't take: why, and whether the volume is lost for good.
[[nodiscard]] tl::unexpected<Error> refused_request(const client::BlockClient& client, StatusCode status);

/// One request of a transfer.
struct Piece {
  enum class Kind : std::uint8_t { read, write, zeroes };
  Kind kind = Kind::read;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::span<std::byte> buffer;  ///< of which the first `length` bytes count; not for zeroes
};

/// Moves the whole of something into or out of a volume, with as many requests under way as there are
/// buffers.
class Transfer {
 public:
  /// Says what comes next, filling the buffer of a write; false: that was all.
  using Next = std::function<Result<bool>(Piece& piece)>;
  /// Takes what a request has done.
  using Done = std::function<Status(const Piece& piece)>;

  Transfer(client::BlockClient& client, RegisteredBuffers& buffers) : client_(client), buffers_(buffers) {}

  /// Errors: those of `next` and `done`, and a request's own. Whatever was under way has ended by then.
  Status run(const Next& next, const Done& done);

 private:
  Status submit(std::size_t index, const Next& next);
  Status reap(const Done& done);
  Status outcome_of(const client::Completion& completion, const Done& done);

  client::BlockClient& client_;
  RegisteredBuffers& buffers_;
  std::vector<Piece> pieces_;
  std::vector<std::size_t> idle_;
  bool is_exhausted_ = false;
};

}  // namespace sluice::cli
