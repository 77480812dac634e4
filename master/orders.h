#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "master/metadata_store.h"
#include "protocol/base/clock.h"
#include "protocol/control_messages.h"

namespace sluice::master {

/// What is to be done about an unsettled place.
enum class Duty : std::uint8_t {
  none,       ///< the storage is as the record asks
  wait,       ///< as long as the volume is being moved away from here
  make,       ///< the storage of a new volume
  resize,     ///< the storage
  fill,       ///< a volume moves here: quiesce its old place, then copy
  give_back,  ///< the storage of a volume that isn't here any more; of one that was removed, quiesce it first
};

/// Follows from the records alone, so that every master comes to the same. `volume`: nothing if it was
/// removed.
[[nodiscard]] Duty duty_of(const std::optional<protocol::VolumeRecord>& volume, const UnsettledPlace& place);

/// How orders reach nodes.
class OrderPort {
 public:
  OrderPort() = default;
  OrderPort(const OrderPort&) = delete;
  OrderPort& operator=(const OrderPort&) = delete;
  virtual ~OrderPort() = default;

  /// Queues a message to a node that is up; it is lost if the node's connection is.
  virtual void send_to_node(protocol::NodeId node, const protocol::ControlFrame& frame) = 0;
  /// Where the node's volumes are reached, for a copy from it: as it last said. Empty: unknown.
  [[nodiscard]] virtual protocol::FixedVector<protocol::NodeAddress, protocol::kMaxPaths> addresses_of(
      protocol::NodeId node, VolumeId volume) = 0;
  [[nodiscard]] virtual ManagerVersion manager_version() const = 0;
};

/// What came of a duty. The place is unsettled until the store says otherwise.
struct DutyOutcome {
  VolumeId volume;
  protocol::NodeId node;
  Duty duty = Duty::none;
  Error error{StatusCode::ok, {}};  ///< code ok: done
  protocol::NodeId source;          ///< fill: the old place
  Gvn fence;                        ///< fill: at which the old place was quiesced
  bool will_retry = false;          ///< after an error: it is tried again by itself
};

/// The orders that nodes have yet to carry out: sent when their node is up, once more when it comes back or
/// some time after a failure that may pass; that a node is up and doesn't answer is one. Everything in here
/// follows from the store (see sync()), so that a master that takes over goes on where the last one stopped;
/// orders are idempotent at the nodes. One thread.
class Orders {
 public:
  static constexpr Duration kRetryInterval = std::chrono::seconds(5);
  /// Orders that a node is given at one time.
  static constexpr std::size_t kMaxOutstanding = 64;

  /// `timeout`: for a node's answer, or a sign of progress.
  Orders(OrderPort& port, Duration timeout) : port_(port), timeout_(timeout) {}

  /// The volume and its unsettled places, as the store has them now: after every change of either.
  void sync(VolumeId id, const std::optional<protocol::VolumeRecord>& volume,
            std::span<const UnsettledPlace> places);

  void on_node_up(protocol::NodeId node);
  void on_node_lost(protocol::NodeId node);
  /// Nothing is expected of it any more: it was removed.
  void forget_node(protocol::NodeId node);
  /// Of a node's answer; nothing if it is a late one, or only a step on the way.
  [[nodiscard]] std::optional<DutyOutcome> on_answer(protocol::NodeId node, protocol::RequestId id,
                                                     const protocol::QuiesceAnswer& answer);
  [[nodiscard]] std::optional<DutyOutcome> on_answer(protocol::NodeId node, protocol::RequestId id,
                                                     const protocol::VolumeOrderAnswer& answer);
  /// Gives up what has had no answer for too long, and tries again what is due for it.
  [[nodiscard]] std::vector<DutyOutcome> tick(Instant now);

  /// How far the volume's copy is.
  [[nodiscard]] ByteCount moved(VolumeId volume) const;
  [[nodiscard]] std::size_t size() const noexcept { return tasks_.size(); }

 private:
  using Key = std::pair<VolumeId, protocol::NodeId>;
  struct Task {
    Duty duty = Duty::none;
    protocol::VolumeOrder order;  ///< the manager version and the source are filled in when it is sent
    protocol::NodeId quiesce_at;  ///< 0: nothing to be quiesced, or it is
    Gvn quiesce_gvn;
    Gvn fence;                ///< of the place that was quiesced
    protocol::NodeId source;  ///< fill
    ByteCount moved;
    protocol::RequestId outstanding;  ///< 0: nothing was sent
    Instant answer_by;                ///< what is outstanding
    Instant not_before;

    /// Who is to do the next step.
    [[nodiscard]] protocol::NodeId next_node(protocol::NodeId place) const {
      return quiesce_at != protocol::NodeId(0) ? quiesce_at : place;
    }
    /// Whether it still says the same; how far it got doesn't count.
    [[nodiscard]] bool is_same_duty(const Task& other) const;
  };

  [[nodiscard]] static Task task_for(Duty duty, const std::optional<protocol::VolumeRecord>& volume,
                                     const UnsettledPlace& place);
  [[nodiscard]] std::map<Key, Task>::iterator find_outstanding(protocol::NodeId node, protocol::RequestId id);
  [[nodiscard]] static DutyOutcome outcome_of(const Key& key, const Task& task);
  [[nodiscard]] DutyOutcome failed(const Key& key, Task& task, Error error);
  [[nodiscard]] std::vector<DutyOutcome> give_up_unanswered();
  void forget_outstanding(const Key& key, Task& task);
  void send_due();
  void send(const Key& key, Task& task);

  OrderPort& port_;
  Duration timeout_;
  std::map<Key, Task> tasks_;
  std::map<protocol::NodeId, std::size_t> up_;  ///< nodes that are up, and what they have outstanding
  std::uint64_t last_request_ = 0;
  Instant now_;
};

}  // namespace sluice::master
