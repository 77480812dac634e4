#include "runtime/log_text.h"

#include <array>
#include <cstdint>
#include <cstdio>

namespace sluice::runtime {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

struct Lead {
  std::size_t length;     ///< bytes of the character
  std::uint8_t least;     ///< what its second byte may be: shuts out overlong forms, surrogates and what lies
  std::uint8_t greatest;  ///< beyond U+10FFFF (Unicode 15, table 3-7)
};

Lead lead_of(std::uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte >= 0xc2 && byte <= 0xdf) return {2, 0x80, 0xbf};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte >= 0xe1 && byte <= 0xef) return {3, 0x80, 0xbf};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte >= 0xf1 && byte <= 0xf3) return {4, 0x80, 0xbf};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0, 0, 0};
}

/// Bytes of the well-formed character that `text` starts with; 0 if there is none.
std::size_t character_length(std::string_view text) {
  const Lead lead = lead_of(static_cast<std::uint8_t>(text.front()));
  if (lead.length > text.size()) return 0;
  for (std::size_t i = 1; i < lead.length; ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    const std::uint8_t least = i == 1 ? lead.least : 0x80;
    const std::uint8_t greatest = i == 1 ? lead.greatest : 0xbf;
    if (byte < least || byte > greatest) return 0;
  }
  return lead.length;
}

std::string escape_control(char c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default: {
      std::array<char, 8> text{};
      static_cast<void>(std::snprintf(text.data(), text.size(), "\\u%04x", static_cast<unsigned>(c)));
      return text.data();
    }
  }
}

std::string escape(std::string_view message, std::string_view also_escaped) {
  std::string escaped;
  escaped.reserve(message.size());
  while (!message.empty()) {
    const std::size_t length = character_length(message);
    const char first = message.front();
    if (length == 0) {
      escaped += kReplacement;
    } else if (length == 1 && (static_cast<std::uint8_t>(first) < 0x20 || first == 0x7f)) {
      escaped += escape_control(first);
    } else if (length == 1 && also_escaped.find(first) != std::string_view::npos) {
      escaped += '\\';
      escaped += first;
    } else {
      escaped += message.substr(0, length);
    }
    message.remove_prefix(length == 0 ? 1 : length);
  }
  return escaped;
}

}  // namespace

std::string escape_line(std::string_view message) {
  return escape(message, {});
}

std::string escape_json(std::string_view message) {
  return escape(message, "\"\\");
}

}  // namespace sluice::runtime
