#include "master/sqlite_database.h"

#include "protocol/base/check.h"

namespace sluice::master {

// --- Statements --------------------------------------------------------------------------------------

SqliteStatement::~SqliteStatement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);  // its code is that of the last step, which was looked at
  sqlite3_clear_bindings(statement_);
}

SqliteStatement& SqliteStatement::bind(std::uint64_t value) {
  if (statement_ == nullptr) return *this;
  const int code = sqlite3_bind_int64(statement_, ++bound_, static_cast<sqlite3_int64>(value));
  check(code == SQLITE_OK, "a statement has a parameter for each value bound");
  return *this;
}

SqliteStatement& SqliteStatement::bind(std::string_view value) {
  if (statement_ == nullptr) return *this;
  // A null pointer would be SQL's NULL.
  const char* const text = value.empty() ? "" : value.data();
  const int code =
      sqlite3_bind_text(statement_, ++bound_, text, static_cast<int>(value.size()), SQLITE_TRANSIENT);
  check(code == SQLITE_OK, "a statement has a parameter for each value bound");
  return *this;
}

bool SqliteStatement::step() {
  if (statement_ == nullptr) return false;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_.note_error(code);
  return false;
}

std::uint64_t SqliteStatement::integer(int column) const {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column));
}

std::string_view SqliteStatement::text(int column) const {
  const auto* const bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int length = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, static_cast<std::size_t>(length));
}

// --- The database ------------------------------------------------------------------------------------

Result<std::unique_ptr<SqliteDatabase>> SqliteDatabase::open(const std::string& path,
                                                             std::chrono::milliseconds busy_timeout) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  if (handle == nullptr) return fail(StatusCode::out_of_memory, "no memory to open the database " + path);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(path, handle));
  if (code != SQLITE_OK) return tl::unexpected(database->describe(code));
  sqlite3_busy_timeout(handle, static_cast<int>(busy_timeout.count()));
  return database;
}

SqliteDatabase::~SqliteDatabase() {
  for (const auto& [sql, statement] : statements_)
    sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

SqliteStatement SqliteDatabase::prepare(std::string_view sql) {
  const auto found = statements_.find(sql);
  if (found != statements_.end()) return {*this, found->second};
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) {
    note_error(code);
    return {*this, nullptr};
  }
  statements_.emplace(sql, statement);
  return {*this, statement};
}

Status SqliteDatabase::execute(const char* sql) {
  const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return tl::unexpected(describe(code));
  return {};
}

void SqliteDatabase::note_error(int code) {
  if (error_.code == StatusCode::ok) error_ = describe(code);
}

Error SqliteDatabase::describe(int code) const {
  const std::string what = "database " + path_ + ": " + sqlite3_errmsg(handle_);
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {StatusCode::unavailable, what + "; another process has held it for too long"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {StatusCode::malformed,
              what +
                  "; it is damaged or no database: restore it from a backup; an old copy is safe, the nodes "
                  "raise the versions"};
    case SQLITE_FULL:
      return {StatusCode::no_space, what + "; make room on its disk"};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {StatusCode::permission_denied, what + "; the master needs to write it and its directory"};
    case SQLITE_CANTOPEN:
      return {StatusCode::unavailable, what + "; does its directory exist, and may the master write there?"};
    case SQLITE_NOMEM:
      return {StatusCode::out_of_memory, what};
    default:
      return {StatusCode::io_error, what};
  }
}

}  // namespace sluice::master
