#include "transport/work_id.h"

#include <catch2/catch.hpp>

using sluice::transport::WorkId;
using sluice::transport::WorkKind;

TEST_CASE("a work id carries kind, endpoint, generation and slot through its 64 bits", "[transport]") {
  const WorkId id = WorkId(WorkKind::channel_send, WorkId::kMaxSlot, 0x12345).at_endpoint(0xfffe);
  const WorkId back = WorkId::from_bits(id.bits());
  CHECK(back == id);
  CHECK(back.kind() == WorkKind::channel_send);
  CHECK(back.slot() == WorkId::kMaxSlot);
  CHECK(back.generation() == 0x12345);
  CHECK(back.endpoint() == 0xfffe);
}

TEST_CASE("two uses of one slot have different work ids", "[transport]") {
  CHECK_FALSE(WorkId(WorkKind::channel_send, 7, 1) == WorkId(WorkKind::channel_send, 7, 2));
}

TEST_CASE("a work id prints itself", "[transport]") {
  CHECK(to_string(WorkId(WorkKind::channel_send, 17, 2).at_endpoint(3)) ==
        "channel_send endpoint=3 slot=17 generation=2");
  CHECK(to_string(WorkId(static_cast<WorkKind>(18), 0)) == "user+2 endpoint=0 slot=0 generation=0");
}
