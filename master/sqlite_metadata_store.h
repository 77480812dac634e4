#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "master/metadata_store.h"

namespace sluice::master {

class SqliteDatabase;

/// A master's metadata in a SQLite file, local or shared between candidates.
///
/// A rollback journal, not a write-ahead log: the log needs memory shared between the processes that use the
/// file, which candidates on two hosts don't have; the journal needs only the file system's locks. It is kept
/// and its header zeroed at commit (journal_mode PERSIST): with `synchronous=FULL` that zeroing is synced, so
/// that a commit survives a power cut, which the deletion of a journal file under FULL wouldn't.
/// Transactions begin with the write lock (BEGIN IMMEDIATE), and so are serialised across processes; whoever
/// has to wait longer than the busy timeout gets `unavailable`. One thread.
class SqliteMetadataStore final : public MetadataStore {
 public:
  static constexpr std::chrono::milliseconds kDefaultBusyTimeout{2000};

  /// Makes the file if there is none. Errors, each with what to do: malformed (damaged, or no database of
  /// sluice's), version_mismatch (written by another version), unavailable, permission_denied, no_space.
  static Result<std::unique_ptr<SqliteMetadataStore>> open(
      const std::string& path, std::chrono::milliseconds busy_timeout = kDefaultBusyTimeout);
  ~SqliteMetadataStore() override;

  [[nodiscard]] Result<ManagerVersion> manager_version() override;
  [[nodiscard]] Status update(ManagerVersion mine, const UpdateBody& body) override;

 private:
  explicit SqliteMetadataStore(std::unique_ptr<SqliteDatabase> database);

  std::unique_ptr<SqliteDatabase> database_;
};

}  // namespace sluice::master
