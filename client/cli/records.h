#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/units.h"
#include "protocol/identifiers.h"

namespace sluice::cli {

using Json = nlohmann::ordered_json;

/// What a command shows of one thing: each value for machines and in words for people.
class Record {
 public:
  Record& add(std::string key, const std::string& text) { return add(std::move(key), Json(text), text); }
  Record& add(std::string key, const char* text) { return add(std::move(key), std::string(text)); }
  Record& add(std::string key, std::uint64_t number) {
    return add(std::move(key), Json(number), std::to_string(number));
  }
  Record& add(std::string key, bool is_so) { return add(std::move(key), Json(is_so), is_so ? "yes" : "no"); }
  /// Random 64 bits; as a string in JSON too, where many readers have 53 bits for a number.
  Record& add(std::string key, protocol::NodeId id) {
    return add(std::move(key), std::to_string(id.value()));
  }
  /// Bytes; for people with a binary unit.
  Record& add(std::string key, ByteCount size);
  Record& add(std::string key, Json value, std::string text);

  [[nodiscard]] Json json() const;

  struct Cell {
    std::string key;
    Json value;
    std::string text;
  };
  [[nodiscard]] const std::vector<Cell>& cells() const noexcept { return cells_; }

 private:
  std::vector<Cell> cells_;
};

/// Where and in what form a command's results are shown.
class Output {
 public:
  Output(std::ostream& out, bool json) : out_(out), json_(json) {}

  [[nodiscard]] bool is_json() const noexcept { return json_; }

  /// A table with the columns in this order, or an array of objects. Each record has each column's key.
  void list(const std::vector<std::string>& columns, const std::vector<Record>& records);
  /// Lines of "key: value", or an object.
  void show(const Record& record);
  /// Something that has been done. JSON: an object with `record`'s values alone.
  void done(const std::string& sentence, const Record& record = {});

 private:
  std::ostream& out_;
  bool json_;
};

}  // namespace sluice::cli
