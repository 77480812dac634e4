#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/control_messages.h"
#include "runtime/control_link.h"
#include "runtime/reactor.h"
#include "storage_node/backend.h"
#include "storage_node/backend_work.h"
#include "storage_node/io_memory.h"

namespace sluice::storage_node {

/// The new node's side of a move: fills a volume's storage with what its old node holds, several pieces at a
/// time, and in the end stores that the volume is complete, with the fence at which it was quiesced. Loses
/// nothing to a connection that breaks: what had no answer is asked for again. One thread.
class Copier final : private runtime::ControlHandler {
 public:
  /// What it goes through memory with: pieces of the longest transfer.
  static constexpr std::size_t kPieces = 4;

  /// `memory`: of kPieces * kMaxDataLength bytes.
  static Result<std::unique_ptr<Copier>> create(runtime::Reactor& reactor, const protocol::VolumeOrder& order,
                                                std::unique_ptr<VolumeStorage> storage, StagingRange memory);
  ~Copier() override;

  void tick(Instant now);
  /// Gives up; is_idle() follows.
  void cancel();

  [[nodiscard]] bool is_done() const noexcept { return phase_ == Phase::done; }
  [[nodiscard]] bool is_cancelled() const noexcept { return phase_ == Phase::cancelled; }
  /// Nothing of it is on its way any more: it may be destroyed.
  [[nodiscard]] bool is_idle() const noexcept;
  [[nodiscard]] std::unique_ptr<VolumeStorage> take_storage() noexcept { return std::move(storage_); }

  [[nodiscard]] ByteCount moved() const noexcept { return ByteCount(moved_); }
  /// Why it doesn't get on at the moment; empty if it does.
  [[nodiscard]] const std::string& trouble() const noexcept { return trouble_; }
  [[nodiscard]] const protocol::VolumeOrder& order() const noexcept { return order_; }

 private:
  enum class Phase : std::uint8_t { copying, flushing, storing, done, cancelled };

  struct Piece final : public BackendWork {
    enum class State : std::uint8_t { idle, to_ask, asked, writing };

    void on_backend_done(StatusCode status) override { copier->on_written(*this, status); }

    Copier* copier = nullptr;
    std::size_t index = 0;
    State state = State::idle;
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    std::uint64_t request = 0;  ///< the last one's id
    bool zeroes = false;
  };
  struct LastStep final : public BackendWork {
    void on_backend_done(StatusCode status) override { copier->on_last_step(status); }
    Copier* copier = nullptr;
  };

  Copier(runtime::Reactor& reactor, const protocol::VolumeOrder& order,
         std::unique_ptr<VolumeStorage> storage, StagingRange memory);

  void on_control_up(runtime::ControlLink& link) override;
  void on_control(runtime::ControlLink& link, const protocol::ControlFrame& frame) override;
  void on_control_down(runtime::ControlLink& link, const Error& why) override;
  void on_control_drained(runtime::ControlLink& link) override;

  void connect();
  void fill(Piece& piece);
  void ask(Piece& piece);
  void ask_all();
  void on_answer(Piece& piece, const protocol::CopyReadAnswer& answer);
  void write(Piece& piece);
  void on_written(Piece& piece, StatusCode status);
  void finish();
  void on_last_step(StatusCode status);
  [[nodiscard]] std::byte* data_of(const Piece& piece) const noexcept;

  runtime::Reactor& reactor_;
  protocol::VolumeOrder order_;
  std::unique_ptr<VolumeStorage> storage_;
  StagingRange memory_;
  std::unique_ptr<transport::ProtectionDomain> domain_;
  std::unique_ptr<transport::Region> region_;  ///< R4: goes before its memory

  Phase phase_ = Phase::copying;
  std::array<Piece, kPieces> pieces_;
  LastStep last_step_;
  std::uint64_t next_ = 0;  ///< the first byte that no piece has taken up
  std::uint64_t moved_ = 0;
  std::uint64_t last_request_ = 0;
  std::string trouble_;
  bool last_step_failed_ = false;
  bool flush_owed_ = false;  ///< P4: the old node says so

  std::size_t next_address_ = 0;
  Instant now_;
  Instant connect_at_;
  std::unique_ptr<runtime::ControlLink> link_;
};

}  // namespace sluice::storage_node
