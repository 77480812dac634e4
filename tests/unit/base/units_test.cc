#include "protocol/base/units.h"

#include <catch2/catch.hpp>

using sluice::Gvn;
using sluice::ManagerVersion;
using sluice::OpenVersion;

TEST_CASE("a GVN orders by manager version first, then by open version", "[base]") {
  const Gvn low = sluice::make_gvn(ManagerVersion(1), OpenVersion(0xffff'ffff));
  const Gvn high = sluice::make_gvn(ManagerVersion(2), OpenVersion(0));
  CHECK(low < high);
  CHECK(sluice::manager_version(low) == ManagerVersion(1));
  CHECK(sluice::open_version(low) == OpenVersion(0xffff'ffff));
  CHECK(to_string(low) == "1.4294967295");
  CHECK(Gvn() == sluice::make_gvn(ManagerVersion(0), OpenVersion(0)));
}
