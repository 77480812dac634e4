#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include <sqlite3.h>

#include "protocol/base/status.h"
#include "protocol/base/units.h"

namespace sluice::master {

/// One use of a prepared statement. Errors stick to the database (see SqliteDatabase::error): a step after
/// one gives no row. One at a time of each text.
class SqliteStatement {
 public:
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;
  ~SqliteStatement();

  /// Parameters and columns in their order. 64 bits are kept as they are, in SQLite's signed integers.
  SqliteStatement& bind(std::uint64_t value);
  SqliteStatement& bind(std::string_view value);
  template <typename Tag, typename Rep>
  SqliteStatement& bind(Quantity<Tag, Rep> value) {
    return bind(static_cast<std::uint64_t>(value.value()));
  }

  /// True: there is a row.
  bool step();
  [[nodiscard]] std::uint64_t integer(int column) const;
  [[nodiscard]] std::string_view text(int column) const;

 private:
  friend class SqliteDatabase;
  SqliteStatement(class SqliteDatabase& database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  SqliteDatabase& database_;
  sqlite3_stmt* statement_;  ///< the database's; null after an error
  int bound_ = 0;
};

/// A connection to a SQLite file. One thread.
class SqliteDatabase {
 public:
  /// `busy_timeout`: how long a transaction waits for one of another process.
  static Result<std::unique_ptr<SqliteDatabase>> open(const std::string& path,
                                                      std::chrono::milliseconds busy_timeout);
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;
  ~SqliteDatabase();

  /// `sql` is a literal: statements are prepared once, and found by it.
  [[nodiscard]] SqliteStatement prepare(std::string_view sql);
  /// Runs what gives no rows that matter, one statement or several. Errors don't stick.
  [[nodiscard]] Status execute(const char* sql);

  /// The first error of a statement since clear_error(); code ok: there was none.
  [[nodiscard]] const Error& error() const noexcept { return error_; }
  void clear_error() noexcept { error_ = {StatusCode::ok, {}}; }

  [[nodiscard]] bool in_transaction() const noexcept { return sqlite3_get_autocommit(handle_) == 0; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  friend class SqliteStatement;
  SqliteDatabase(std::string path, sqlite3* handle) : path_(std::move(path)), handle_(handle) {}

  /// What SQLite said last, and what can be done about it.
  [[nodiscard]] Error describe(int code) const;
  void note_error(int code);

  std::string path_;
  sqlite3* handle_;
  std::unordered_map<std::string_view, sqlite3_stmt*> statements_;
  Error error_{StatusCode::ok, {}};
};

}  // namespace sluice::master
