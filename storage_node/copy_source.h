#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "protocol/control_messages.h"
#include "storage_node/backend_work.h"
#include "storage_node/control_desk.h"
#include "storage_node/io_memory.h"
#include "storage_node/volume_server.h"

namespace sluice::storage_node {

/// The old node's side of a move: reads pieces of a quiesced volume and WRITEs them into the new node's
/// memory, then answers. Pieces that find no memory, or no room, are asked for again by the other side. One
/// thread.
class CopySource {
 public:
  CopySource(runtime::Reactor& reactor, IoMemory& memory, ControlDesk& desk)
      : reactor_(reactor), memory_(memory), desk_(desk) {}
  CopySource(const CopySource&) = delete;
  CopySource& operator=(const CopySource&) = delete;
  ~CopySource() = default;

  /// `volume`: the one that `read` names, or null.
  void on_read(const ControlAsker& asker, const protocol::CopyRead& read, VolumeServer* volume);
  void on_sent(std::uint64_t tag);
  void on_gone(ConnectionId connection);
  /// Sends what had no room before.
  void tick();

  [[nodiscard]] std::size_t pieces() const noexcept { return pieces_.size(); }

 private:
  struct Piece final : public BackendWork {
    Piece(CopySource& copier, const ControlAsker& who, const protocol::CopyRead& what, VolumeServer& where,
          IoBuffer memory)
        : source(copier), asker(who), read(what), volume(where), data(std::move(memory)) {}
    void on_backend_done(StatusCode status) override { source.on_data(*this, status); }

    CopySource& source;
    ControlAsker asker;
    protocol::CopyRead read;
    VolumeServer& volume;
    IoBuffer data;
    std::uint64_t number = 0;
    bool is_reading = true;
    bool is_sending = false;
    protocol::CopyReadAnswer answer;
  };

  void on_data(Piece& piece, StatusCode status);
  void send(Piece& piece);
  void refuse(const ControlAsker& asker, const protocol::CopyRead& read, StatusCode why);
  Result<transport::LocalBuffer> local(const Piece& piece);

  runtime::Reactor& reactor_;
  IoMemory& memory_;
  ControlDesk& desk_;
  std::map<std::uint64_t, std::unique_ptr<Piece>> pieces_;  ///< by number
  std::uint64_t last_number_ = 0;
  std::map<runtime::Rail, std::unique_ptr<transport::Region>> regions_;  ///< the node's buffers
};

}  // namespace sluice::storage_node
