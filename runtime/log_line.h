#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "protocol/identifiers.h"

namespace sluice::runtime {

/// Builds a line of the log: words, then fields as key=value, so that a person and grep can read it.
///
///     log(LogLevel::info, LogLine("open granted").with("volume", id).with("gvn", gvn).text());
///     // open granted volume=12 gvn=3.17
class LogLine {
 public:
  explicit LogLine(std::string_view words) : text_(words) {}

  LogLine& with(std::string_view key, std::string_view value) {
    text_.append(" ").append(key).append("=");
    const bool is_word = !value.empty() && value.find_first_of(" \"") == std::string_view::npos;
    if (is_word) {
      text_.append(value);
    } else {
      quote(value);
    }
    return *this;
  }
  LogLine& with(std::string_view key, const char* value) { return with(key, std::string_view(value)); }
  LogLine& with(std::string_view key, std::uint64_t value) { return with(key, std::to_string(value)); }
  LogLine& with(std::string_view key, Gvn value) { return with(key, to_string(value)); }
  LogLine& with(std::string_view key, StatusCode value) { return with(key, to_string(value)); }
  template <typename Tag, typename Rep>
  LogLine& with(std::string_view key, Quantity<Tag, Rep> value) {
    return with(key, std::uint64_t{value.value()});
  }
  template <typename Tag, std::size_t MaxLength, char Lowest>
  LogLine& with(std::string_view key, const protocol::ShortName<Tag, MaxLength, Lowest>& value) {
    return with(key, value.view());
  }
  /// What went wrong, in words, at the end of the line.
  LogLine& because(const Error& error) {
    text_.append(": ").append(error.describe());
    return *this;
  }

  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  void quote(std::string_view value) {
    text_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') text_ += '\\';
      text_ += c;
    }
    text_ += '"';
  }

  std::string text_;
};

}  // namespace sluice::runtime
