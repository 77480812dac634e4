#include "protocol/admin_messages.h"

#include <set>
#include <string_view>

#include <catch2/catch.hpp>

#include "tests/unit/protocol/sample_messages.h"

namespace sluice::protocol {
namespace {

template <typename Message>
Message sample() {
  for (const ControlMessage& message : test::sample_messages()) {
    if (const auto* found = std::get_if<Message>(&message)) return *found;
  }
  FAIL("there is no sample of this message");
  return {};
}

template <typename Message, typename Change>
bool is_consistent_after(Message message, Change&& change) {
  change(message);
  return message.is_consistent();
}

VolumeCommand command(VolumeVerb verb) {
  VolumeCommand command;
  command.verb = verb;
  command.name = *VolumeName::from("db");
  return command;
}

VolumeOrder order(OrderVerb verb) {
  VolumeOrder order;
  order.verb = verb;
  order.volume = VolumeId(11);
  return order;
}

TEST_CASE("a volume command has the fields of its verb, and no others", "[wire]") {
  CHECK_FALSE(is_consistent_after(command(VolumeVerb::remove), [](auto& m) { m.name = {}; }));

  const auto create = sample<VolumeCommand>();
  CHECK(create.is_consistent());
  CHECK_FALSE(is_consistent_after(create, [](auto& m) { m.block_size = 0; }));
  CHECK_FALSE(is_consistent_after(create, [](auto& m) { m.block_size = 513; }));
  CHECK_FALSE(is_consistent_after(create, [](auto& m) { m.block_size = kMinBlockSize / 2; }));
  CHECK_FALSE(is_consistent_after(create, [](auto& m) { m.block_size = 2 * kMaxBlockSize; }));
  CHECK_FALSE(is_consistent_after(create, [](auto& m) { m.size = ByteCount(0); }));
  CHECK_FALSE(is_consistent_after(create, [](auto& m) { m.size = ByteCount(4097); }));
  CHECK_FALSE(is_consistent_after(create, [](auto& m) { m.new_name = *VolumeName::from("db2"); }));
  CHECK_FALSE(is_consistent_after(create, [](auto& m) { m.allow_shrink = true; }));

  VolumeCommand resize = command(VolumeVerb::resize);
  CHECK_FALSE(resize.is_consistent());
  resize.size = ByteCount(8192);
  CHECK(resize.is_consistent());
  CHECK(is_consistent_after(resize, [](auto& m) { m.allow_shrink = true; }));
  CHECK_FALSE(is_consistent_after(resize, [](auto& m) { m.block_size = 4096; }));

  VolumeCommand rename = command(VolumeVerb::rename);
  CHECK_FALSE(rename.is_consistent());
  rename.new_name = *VolumeName::from("db2");
  CHECK(rename.is_consistent());
  CHECK_FALSE(is_consistent_after(rename, [](auto& m) { m.size = ByteCount(4096); }));

  for (const VolumeVerb verb : {VolumeVerb::remove, VolumeVerb::migrate, VolumeVerb::cancel_move}) {
    CHECK(command(verb).is_consistent());
    CHECK_FALSE(is_consistent_after(command(verb), [](auto& m) { m.size = ByteCount(4096); }));
  }
}

TEST_CASE("an order to a node has the fields of its verb, and no others", "[wire]") {
  const auto copy = sample<VolumeOrder>();
  CHECK(copy.is_consistent());
  CHECK_FALSE(is_consistent_after(copy, [](auto& m) { m.volume = VolumeId(0); }));
  CHECK_FALSE(is_consistent_after(copy, [](auto& m) { m.source.clear(); }));
  CHECK_FALSE(is_consistent_after(copy, [](auto& m) { m.gvn = Gvn(0); }));
  CHECK_FALSE(is_consistent_after(copy, [](auto& m) { m.size = ByteCount(0); }));
  CHECK_FALSE(is_consistent_after(copy, [](auto& m) { m.verb = OrderVerb::create; }));

  VolumeOrder create = order(OrderVerb::create);
  CHECK_FALSE(create.is_consistent());
  create.size = ByteCount(8192);
  create.block_size = 4096;
  CHECK(create.is_consistent());
  CHECK_FALSE(is_consistent_after(create, [](auto& m) { m.gvn = Gvn(1); }));
  CHECK_FALSE(is_consistent_after(create, [](auto& m) { m.verb = OrderVerb::remove; }));

  CHECK(order(OrderVerb::remove).is_consistent());
  CHECK_FALSE(is_consistent_after(order(OrderVerb::remove), [](auto& m) { m.block_size = 4096; }));
}

TEST_CASE("messages about a volume or a node name it", "[wire]") {
  CHECK_FALSE(is_consistent_after(sample<NodeCommand>(), [](auto& m) { m.node = NodeId(0); }));
  CHECK_FALSE(is_consistent_after(sample<VolumeStatusRequest>(), [](auto& m) { m.volume = VolumeId(0); }));
  CHECK_FALSE(is_consistent_after(sample<VolumeStatus>(), [](auto& m) { m.volume = VolumeId(0); }));
  CHECK_FALSE(is_consistent_after(sample<Heartbeat>(), [](auto& m) { m.node = NodeId(0); }));
  CHECK_FALSE(is_consistent_after(sample<Heartbeat>(), [](auto& m) { m.boot = BootId(0); }));
  CHECK_FALSE(is_consistent_after(sample<VolumeOrderAnswer>(), [](auto& m) { m.volume = VolumeId(0); }));
  CHECK_FALSE(is_consistent_after(sample<CopyReadAnswer>(), [](auto& m) { m.volume = VolumeId(0); }));
}

TEST_CASE("a piece of a copy is neither empty nor longer than a read may be", "[wire]") {
  const auto piece = sample<CopyRead>();
  CHECK(is_consistent_after(piece, [](auto& m) { m.length = kMaxDataLength; }));
  CHECK_FALSE(is_consistent_after(piece, [](auto& m) { m.length = kMaxDataLength + 1; }));
  CHECK_FALSE(is_consistent_after(piece, [](auto& m) { m.length = 0; }));
  CHECK_FALSE(is_consistent_after(piece, [](auto& m) { m.volume = VolumeId(0); }));
  CHECK_FALSE(is_consistent_after(piece, [](auto& m) { m.gvn = Gvn(0); }));
}

template <typename Verb>
void check_names() {
  std::set<std::string_view> names;
  for (std::uint8_t i = 0; i < 10; ++i) {
    const auto verb = static_cast<Verb>(i);
    CHECK(is_valid(verb) == (to_string(verb) != "unknown_verb"));
    if (is_valid(verb)) CHECK(names.insert(to_string(verb)).second);
  }
}

TEST_CASE("every verb has a name of its own", "[wire]") {
  check_names<VolumeVerb>();
  check_names<NodeVerb>();
  check_names<OrderVerb>();
}

}  // namespace
}  // namespace sluice::protocol
