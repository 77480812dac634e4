#include "client/cli/transfer.h"

#include <array>
#include <cerrno>
#include <chrono>

#include <sys/mman.h>

#include "client/cli/interrupt.h"

namespace sluice::cli {

Result<std::unique_ptr<RegisteredBuffers>> RegisteredBuffers::make(client::BlockClient& client,
                                                                   std::size_t count, std::size_t bytes) {
  const std::size_t total = count * bytes;
  void* const mapped = mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return fail_errno(errno, "get " + std::to_string(total) + " bytes of buffers");
  const std::span<std::byte> memory(static_cast<std::byte*>(mapped), total);
  if (Status registered = client.register_memory(memory); !registered) {
    munmap(mapped, total);
    return tl::unexpected(registered.error());
  }
  return std::unique_ptr<RegisteredBuffers>(new RegisteredBuffers(client, memory, count, bytes));
}

RegisteredBuffers::~RegisteredBuffers() {
  static_cast<void>(client_.unregister_memory(memory_));
  munmap(memory_.data(), memory_.size());
}

tl::unexpected<Error> refused_request(const client::BlockClient& client, StatusCode status) {
  if (client.state() != client::ConnectionState::ended) {
    return fail(status, "the volume takes no requests: " + std::string(to_string(status)));
  }
  const bool is_fenced = client.end_reason() == StatusCode::stale_version;
  return fail(status, "the session ended: " + std::string(to_string(client.end_reason())) +
                          (is_fenced ? ", because another client has taken the volume" : ""));
}

Status Transfer::run(const Next& next, const Done& done) {
  pieces_.assign(buffers_.count(), {});
  idle_.clear();
  for (std::size_t i = 0; i < buffers_.count(); ++i)
    idle_.push_back(i);
  is_exhausted_ = false;

  Status outcome;
  while (outcome && !(is_exhausted_ && client_.outstanding() == 0)) {
    while (outcome && !is_exhausted_ && !idle_.empty())
      outcome = submit(idle_.back(), next);
    if (outcome && client_.outstanding() > 0) outcome = reap(done);
    if (outcome) outcome = InterruptGuard::check();
  }
  // The buffers are the device's until each request has completed.
  while (client_.outstanding() > 0)
    static_cast<void>(reap([](const Piece& /*piece*/) { return Status{}; }));
  return outcome;
}

Status Transfer::submit(std::size_t index, const Next& next) {
  Piece& piece = pieces_[index];
  piece = {.kind = Piece::Kind::read, .offset = 0, .length = 0, .buffer = buffers_.at(index)};
  const Result<bool> more = next(piece);
  if (!more) return tl::unexpected(more.error());
  is_exhausted_ = !*more;
  if (is_exhausted_) return {};

  StatusCode taken = StatusCode::ok;
  switch (piece.kind) {
    case Piece::Kind::read:
      taken = client_.submit_read(index, piece.offset, piece.buffer.first(piece.length));
      break;
    case Piece::Kind::write:
      taken = client_.submit_write(index, piece.offset, piece.buffer.first(piece.length));
      break;
    case Piece::Kind::zeroes:
      taken = client_.submit_write_zeroes(index, piece.offset, piece.length);
      break;
  }
  if (taken != StatusCode::ok) {
    return refused_request(client_, taken);
  }
  idle_.pop_back();
  return {};
}

Status Transfer::reap(const Done& done) {
  std::array<client::Completion, 32> completions;
  const std::size_t count = client_.poll(completions, std::chrono::seconds(1));
  Status outcome;
  for (const client::Completion& completion : std::span(completions).first(count)) {
    Status one = outcome_of(completion, done);
    if (outcome) outcome = one;
    idle_.push_back(completion.tag);
  }
  return outcome;
}

Status Transfer::outcome_of(const client::Completion& completion, const Done& done) {
  const Piece& piece = pieces_[completion.tag];
  if (completion.status == StatusCode::ok) return done(piece);
  const char* const kind = piece.kind == Piece::Kind::read ? "read" : "write";
  return fail(completion.status, std::string(to_string(completion.status)) + ": " + kind + " of " +
                                     std::to_string(piece.length) + " bytes at " +
                                     std::to_string(piece.offset) + " of the volume");
}

}  // namespace sluice::cli
