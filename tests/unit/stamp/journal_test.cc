#include "client/stamp/journal.h"

#include <filesystem>
#include <string>

#include <catch2/catch.hpp>
#include <unistd.h>

namespace sluice::stamp {
namespace {

/// A file name of its own, and no file at the end.
class TemporaryPath {
 public:
  TemporaryPath()
      : path_(std::filesystem::temp_directory_path() / ("sluice-journal-" + std::to_string(getpid()))) {
    std::filesystem::remove(path_);
  }
  TemporaryPath(const TemporaryPath&) = delete;
  TemporaryPath& operator=(const TemporaryPath&) = delete;
  ~TemporaryPath() { std::filesystem::remove(path_); }
  [[nodiscard]] std::string text() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST_CASE("a journal is found again as it was left", "[stamp]") {
  const TemporaryPath path;
  {
    auto journal = Journal::open(path.text(), 16, Journal::Use::load);
    REQUIRE(journal);
    REQUIRE((*journal)->note_sent(3, 5));
    REQUIRE((*journal)->note_acknowledged(3, 4));
  }
  auto journal = Journal::open(path.text(), 16, Journal::Use::load);
  REQUIRE(journal);
  CHECK((*journal)->of(3).sent == 5);
  CHECK((*journal)->of(3).acknowledged == 4);
  CHECK((*journal)->of(2).sent == 0);
}

// A load that was stopped, and goes on when another one has gone on with its journal, would take back what
// that one noted.
TEST_CASE("a journal is used by one load at a time", "[stamp]") {
  const TemporaryPath path;
  {
    const auto stopped = Journal::open(path.text(), 16, Journal::Use::load);
    REQUIRE(stopped);
    const auto next = Journal::open(path.text(), 16, Journal::Use::load);
    REQUIRE_FALSE(next);
    CHECK(next.error().code == StatusCode::busy);
    CHECK(next.error().message.find(path.text()) != std::string::npos);
    CHECK(Journal::open(path.text(), 16, Journal::Use::check));
  }
  CHECK(Journal::open(path.text(), 16, Journal::Use::load));
}

TEST_CASE("a journal for another number of blocks is refused", "[stamp]") {
  const TemporaryPath path;
  REQUIRE(Journal::open(path.text(), 16, Journal::Use::load));
  const auto other = Journal::open(path.text(), 17, Journal::Use::load);
  REQUIRE_FALSE(other);
  CHECK(other.error().code == StatusCode::invalid_argument);
  CHECK(other.error().message.find("16 blocks, not 17") != std::string::npos);
}

TEST_CASE("a journal that can't be made names its place", "[stamp]") {
  const auto journal = Journal::open("/nonexistent/journal", 16, Journal::Use::load);
  REQUIRE_FALSE(journal);
  CHECK(journal.error().message.find("/nonexistent/journal") != std::string::npos);
}

}  // namespace
}  // namespace sluice::stamp
