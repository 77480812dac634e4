#include "master/sqlite_metadata_store.h"

#include <utility>

#include "master/sqlite_database.h"
#include "master/sqlite_schema.h"
#include "master/sqlite_transaction.h"

namespace sluice::master {
namespace {

ManagerVersion stored_version(SqliteDatabase& database) {
  SqliteStatement statement = database.prepare("SELECT manager_version FROM cluster");
  return ManagerVersion(statement.step() ? static_cast<std::uint32_t>(statement.integer(0)) : 0);
}

/// Everything between BEGIN and COMMIT.
Status run_body(SqliteDatabase& database, ManagerVersion mine, const MetadataStore::UpdateBody& body) {
  const ManagerVersion stored = stored_version(database);
  if (database.error().code != StatusCode::ok) return tl::unexpected(database.error());
  if (stored != mine) {
    return fail(StatusCode::not_master, "another master has taken over: the manager version is " +
                                            std::to_string(stored.value()) + ", this one's is " +
                                            std::to_string(mine.value()));
  }
  SqliteTransaction transaction(database);
  Status status = body(transaction);
  // What the body made of a failed read means nothing.
  if (database.error().code != StatusCode::ok) return tl::unexpected(database.error());
  return status;
}

}  // namespace

Result<std::unique_ptr<SqliteMetadataStore>> SqliteMetadataStore::open(
    const std::string& path, std::chrono::milliseconds busy_timeout) {
  auto database = SqliteDatabase::open(path, busy_timeout);
  if (!database) return tl::unexpected(database.error());
  if (Status prepared = prepare_database(**database); !prepared) return tl::unexpected(prepared.error());
  return std::unique_ptr<SqliteMetadataStore>(new SqliteMetadataStore(std::move(*database)));
}

SqliteMetadataStore::SqliteMetadataStore(std::unique_ptr<SqliteDatabase> database)
    : database_(std::move(database)) {}

SqliteMetadataStore::~SqliteMetadataStore() = default;

Result<ManagerVersion> SqliteMetadataStore::manager_version() {
  database_->clear_error();
  const ManagerVersion stored = stored_version(*database_);
  if (database_->error().code != StatusCode::ok) return tl::unexpected(database_->error());
  return stored;
}

Status SqliteMetadataStore::update(ManagerVersion mine, const UpdateBody& body) {
  database_->clear_error();
  if (Status begun = database_->execute("BEGIN IMMEDIATE"); !begun) return begun;
  Status status = run_body(*database_, mine, body);
  if (status) {
    status = database_->execute("COMMIT");
    // Without the lock nothing was written. After any other failure only the next look at the file tells.
    if (!status && status.error().code != StatusCode::unavailable) {
      status = fail(StatusCode::outcome_unknown, status.error().message);
    }
  }
  if (database_->in_transaction()) static_cast<void>(database_->execute("ROLLBACK"));
  return status;
}

}  // namespace sluice::master
