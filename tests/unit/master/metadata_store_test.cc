// What every metadata store does, whatever it is built on.

#include <functional>
#include <memory>

#include "master/memory_metadata_store.h"
#include "master/sqlite_metadata_store.h"
#include "tests/unit/master/store_fixture.h"

namespace sluice::master::test {
namespace {

using protocol::NodeAddress;
using protocol::NodeId;
using protocol::VolumeName;
using protocol::VolumeRecord;

/// A store that several masters can use.
class Shared {
 public:
  virtual ~Shared() = default;
  virtual MetadataStore& handle() = 0;
  virtual MetadataStore& other_handle() = 0;
};

class SharedMemory final : public Shared {
 public:
  MetadataStore& handle() override { return store_; }
  MetadataStore& other_handle() override { return store_; }

 private:
  MemoryMetadataStore store_;
};

class SharedFile final : public Shared {
 public:
  SharedFile() {
    auto one = SqliteMetadataStore::open(directory_.file("master.db"));
    auto other = SqliteMetadataStore::open(directory_.file("master.db"));
    REQUIRE(one);
    REQUIRE(other);
    one_ = std::move(*one);
    other_ = std::move(*other);
  }
  MetadataStore& handle() override { return *one_; }
  MetadataStore& other_handle() override { return *other_; }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<SqliteMetadataStore> one_;
  std::unique_ptr<SqliteMetadataStore> other_;
};

void for_each_store(const std::function<void(Shared&)>& test) {
  SECTION("in memory") {
    SharedMemory shared;
    test(shared);
  }
  SECTION("in a SQLite file") {
    SharedFile shared;
    test(shared);
  }
}

std::vector<std::uint64_t> ids_of(const std::vector<VolumeRecord>& records) {
  std::vector<std::uint64_t> ids;
  for (const VolumeRecord& record : records)
    ids.push_back(record.id.value());
  return ids;
}

NodeRecord sample_node(std::uint64_t id) {
  NodeRecord node;
  node.id = NodeId(id);
  node.draining = true;
  node.capacity = ByteCount(UINT64_MAX);
  node.free = ByteCount(3);
  node.reactors = 4;
  node.addresses.push_back(*NodeAddress::from("10.0.0.1:7480"));
  node.addresses.push_back(*NodeAddress::from("[fe80::1]:7480"));
  return node;
}

}  // namespace

TEST_CASE("a new store has no version, no volume, no node", "[store]") {
  for_each_store([](Shared& shared) {
    CHECK(*shared.handle().manager_version() == ManagerVersion(0));
    change(shared.handle(), [](MetadataTransaction& transaction) -> Status {
      CHECK(transaction.highest_volume_id() == VolumeId(0));
      CHECK(transaction.volumes_after(VolumeId(0), 10).empty());
      CHECK(transaction.volume_count() == 0);
      CHECK(transaction.nodes().empty());
      CHECK(transaction.unsettled_places().empty());
      CHECK_FALSE(transaction.find_volume(VolumeId(1)));
      CHECK_FALSE(transaction.find_node(NodeId(1)));
      return {};
    });
  });
}

TEST_CASE("what is put is read again, every field of it", "[store]") {
  for_each_store([](Shared& shared) {
    const VolumeRecord volume = sample_volume(3, "db");
    change(shared.handle(), [&](MetadataTransaction& transaction) -> Status {
      transaction.put_volume(volume);
      transaction.put_highest_volume_id(VolumeId(3));
      transaction.put_node(sample_node(UINT64_MAX));
      transaction.put_unsettled({VolumeId(3), NodeId(UINT64_MAX), Gvn(UINT64_MAX)});
      transaction.put_reported_fence(NodeId(UINT64_MAX), {VolumeId(3), Gvn(UINT64_MAX)});
      transaction.put_rolled_back(NodeId(UINT64_MAX), true);
      // Already within the transaction.
      CHECK(transaction.find_volume(VolumeId(3)) == volume);
      return {};
    });
    change(shared.other_handle(), [&](MetadataTransaction& transaction) -> Status {
      CHECK(transaction.find_volume(VolumeId(3)) == volume);
      CHECK(transaction.find_volume(*VolumeName::from("db")) == volume);
      CHECK(transaction.highest_volume_id() == VolumeId(3));
      CHECK(transaction.find_node(NodeId(UINT64_MAX)) == sample_node(UINT64_MAX));
      REQUIRE(transaction.unsettled_places().size() == 1);
      CHECK(transaction.unsettled_places()[0] ==
            UnsettledPlace{VolumeId(3), NodeId(UINT64_MAX), Gvn(UINT64_MAX)});
      REQUIRE(transaction.reported_fences(NodeId(UINT64_MAX)).size() == 1);
      CHECK(transaction.reported_fences(NodeId(UINT64_MAX))[0].fence == Gvn(UINT64_MAX));
      CHECK(transaction.is_rolled_back(NodeId(UINT64_MAX)));
      return {};
    });
  });
}

TEST_CASE("what is put again replaces, and what is removed is gone but its id stays given", "[store]") {
  for_each_store([](Shared& shared) {
    change(shared.handle(), [](MetadataTransaction& transaction) -> Status {
      VolumeRecord volume = sample_volume(3, "db");
      transaction.put_volume(volume);
      transaction.put_highest_volume_id(VolumeId(3));
      volume.name = *VolumeName::from("renamed");
      volume.holders.clear();
      volume.moving_to = NodeId(0);
      transaction.put_volume(volume);
      CHECK(transaction.find_volume(VolumeId(3)) == volume);
      CHECK_FALSE(transaction.find_volume(*VolumeName::from("db")));
      CHECK(transaction.volume_count() == 1);
      transaction.put_unsettled({VolumeId(3), NodeId(1), Gvn(0)});
      transaction.put_unsettled({VolumeId(3), NodeId(1), Gvn(8)});
      CHECK(transaction.unsettled_places(VolumeId(3)).size() == 1);
      CHECK(transaction.unsettled_places(VolumeId(4)).empty());
      return {};
    });
    change(shared.handle(), [](MetadataTransaction& transaction) -> Status {
      transaction.remove_volume(VolumeId(3));
      transaction.settle(VolumeId(3), NodeId(1));
      transaction.put_rolled_back(NodeId(1), true);
      transaction.put_rolled_back(NodeId(1), true);
      transaction.put_rolled_back(NodeId(1), false);
      transaction.put_node(sample_node(4));
      transaction.remove_node(NodeId(4));
      return {};
    });
    change(shared.handle(), [](MetadataTransaction& transaction) -> Status {
      CHECK_FALSE(transaction.find_volume(VolumeId(3)));
      CHECK(transaction.highest_volume_id() == VolumeId(3));
      CHECK(transaction.unsettled_places().empty());
      CHECK_FALSE(transaction.is_rolled_back(NodeId(1)));
      CHECK(transaction.nodes().empty());
      // A volume of the same id would have no holders left over.
      VolumeRecord again;
      again.id = VolumeId(3);
      again.name = *VolumeName::from("again");
      transaction.put_volume(again);
      CHECK(transaction.find_volume(VolumeId(3))->holders.empty());
      return {};
    });
  });
}

TEST_CASE("lists are in the order of ids, and volumes come in parts", "[store]") {
  for_each_store([](Shared& shared) {
    change(shared.handle(), [](MetadataTransaction& transaction) -> Status {
      for (const std::uint64_t id : {5ULL, 1ULL, 9ULL, 3ULL}) {
        VolumeRecord volume = sample_volume(id, ("v" + std::to_string(id)).c_str());
        volume.node = NodeId(id);
        volume.moving_to = NodeId(id == 9 ? 1 : 0);
        transaction.put_volume(volume);
        transaction.put_node(sample_node(id == 9 ? UINT64_MAX : id));
        transaction.put_unsettled({VolumeId(id), NodeId(1), Gvn(0)});
      }
      return {};
    });
    change(shared.handle(), [](MetadataTransaction& transaction) -> Status {
      CHECK(ids_of(transaction.volumes_after(VolumeId(0), 2)) == std::vector<std::uint64_t>{1, 3});
      CHECK(ids_of(transaction.volumes_after(VolumeId(3), 9)) == std::vector<std::uint64_t>{5, 9});
      CHECK(transaction.volumes_after(VolumeId(UINT64_MAX), 9).empty());
      CHECK(ids_of(transaction.moving_volumes()) == std::vector<std::uint64_t>{9});
      CHECK(transaction.count_volumes_at(NodeId(1)) == 2);
      CHECK(transaction.count_volumes_at(NodeId(9)) == 1);
      CHECK(transaction.count_volumes_at(NodeId(2)) == 0);
      REQUIRE(transaction.nodes().size() == 4);
      CHECK(transaction.nodes().back().id == NodeId(UINT64_MAX));
      CHECK(transaction.unsettled_places()[0].volume == VolumeId(1));
      CHECK(transaction.unsettled_places()[3].volume == VolumeId(9));
      return {};
    });
  });
}

TEST_CASE("fences are kept for each node, and forgotten for one", "[store]") {
  for_each_store([](Shared& shared) {
    change(shared.handle(), [](MetadataTransaction& transaction) -> Status {
      transaction.put_reported_fence(NodeId(1), {VolumeId(4), Gvn(10)});
      transaction.put_reported_fence(NodeId(1), {VolumeId(4), Gvn(11)});
      transaction.put_reported_fence(NodeId(2), {VolumeId(4), Gvn(12)});
      transaction.forget_reported_fences(NodeId(2));
      return {};
    });
    change(shared.handle(), [](MetadataTransaction& transaction) -> Status {
      REQUIRE(transaction.reported_fences(NodeId(1)).size() == 1);
      CHECK(transaction.reported_fences(NodeId(1))[0].fence == Gvn(11));
      CHECK(transaction.reported_fences(NodeId(2)).empty());
      return {};
    });
  });
}

TEST_CASE("a body that fails changes nothing, and its error is told", "[store]") {
  for_each_store([](Shared& shared) {
    const Status failed =
        shared.handle().update(ManagerVersion(0), [](MetadataTransaction& transaction) -> Status {
          transaction.put_volume(sample_volume(1, "db"));
          transaction.put_manager_version(ManagerVersion(5));
          return fail(StatusCode::busy, "no");
        });
    CHECK(failed.error().code == StatusCode::busy);
    CHECK(*shared.handle().manager_version() == ManagerVersion(0));
    change(shared.other_handle(), [](MetadataTransaction& transaction) -> Status {
      CHECK(transaction.volume_count() == 0);
      return {};
    });
  });
}

TEST_CASE("P1: a transaction under another manager version than the stored one has no effect",
          "[store][P1]") {
  for_each_store([](Shared& shared) {
    change(shared.handle(), [](MetadataTransaction& transaction) -> Status {
      transaction.put_manager_version(ManagerVersion(1));
      return {};
    });
    // The other master takes over.
    REQUIRE(shared.other_handle().update(ManagerVersion(1), [](MetadataTransaction& transaction) -> Status {
      transaction.put_manager_version(ManagerVersion(2));
      return {};
    }));
    bool was_run = false;
    const Status late =
        shared.handle().update(ManagerVersion(1), [&](MetadataTransaction& transaction) -> Status {
          was_run = true;
          transaction.put_volume(sample_volume(1, "db"));
          return {};
        });
    CHECK(late.error().code == StatusCode::not_master);
    CHECK_FALSE(was_run);
    // One that only reads is no exception.
    const auto nothing = [](MetadataTransaction&) -> Status { return {}; };
    CHECK(shared.handle().update(ManagerVersion(1), nothing).error().code == StatusCode::not_master);
    CHECK(*shared.handle().manager_version() == ManagerVersion(2));
    CHECK(shared.handle().update(ManagerVersion(2), nothing));
  });
}

}  // namespace sluice::master::test
