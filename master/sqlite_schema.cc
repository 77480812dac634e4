#include "master/sqlite_schema.h"

#include <string>

#include "master/sqlite_database.h"

namespace sluice::master {
namespace {

/// In the file's header, so that nobody else's database is taken for ours: "SLCM".
constexpr std::uint64_t kApplicationId = 0x4d43'4c53;
constexpr std::uint64_t kSchemaVersion = 1;

constexpr const char* kSettings = R"sql(
  PRAGMA synchronous = FULL;
  PRAGMA trusted_schema = OFF;
  PRAGMA cell_size_check = ON;
)sql";

constexpr const char* kSchema = R"sql(
  CREATE TABLE cluster (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    manager_version INTEGER NOT NULL,
    highest_volume_id INTEGER NOT NULL);
  INSERT INTO cluster VALUES (1, 0, 0);
  CREATE TABLE volumes (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    block_size INTEGER NOT NULL,
    policy INTEGER NOT NULL,
    node INTEGER NOT NULL,
    moving_to INTEGER NOT NULL,
    has_storage INTEGER NOT NULL,
    resizing_to INTEGER NOT NULL,
    open_version INTEGER NOT NULL,
    current_gvn INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    era INTEGER NOT NULL);
  CREATE INDEX volumes_by_node ON volumes (node);
  CREATE INDEX volumes_by_target ON volumes (moving_to) WHERE moving_to <> 0;
  CREATE TABLE holders (
    volume INTEGER NOT NULL,
    position INTEGER NOT NULL,
    client TEXT NOT NULL,
    nonce INTEGER NOT NULL,
    gvn INTEGER NOT NULL,
    node INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    PRIMARY KEY (volume, position)) WITHOUT ROWID;
  CREATE TABLE unsettled_places (
    volume INTEGER NOT NULL,
    node INTEGER NOT NULL,
    last_gvn INTEGER NOT NULL,
    PRIMARY KEY (volume, node)) WITHOUT ROWID;
  CREATE TABLE nodes (
    id INTEGER PRIMARY KEY,
    draining INTEGER NOT NULL,
    capacity INTEGER NOT NULL,
    free INTEGER NOT NULL,
    reactors INTEGER NOT NULL,
    addresses TEXT NOT NULL);
  CREATE TABLE rolled_back_nodes (node INTEGER PRIMARY KEY);
  CREATE TABLE reported_fences (
    node INTEGER NOT NULL,
    volume INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    PRIMARY KEY (node, volume)) WITHOUT ROWID;
  PRAGMA application_id = 1296256083;
  PRAGMA user_version = 1;
)sql";
static_assert(kApplicationId == 1296256083 && kSchemaVersion == 1, "as the pragmas of the schema say");

Result<std::uint64_t> integer_of(SqliteDatabase& database, std::string_view query) {
  database.clear_error();
  std::uint64_t value = 0;
  {
    SqliteStatement statement = database.prepare(query);
    if (statement.step()) value = statement.integer(0);
  }
  if (database.error().code != StatusCode::ok) return tl::unexpected(database.error());
  return value;
}

Status keep_journal(SqliteDatabase& database) {
  database.clear_error();
  std::string mode;
  {
    SqliteStatement statement = database.prepare("PRAGMA journal_mode = PERSIST");
    if (statement.step()) mode = statement.text(0);
  }
  if (database.error().code != StatusCode::ok) return tl::unexpected(database.error());
  if (mode == "persist") return {};
  return fail(StatusCode::unavailable, "database " + database.path() +
                                           " can't keep a rollback journal, only \"" + mode +
                                           "\"; is another program using it?");
}

Status make_tables(SqliteDatabase& database) {
  const Result<std::uint64_t> version = integer_of(database, "PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  const Result<std::uint64_t> application = integer_of(database, "PRAGMA application_id");
  if (!application) return tl::unexpected(application.error());
  const Result<std::uint64_t> tables = integer_of(database, "SELECT count(*) FROM sqlite_master");
  if (!tables) return tl::unexpected(tables.error());
  if (*tables == 0 && *application == 0) return database.execute(kSchema);
  if (*application != kApplicationId) {
    return fail(StatusCode::malformed,
                "database " + database.path() + " is some other program's; name another file for the master");
  }
  if (*version != kSchemaVersion) {
    return fail(StatusCode::version_mismatch,
                "database " + database.path() + " has format " + std::to_string(*version) +
                    ", and this master knows only format " + std::to_string(kSchemaVersion) +
                    "; use the version of sluice that wrote it");
  }
  return {};
}

/// The file is small: a look at all of it costs nothing and finds damage before it is built upon.
Status look_for_damage(SqliteDatabase& database) {
  database.clear_error();
  std::string found;
  {
    SqliteStatement statement = database.prepare("PRAGMA quick_check(1)");
    if (statement.step()) found = statement.text(0);
  }
  if (database.error().code != StatusCode::ok) return tl::unexpected(database.error());
  if (found == "ok") return {};
  return fail(StatusCode::malformed,
              "database " + database.path() + " is damaged (" + found +
                  "); restore it from a backup; an old copy is safe, the nodes raise the "
                  "versions");
}

}  // namespace

Status prepare_database(SqliteDatabase& database) {
  if (Status set = database.execute(kSettings); !set) return set;
  if (Status kept = keep_journal(database); !kept) return kept;
  if (Status sound = look_for_damage(database); !sound) return sound;
  // Another master may be making the tables just now.
  if (Status begun = database.execute("BEGIN IMMEDIATE"); !begun) return begun;
  Status made = make_tables(database);
  if (made) made = database.execute("COMMIT");
  if (database.in_transaction()) static_cast<void>(database.execute("ROLLBACK"));
  return made;
}

}  // namespace sluice::master
