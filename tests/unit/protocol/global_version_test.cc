#include "protocol/global_version.h"

#include <limits>

#include <catch2/catch.hpp>

#include "protocol/fixed_vector.h"
#include "protocol/identifiers.h"

namespace sluice::protocol {
namespace {

constexpr std::uint32_t kLast = std::numeric_limits<std::uint32_t>::max();

TEST_CASE("P2: open versions rise by one and end at their maximum", "[version]") {
  CHECK(next_open_version(OpenVersion(0)) == OpenVersion(1));
  CHECK(next_open_version(OpenVersion(kLast - 1)) == OpenVersion(kLast));
  const auto beyond = next_open_version(OpenVersion(kLast));
  REQUIRE(!beyond);
  CHECK(beyond.error().code == StatusCode::exhausted);
  CHECK(beyond.error().message.find("4294967295") != std::string::npos);
}

TEST_CASE("P1: manager versions rise by one and end at their maximum", "[version]") {
  CHECK(next_manager_version(ManagerVersion(7)) == ManagerVersion(8));
  CHECK(next_manager_version(ManagerVersion(kLast)).error().code == StatusCode::exhausted);
}

TEST_CASE("P3: a fence is raised and never lowered", "[version]") {
  Fence fence;
  CHECK(fence.is_below(Gvn(1)));
  CHECK(!fence.is_below(Gvn(0)));
  fence.raise(Gvn(5));
  CHECK(fence.value() == Gvn(5));
  CHECK(!fence.is_below(Gvn(5)));
  CHECK(fence.is_below(make_gvn(ManagerVersion(1), OpenVersion(0))));
  fence.raise(Gvn(std::numeric_limits<std::uint64_t>::max()));
  CHECK(!fence.is_below(Gvn(std::numeric_limits<std::uint64_t>::max())));
}

TEST_CASE("short names are printable ASCII up to their length", "[version]") {
  CHECK(ClientId::from("host-1/qemu-7")->view() == "host-1/qemu-7");
  CHECK(ClientId::from("")->empty());
  CHECK(ClientId::from(std::string(63, 'x')));
  CHECK(!ClientId::from(std::string(64, 'x')));
  CHECK(!ClientId::from("a b"));
  CHECK(!ClientId::from("a\x7f"));
  CHECK(!ClientId::from("a\xc3\xa9"));
  CHECK(*ClientId::from("a") < *ClientId::from("b"));
}

TEST_CASE("a fixed vector compares by what it holds", "[version]") {
  FixedVector<int, 2> a;
  FixedVector<int, 2> b;
  CHECK(a == b);
  a.push_back(1);
  CHECK_FALSE(a == b);
  b.push_back(2);
  CHECK_FALSE(a == b);
  b.clear();
  b.push_back(1);
  CHECK(a == b);
  CHECK(!a.full());
  a.push_back(2);
  CHECK(a.full());
  a.pop_back();
  a[0] = 9;
  CHECK(std::as_const(a)[0] == 9);
}

}  // namespace
}  // namespace sluice::protocol
