#pragma once

#include "protocol/base/status.h"

namespace sluice::master {

class SqliteDatabase;

/// Prepares a connection: how it writes, and the tables, which it makes in an empty file. Errors: malformed,
/// version_mismatch, and those of the database.
[[nodiscard]] Status prepare_database(SqliteDatabase& database);

}  // namespace sluice::master
