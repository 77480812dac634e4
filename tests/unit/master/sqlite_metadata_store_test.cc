// What is special to the SQLite file: crashes, locks, damage, and other people's files.

#include "master/sqlite_metadata_store.h"

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/open_service.h"
#include "tests/unit/master/store_fixture.h"

namespace sluice::master::test {
namespace {

using protocol::NodeId;
using protocol::OpenService;
using protocol::VolumeRecord;
using std::chrono_literals::operator""ms;

std::unique_ptr<SqliteMetadataStore> open_store(const std::string& path) {
  auto store = SqliteMetadataStore::open(path, 50ms);
  INFO((store ? std::string() : store.error().describe()));
  REQUIRE(store);
  return std::move(*store);
}

void run_sql(const std::string& path, const char* sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  CHECK(sqlite3_exec(database, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
}

/// Runs `work` in a child process that is killed, as hard as can be, once it has told that it has come to the
/// point; nothing of it is undone in order.
void run_and_kill(const std::function<void(const std::function<void()>& stop_here)>& work) {
  std::array<int, 2> pipe_fds{};
  REQUIRE(pipe(pipe_fds.data()) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    work([&] {
      const char there = 'x';
      if (write(pipe_fds[1], &there, 1) != 1) _exit(2);
      for (;;)
        pause();
    });
    _exit(3);
  }
  close(pipe_fds[1]);
  char there = 0;
  CHECK(read(pipe_fds[0], &there, 1) == 1);
  close(pipe_fds[0]);
  kill(child, SIGKILL);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
}

}  // namespace

TEST_CASE("what was committed is there after the process was killed, what wasn't is not", "[store][crash]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("master.db");
  run_and_kill([&](const auto& stop_here) {
    auto store = SqliteMetadataStore::open(path);
    if (!store) return;
    static_cast<void>((*store)->update(ManagerVersion(0), [](MetadataTransaction& transaction) -> Status {
      transaction.put_manager_version(ManagerVersion(1));
      transaction.put_volume(sample_volume(1, "kept"));
      return {};
    }));
    static_cast<void>((*store)->update(ManagerVersion(1), [&](MetadataTransaction& transaction) -> Status {
      transaction.put_manager_version(ManagerVersion(9));
      // More than the page cache takes, so that pages of the open transaction are in the file already.
      for (std::uint64_t id = 2; id < 9000; ++id)
        transaction.put_volume(sample_volume(id, ("lost-" + std::to_string(id)).c_str()));
      stop_here();
      return {};
    }));
  });
  CHECK(std::filesystem::file_size(path) > 1'000'000);  // they were
  const auto store = open_store(path);
  CHECK(*store->manager_version() == ManagerVersion(1));
  change(*store, [](MetadataTransaction& transaction) -> Status {
    CHECK(transaction.volume_count() == 1);
    CHECK(transaction.find_volume(VolumeId(1)) == sample_volume(1, "kept"));
    return {};
  });
}

TEST_CASE("a transaction waits for another process's only so long", "[store]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("master.db");
  const auto one = open_store(path);
  const auto other = open_store(path);
  const Status status = one->update(ManagerVersion(0), [&](MetadataTransaction&) -> Status {
    const Status waited = other->update(ManagerVersion(0), [](MetadataTransaction&) -> Status { return {}; });
    CHECK(waited.error().code == StatusCode::unavailable);
    CHECK_THAT(waited.error().message, Catch::Contains("another process"));
    return {};
  });
  CHECK(status);
  CHECK(other->update(ManagerVersion(0), [](MetadataTransaction&) -> Status { return {}; }));
}

TEST_CASE("two volumes of one name are never put, neither replaces the other", "[store]") {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.file("master.db"));
  const Status twice = store->update(ManagerVersion(0), [](MetadataTransaction& transaction) -> Status {
    transaction.put_volume(sample_volume(1, "db"));
    transaction.put_volume(sample_volume(2, "db"));
    return {};
  });
  CHECK_FALSE(twice);
  change(*store, [](MetadataTransaction& transaction) -> Status {
    CHECK(transaction.volume_count() == 0);
    return {};
  });
}

TEST_CASE("a file that can't be used is refused with what is wrong and what to do", "[store]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("master.db");
  const auto error_of = [&] {
    const auto store = SqliteMetadataStore::open(path, 50ms);
    REQUIRE_FALSE(store);
    CHECK_THAT(store.error().message, Catch::Contains(path));
    return store.error();
  };
  SECTION("no directory") {
    const auto store = SqliteMetadataStore::open(directory.file("nowhere/master.db"), 50ms);
    REQUIRE_FALSE(store);
    CHECK(store.error().code == StatusCode::unavailable);
    CHECK_THAT(store.error().message, Catch::Contains("directory"));
  }
  SECTION("no database") {
    std::ofstream(path) << std::string(10'000, 'x');
    CHECK(error_of().code == StatusCode::malformed);
  }
  SECTION("somebody else's database") {
    run_sql(path, "CREATE TABLE stamps (id INTEGER)");
    CHECK_THAT(error_of().message, Catch::Contains("some other program"));
  }
  SECTION("of a later version") {
    open_store(path);
    run_sql(path, "PRAGMA user_version = 7");
    const Error error = error_of();
    CHECK(error.code == StatusCode::version_mismatch);
    CHECK_THAT(error.message, Catch::Contains("format 7"));
  }
  SECTION("damaged") {
    {
      const auto store = open_store(path);
      change(*store, [](MetadataTransaction& transaction) -> Status {
        for (std::uint64_t id = 1; id < 500; ++id)
          transaction.put_volume(sample_volume(id, ("v" + std::to_string(id)).c_str()));
        return {};
      });
    }
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(8192);
    file << std::string(40'000, '\xee');
    file.close();
    const Error error = error_of();
    CHECK(error.code == StatusCode::malformed);
    CHECK_THAT(error.message, Catch::Contains("backup"));
  }
}

TEST_CASE("a file that is damaged under a running master gives errors, not answers", "[store]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("master.db");
  const auto store = open_store(path);
  OpenService master(*store);
  REQUIRE(master.take_over());
  std::filesystem::resize_file(path, 100);
  const auto looked = master.while_in_charge([&](ManagerVersion mine) {
    return store->update(mine, [](MetadataTransaction& transaction) -> Status {
      static_cast<void>(transaction.find_volume(VolumeId(1)));
      return {};
    });
  });
  CHECK_FALSE(looked);
}

TEST_CASE("P1: of two masters on one file only the last that took over can commit or verify",
          "[store][P1][attack-25][attack-26]") {
  const TemporaryDirectory directory;
  const auto file_of_one = open_store(directory.file("master.db"));
  const auto file_of_other = open_store(directory.file("master.db"));
  change(*file_of_one, [](MetadataTransaction& transaction) -> Status {
    VolumeRecord volume = sample_volume(1, "db");
    volume.node = NodeId(5);
    volume.moving_to = NodeId(0);
    volume.has_storage = true;
    volume.resizing_to = ByteCount(0);
    volume.open_version = OpenVersion(0);
    volume.current_gvn = Gvn(0);
    volume.holders.clear();
    transaction.put_volume(volume);
    transaction.put_highest_volume_id(VolumeId(1));
    return {};
  });
  protocol::Hello hello;
  hello.node = NodeId(5);
  hello.boot = protocol::BootId(50);
  protocol::OpenRequest request;
  request.name = *protocol::VolumeName::from("db");
  request.client = *protocol::ClientId::from("a");
  request.nonce = protocol::Nonce(1);

  OpenService one(*file_of_one);
  OpenService other(*file_of_other);
  REQUIRE(one.take_over());
  REQUIRE(one.on_hello(hello)->status == StatusCode::ok);
  const protocol::OpenAnswer first = one.on_open(request);
  REQUIRE(first.status == StatusCode::ok);
  REQUIRE(other.take_over());
  CHECK(
      one.on_verify({VolumeId(1), first.gvn, request.client, request.nonce, NodeId(5), protocol::BootId(50)})
          .status == StatusCode::not_master);
  CHECK(one.on_open(request).status == StatusCode::not_master);
  REQUIRE(other.on_hello(hello)->status == StatusCode::ok);
  CHECK(
      other
          .on_verify({VolumeId(1), first.gvn, request.client, request.nonce, NodeId(5), protocol::BootId(50)})
          .status == StatusCode::ok);
}

TEST_CASE("a master on an old copy of the file learns from hello how far things had come",
          "[store][attack-27]") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("master.db");
  const std::string backup = directory.file("backup.db");
  protocol::Hello hello;
  hello.node = NodeId(5);
  hello.boot = protocol::BootId(50);
  protocol::OpenRequest request;
  request.name = *protocol::VolumeName::from("db");
  request.client = *protocol::ClientId::from("a");
  request.steal = true;
  Gvn highest;
  {
    const auto store = open_store(path);
    change(*store, [](MetadataTransaction& transaction) -> Status {
      VolumeRecord volume;
      volume.id = VolumeId(1);
      volume.name = *protocol::VolumeName::from("db");
      volume.size = ByteCount(4096);
      volume.node = NodeId(5);
      transaction.put_volume(volume);
      transaction.put_highest_volume_id(VolumeId(1));
      return {};
    });
    OpenService master(*store);
    REQUIRE(master.take_over());
    REQUIRE(master.on_hello(hello)->status == StatusCode::ok);
    std::filesystem::copy_file(path, backup);
    for (std::uint64_t nonce = 1; nonce <= 5; ++nonce) {
      request.nonce = protocol::Nonce(nonce);
      highest = master.on_open(request).gvn;
    }
    REQUIRE(highest != Gvn(0));
  }
  std::filesystem::remove(path + "-journal");
  std::filesystem::copy_file(backup, path, std::filesystem::copy_options::overwrite_existing);
  const auto store = open_store(path);
  OpenService restored(*store);
  REQUIRE(restored.take_over());
  CHECK(restored.on_open(request).status == StatusCode::unavailable);  // before the node has said what it saw
  hello.manager_version = manager_version(highest);
  hello.fences.push_back({VolumeId(1), highest});
  hello.fences.push_back({VolumeId(4), highest});  // one made after the copy was taken
  REQUIRE(restored.on_hello(hello)->status == StatusCode::ok);
  request.nonce = protocol::Nonce(9);
  CHECK(restored.on_open(request).gvn > highest);
  change(*store, [](MetadataTransaction& transaction) -> Status {
    CHECK(transaction.highest_volume_id() == VolumeId(4));  // its id isn't given again
    return {};
  });
}

}  // namespace sluice::master::test
