#include "protocol/path_set.h"

#include <set>
#include <string>

#include <catch2/catch.hpp>

namespace sluice::protocol {
namespace {

using std::chrono::milliseconds;

constexpr PathId kFirst{0};
constexpr PathId kSecond{1};

PathAccept grant(std::uint16_t depth, std::uint32_t in_capsule, std::uint16_t slots) {
  PathAccept accept;
  accept.depth = depth;
  accept.in_capsule_limit = in_capsule;
  if (slots > 0) accept.slots.push_back({65536, slots});
  return accept;
}

struct TwoPaths {
  TwoPaths() { paths.reset(2, now); }
  void up(PathId path, const PathAccept& accept) {
    paths.connect(path);
    paths.accept(path, accept, PathTag(1), now);
  }
  Instant now{0};
  PathSet paths{Backoff{milliseconds(100), milliseconds(300)}};
};

}  // namespace

TEST_CASE("every path state has a name of its own", "[path_set]") {
  std::set<std::string_view> names;
  for (const PathState state : {PathState::down, PathState::connecting, PathState::up, PathState::dying})
    names.insert(to_string(state));
  CHECK(names.size() == 4);
  CHECK(to_string(static_cast<PathState>(9)) == "unknown_path_state");
}

TEST_CASE("a request goes to the path with the fewest in flight that has room and a slot", "[path_set]") {
  TwoPaths two;
  CHECK_FALSE(two.paths.choose(0).has_value());
  two.up(kFirst, grant(2, 4096, 1));
  two.up(kSecond, grant(1, 4096, 0));
  CHECK(two.paths.choose(0) == kFirst);
  const SlotIndex slot = two.paths.take(kFirst, 8192);
  CHECK(slot == SlotIndex(0));
  CHECK(two.paths.choose(0) == kSecond);
  CHECK_FALSE(two.paths.choose(8192).has_value());  // no slot on either
  CHECK(two.paths.take(kSecond, 4096) == kNoSlot);
  CHECK(two.paths.choose(4096) == kFirst);  // the second is full
  two.paths.give_back(kFirst, slot);
  two.paths.give_back(kSecond, kNoSlot);
  CHECK(two.paths.choose(8192) == kFirst);
}

TEST_CASE("a path connects again only when destroyed, later after every failure, under a higher epoch",
          "[path_set]") {
  TwoPaths two;
  REQUIRE(two.paths.may_connect(kFirst, two.now));
  CHECK_FALSE(two.paths.may_connect(PathId(2), two.now));
  CHECK(two.paths.connect(kFirst) == PathEpoch(1));
  CHECK_FALSE(two.paths.may_connect(kFirst, two.now));
  two.paths.kill(kFirst);
  CHECK(two.paths.any_in(PathState::dying));
  CHECK_FALSE(two.paths.all_down());
  CHECK(two.paths.is_current(kFirst, PathEpoch(1), PathState::dying));
  CHECK_FALSE(two.paths.is_current(kFirst, PathEpoch(2), PathState::dying));
  CHECK_FALSE(two.paths.is_current(PathId(200), PathEpoch(1), PathState::dying));
  two.paths.destroy(kFirst, two.now);
  for (const int wait_ms : {0, 100, 200, 300, 300}) {
    CAPTURE(wait_ms);
    const Instant due = two.now + milliseconds(wait_ms);
    if (wait_ms > 0) CHECK_FALSE(two.paths.may_connect(kFirst, due - Duration(1)));
    REQUIRE(two.paths.may_connect(kFirst, due));
    two.now = due;
    two.paths.connect(kFirst);
    two.paths.refuse(kFirst, two.now);
  }
  CHECK(two.paths.epoch(kFirst) == PathEpoch(6));
  // A node that accepts and says nothing isn't stormed either; one that has spoken is tried again at once.
  for (const bool has_spoken : {false, true}) {
    two.now = two.now + milliseconds(300);
    two.up(kFirst, grant(1, 4096, 0));
    if (has_spoken) two.paths.heard(kFirst, two.now);
    two.paths.kill(kFirst);
    two.paths.destroy(kFirst, two.now);
    CHECK(two.paths.may_connect(kFirst, two.now) == has_spoken);
  }
  two.paths.reset(1, two.now);
  CHECK(two.paths.connect(kFirst) == PathEpoch(9));
}

}  // namespace sluice::protocol
