#include "protocol/overlap_index.h"

#include <algorithm>

namespace sluice::protocol {
namespace {

/// Spreads the ids, so that a treap over any set of them is balanced as if its priorities were drawn at
/// random (the finaliser of MurmurHash3).
std::uint32_t scramble(std::uint32_t id) noexcept {
  id ^= id >> 16U;
  id *= 0x85eb'ca6bU;
  id ^= id >> 13U;
  id *= 0xc2b2'ae35U;
  return id ^ (id >> 16U);
}

}  // namespace

OverlapIndex::OverlapIndex(Id capacity) : nodes_(capacity) {
  for (Id id = 0; id < capacity; ++id)
    nodes_[id].priority = scramble(id + 1);
}

bool OverlapIndex::add(Id id, ByteRange range, Access access) {
  Node& node = nodes_.at(id);
  check(!node.present, "an operation is added to the overlap index once");
  check(range.begin < range.end, "an operation in the overlap index covers at least a byte");
  node.range = range;
  node.access = access;
  node.arrival = next_arrival_++;
  node.present = true;
  const bool starts = wait_or_start(id);
  insert(id);
  return starts;
}

void OverlapIndex::clear() noexcept {
  for (Node& node : nodes_) {
    node.present = false;
    node.waiting = false;
    node.first_waiter = node.last_waiter = node.next_waiter = kNone;
  }
  root_ = kNone;
}

/// Returns the first of the operations that hung on it.
OverlapIndex::Id OverlapIndex::take_out(Id id) {
  Node& node = nodes_.at(id);
  check(node.present && !node.waiting, "only an operation that has started leaves the overlap index");
  root_ = erase(root_, id);
  node.present = false;
  const Id first = node.first_waiter;
  node.first_waiter = node.last_waiter = kNone;
  return first;
}

/// C1: hangs the operation on an earlier one that conflicts with it, if there is one.
bool OverlapIndex::wait_or_start(Id id) {
  Node& node = nodes_[id];
  node.next_waiter = kNone;
  const Id blocker = find_blocker(root_, node);
  node.waiting = blocker != kNone;
  if (!node.waiting) return true;
  Node& earlier = nodes_[blocker];
  if (earlier.last_waiter == kNone) {
    earlier.first_waiter = id;
  } else {
    nodes_[earlier.last_waiter].next_waiter = id;
  }
  earlier.last_waiter = id;
  return false;
}

bool OverlapIndex::conflicts(const Node& earlier, const Node& waiter) noexcept {
  return earlier.arrival < waiter.arrival && earlier.range.overlaps(waiter.range) &&
         (earlier.access == Access::exclusive || waiter.access == Access::exclusive);
}

/// The conflicting earlier operation with the highest key: of operations on one block that is the latest,
/// which makes them a chain.
OverlapIndex::Id OverlapIndex::find_blocker(Id root, const Node& waiter) {
  while (root != kNone) {
    ++visited_;
    const Node& node = nodes_[root];
    const Bounds& bounds = waiter.access == Access::exclusive ? node.all : node.exclusive;
    if (bounds.max_end <= waiter.range.begin || bounds.min_arrival >= waiter.arrival) return kNone;
    if (node.range.begin < waiter.range.end) {
      const Id above = find_blocker(node.right, waiter);
      if (above != kNone) return above;
      if (conflicts(node, waiter)) return root;
    }
    root = node.left;
  }
  return kNone;
}

bool OverlapIndex::key_below(Id a, Id b) const noexcept {
  const Node& x = nodes_[a];
  const Node& y = nodes_[b];
  return x.range.begin != y.range.begin ? x.range.begin < y.range.begin : x.arrival < y.arrival;
}

void OverlapIndex::insert(Id id) {
  Node& arrived = nodes_[id];
  Id* link = &root_;
  while (*link != kNone && nodes_[*link].priority >= arrived.priority) {
    ++visited_;
    Node& node = nodes_[*link];
    widen(node, arrived);
    link = key_below(id, *link) ? &node.left : &node.right;
  }
  const Halves halves = split(*link, id);
  arrived.left = halves.below;
  arrived.right = halves.above;
  update(id);
  *link = id;
}

OverlapIndex::Id OverlapIndex::erase(Id root, Id id) {
  check(root != kNone, "an operation in the overlap index is found by its key");
  ++visited_;
  Node& node = nodes_[root];
  if (root == id) return merge(node.left, node.right);
  if (key_below(id, root)) {
    node.left = erase(node.left, id);
  } else {
    node.right = erase(node.right, id);
  }
  update(root);
  return root;
}

OverlapIndex::Halves OverlapIndex::split(Id root, Id key) {
  if (root == kNone) return {};
  ++visited_;
  Node& node = nodes_[root];
  Halves halves;
  if (key_below(root, key)) {
    halves = split(node.right, key);
    node.right = halves.below;
    halves.below = root;
  } else {
    halves = split(node.left, key);
    node.left = halves.above;
    halves.above = root;
  }
  update(root);
  return halves;
}

OverlapIndex::Id OverlapIndex::merge(Id below, Id above) {
  if (below == kNone) return above;
  if (above == kNone) return below;
  ++visited_;
  if (nodes_[below].priority > nodes_[above].priority) {
    nodes_[below].right = merge(nodes_[below].right, above);
    update(below);
    return below;
  }
  nodes_[above].left = merge(below, nodes_[above].left);
  update(above);
  return above;
}

/// What an arrival below changes: cheaper than update(), which looks at both children.
void OverlapIndex::widen(Node& node, const Node& arrived) noexcept {
  node.all.max_end = std::max(node.all.max_end, arrived.range.end);
  node.all.min_arrival = std::min(node.all.min_arrival, arrived.arrival);
  if (arrived.access != Access::exclusive) return;
  node.exclusive.max_end = std::max(node.exclusive.max_end, arrived.range.end);
  node.exclusive.min_arrival = std::min(node.exclusive.min_arrival, arrived.arrival);
}

void OverlapIndex::update(Id id) noexcept {
  Node& node = nodes_[id];
  node.all = {node.range.end, node.arrival};
  node.exclusive = node.access == Access::exclusive ? node.all : Bounds{};
  for (const Id child : {node.left, node.right}) {
    if (child == kNone) continue;
    const Node& below = nodes_[child];
    node.all.max_end = std::max(node.all.max_end, below.all.max_end);
    node.all.min_arrival = std::min(node.all.min_arrival, below.all.min_arrival);
    node.exclusive.max_end = std::max(node.exclusive.max_end, below.exclusive.max_end);
    node.exclusive.min_arrival = std::min(node.exclusive.min_arrival, below.exclusive.min_arrival);
  }
}

}  // namespace sluice::protocol
