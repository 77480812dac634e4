#include "client/cli/records.h"

#include <algorithm>

#include "runtime/sizes.h"

namespace sluice::cli {
namespace {

/// "moving_to" as a column's head: "MOVING TO".
std::string head(std::string key) {
  for (char& c : key) {
    if (c == '_') c = ' ';
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return key;
}

std::string words(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  return key;
}

std::string trim_end(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string dump(const Json& json) {
  // A name may hold any bytes, a file's for instance: what isn't UTF-8 is replaced.
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Record& Record::add(std::string key, ByteCount size) {
  return add(std::move(key), Json(size.value()), runtime::format_size(size));
}

Record& Record::add(std::string key, Json value, std::string text) {
  cells_.push_back({std::move(key), std::move(value), std::move(text)});
  return *this;
}

Json Record::json() const {
  Json object = Json::object();
  for (const Cell& cell : cells_)
    object[cell.key] = cell.value;
  return object;
}

void Output::list(const std::vector<std::string>& columns, const std::vector<Record>& records) {
  if (json_) {
    Json array = Json::array();
    for (const Record& record : records)
      array.push_back(record.json());
    out_ << dump(array) << "\n";
    return;
  }
  std::vector<std::vector<std::string>> rows(1);
  for (const std::string& column : columns)
    rows[0].push_back(head(column));
  for (const Record& record : records) {
    std::vector<std::string>& row = rows.emplace_back(columns.size());
    for (std::size_t i = 0; i < columns.size(); ++i) {
      for (const Record::Cell& cell : record.cells()) {
        if (cell.key == columns[i]) row[i] = cell.text;
      }
    }
  }
  std::vector<std::size_t> widths(columns.size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  }
  for (auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i].resize(widths[i], ' ');
      line += (i == 0 ? "" : "  ") + row[i];
    }
    out_ << trim_end(line) << "\n";
  }
}

void Output::show(const Record& record) {
  if (json_) {
    out_ << dump(record.json()) << "\n";
    return;
  }
  std::size_t width = 0;
  for (const Record::Cell& cell : record.cells())
    width = std::max(width, cell.key.size());
  for (const Record::Cell& cell : record.cells()) {
    std::string name = words(cell.key) + ":";
    name.resize(width + 1, ' ');
    out_ << trim_end(name + " " + cell.text) << "\n";
  }
}

void Output::done(const std::string& sentence, const Record& record) {
  if (json_) {
    out_ << dump(record.json()) << "\n";
  } else {
    out_ << sentence << "\n";
  }
}

}  // namespace sluice::cli
