#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <catch2/catch.hpp>

#include "master/metadata_store.h"

namespace sluice::master::test {

/// A directory that goes with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-master-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string file(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// A volume in which every field says something.
inline protocol::VolumeRecord sample_volume(std::uint64_t id, const char* name) {
  protocol::VolumeRecord volume;
  volume.id = VolumeId(id);
  volume.name = *protocol::VolumeName::from(name);
  volume.size = ByteCount(1ULL << 40U);
  volume.block_size = 512;
  volume.policy = protocol::WritePolicy::write_back;
  volume.node = protocol::NodeId(UINT64_MAX - 1);
  volume.moving_to = protocol::NodeId(7);
  volume.has_storage = false;
  volume.resizing_to = ByteCount(1ULL << 41U);
  volume.open_version = OpenVersion(UINT32_MAX);
  volume.current_gvn = Gvn(UINT64_MAX);
  volume.mode = protocol::AccessMode::read_only;
  volume.era = Gvn(UINT64_MAX - 5);
  for (std::uint64_t i = 1; i <= protocol::kMaxVolumeSessions; ++i) {
    volume.holders.push_back(protocol::Holder{*protocol::ClientId::from("client-" + std::to_string(i)),
                                              protocol::Nonce(UINT64_MAX - i), Gvn(i), protocol::NodeId(i),
                                              protocol::BootId(UINT64_MAX)});
  }
  return volume;
}

/// Changes that must succeed.
inline void change(MetadataStore& store, const MetadataStore::UpdateBody& body) {
  const auto version = store.manager_version();
  REQUIRE(version);
  const Status changed = store.update(*version, body);
  INFO((changed ? std::string() : changed.error().describe()));
  REQUIRE(changed);
}

}  // namespace sluice::master::test
