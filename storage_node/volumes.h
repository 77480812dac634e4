#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "protocol/control_messages.h"
#include "storage_node/backend.h"
#include "storage_node/copier.h"
#include "storage_node/volume_server.h"

namespace sluice::storage_node {

/// A reactor's volumes: finds them when the node starts, gets hold of their locks, and does what the master
/// orders. Every order may come again, and then finds done what it asks for. One thread.
class Volumes {
 public:
  using AnswerOrder = std::function<void(protocol::RequestId, const protocol::VolumeOrderAnswer&)>;

  /// `answer_order`: also told now and then how far a copy is.
  Volumes(const VolumeServices& services, Backend& backend, std::size_t max_volumes,
          AnswerOrder answer_order);

  /// Reads what the backend holds. Errors: as Backend::list().
  Status load();

  [[nodiscard]] VolumeServer* find(VolumeId volume) noexcept;
  /// The fence that is left of a volume which was removed; 0 if there is none.
  [[nodiscard]] Gvn tombstone(VolumeId volume) const;
  void on_order(protocol::RequestId request, const protocol::VolumeOrder& order);
  void on_manager_version(ManagerVersion seen);
  /// P1: True: no open is under way, and every fence has been told. Else ask again, after the next turn.
  [[nodiscard]] bool prepare_hello();
  void tick(Instant now);

  void shut_down();
  [[nodiscard]] bool is_shut_down() const noexcept;

  [[nodiscard]] ManagerVersion manager_version() const noexcept { return seen_; }
  [[nodiscard]] std::size_t session_count() const noexcept;
  [[nodiscard]] std::size_t path_count() const noexcept;
  /// Of all volumes that are here now.
  [[nodiscard]] protocol::RefusalCounts refusals() const;
  /// See VolumeServer.
  bool send_backlogs();

 private:
  struct Copy {
    std::unique_ptr<Copier> copier;
    protocol::RequestId request;  ///< the latest order's
    Instant report_at;
  };

  [[nodiscard]] Status create(const protocol::VolumeOrder& order);
  [[nodiscard]] Status resize(const protocol::VolumeOrder& order);
  [[nodiscard]] Status remove(const protocol::VolumeOrder& order);
  void copy(protocol::RequestId request, const protocol::VolumeOrder& order);
  /// No copy is under way after it if the volume turned out to be complete.
  [[nodiscard]] Status start_copy(protocol::RequestId request, const protocol::VolumeOrder& order);
  void answer(protocol::RequestId request, VolumeId volume, const Status& status, ByteCount moved = {}) const;

  VolumeServer& add(const VolumeState& state);
  void try_to_lock(VolumeServer& volume);
  void tick_copies(Instant now);
  void report(Copy& copy, Instant now) const;

  VolumeServices services_;
  Backend& backend_;
  std::size_t max_volumes_;
  AnswerOrder answer_order_;
  ManagerVersion seen_;
  std::map<VolumeId, std::unique_ptr<VolumeServer>> volumes_;
  std::map<VolumeId, Copy> copies_;
  std::map<VolumeId, Gvn> tombstones_;
  Instant lock_at_;
  Instant lock_told_at_;  ///< when it was said which volumes' locks others have
  Instant now_;
  bool is_shutting_down_ = false;
};

}  // namespace sluice::storage_node
