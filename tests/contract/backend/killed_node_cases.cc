// F2: a killed process's IO lives on in the kernel, and its volumes' locks with it.

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage_node/backends/node_storage.h"
#include "tests/contract/backend/block_store.h"
#include "tests/contract/backend/mounts.h"
#include "tests/contract/backend/stage.h"
#include "tests/contract/backend/throttle.h"
#include "tests/contract/backend/writes_of_the_dead.h"

namespace sluice::storage_node::contract {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kSlow_bytes_per_s = 8U << 20U;
constexpr std::uint64_t kVolumeBytes = std::uint64_t{kDeadWrites} * kDeadWriteBytes;

/// contract_backend_writer, in a throttled control group.
class Writer {
 public:
  Writer(const Throttle& throttle, const StorageConfig& config) {
    std::string command = "echo $$ >" + throttle.processes_file() + "; exec " SLUICE_BACKEND_WRITER " " +
                          std::string(to_string(config.backend)) + " " + config.directory;
    for (const std::string& device : config.devices)
      command += " " + device;
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    output_ = ends[0];
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    kill();
    close(output_);
  }

  /// False: it ended without.
  [[nodiscard]] bool has_submitted() const {
    char byte = 0;
    return read(output_, &byte, 1) == 1;
  }
  /// SIGKILL, and waits until it is gone.
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    REQUIRE(waitpid(pid_, nullptr, 0) == pid_);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

/// The store that a Stage opens: whatever the configuration says.
class ConfiguredStore final : public Store {
 public:
  explicit ConfiguredStore(StorageConfig config) : config_(std::move(config)) {}
  using Store::open;
  std::unique_ptr<Backend> open(std::size_t reactor, std::size_t reactors) override {
    release();
    auto storage = NodeStorage::open(config_, {});
    INFO((storage ? "" : storage.error().describe()));
    REQUIRE(storage);
    storage_ = std::move(*storage);
    return storage_->open_backend(reactor, reactors).value();
  }
  [[nodiscard]] bool is_durable() const noexcept override { return true; }
  [[nodiscard]] std::size_t volume_count() const noexcept override { return 1; }
  [[nodiscard]] ByteCount volume_size() const noexcept override { return ByteCount(kVolumeBytes); }
  [[nodiscard]] std::uint32_t smallest_block() const noexcept override { return 512; }
  void release() { storage_.reset(); }

 private:
  StorageConfig config_;
  std::unique_ptr<NodeStorage> storage_;
};

void kill_a_writing_node(const StorageConfig& config, const std::string& slow_device) {
  const auto throttle = Throttle::make(slow_device, kSlow_bytes_per_s);
  if (throttle == nullptr) {
    skip("can't slow a device down here: no control group for block IO");
    return;
  }
  auto owned = std::make_unique<ConfiguredStore>(config);
  ConfiguredStore& store = *owned;
  Stage stage(std::move(owned));
  {
    // Written before, so that a file's blocks are allocated: the process's own threads, which it waits for
    // when it is killed, would do that.
    const auto volume = stage.create_and_open(kDeadVolume, 4096);
    for (std::uint32_t i = 0; i < kDeadWrites; ++i)
      REQUIRE(stage.write(*volume, std::uint64_t{i} * kDeadWriteBytes, filled(kDeadWriteBytes, 2)) ==
              StatusCode::ok);
  }
  stage.close();
  store.release();

  Writer writer(*throttle, config);
  REQUIRE(writer.has_submitted());
  writer.kill();
  const auto killed = Clock::now();

  // The data directory's lock is gone with the process, the volume's isn't.
  stage.restart();
  auto opened = stage.backend().open(kDeadVolume);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == StatusCode::busy);
  while (!opened) {
    REQUIRE(Clock::now() - killed < std::chrono::seconds(60));
    REQUIRE(opened.error().code == StatusCode::busy);
    std::this_thread::yield();
    opened = stage.backend().open(kDeadVolume);
  }
  const auto held = Clock::now() - killed;
  CHECK(held > std::chrono::milliseconds(200));

  // From now on nothing of the dead process lands: watched for as long as its IO lived on.
  const auto mine = filled(kDeadWriteBytes, 1);
  for (std::uint32_t i = 0; i < kDeadWrites; ++i)
    REQUIRE(stage.write(**opened, std::uint64_t{i} * kDeadWriteBytes, mine) == StatusCode::ok);
  for (const auto end = Clock::now() + held; Clock::now() < end;) {
    for (std::uint32_t i = 0; i < kDeadWrites; ++i)
      REQUIRE((stage.read(**opened, std::uint64_t{i} * kDeadWriteBytes, kDeadWriteBytes) == mine));
  }
}

TEST_CASE("A killed node's writes to a device hold its lock until the last has landed (F2, attack 13)") {
  const TemporaryDirectory temporary;
  const auto devices = TestDevices::make();
  REQUIRE(devices != nullptr);
  const std::string& device = devices->paths().at(0);
  blank(device);
  kill_a_writing_node(
      {.backend = BackendKind::block, .directory = temporary.path() + "/data", .devices = {device}}, device);
}

TEST_CASE("A killed node's writes to a file hold its lock until the last has landed (F2, attack 13)") {
  const auto disk = MountedImage::make("ext4", std::uint64_t{64} << 20U);
  if (disk == nullptr) {
    skip("can't mount an image here");
    return;
  }
  kill_a_writing_node({.backend = BackendKind::file, .directory = disk->path() + "/data"}, disk->device());
}

}  // namespace
}  // namespace sluice::storage_node::contract
