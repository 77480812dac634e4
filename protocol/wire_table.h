#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "protocol/limits.h"
#include "protocol/wire_codec.h"

/// Layouts as tables for the documentation, from the same field lists that the codec works on.
namespace sluice::protocol::wire {

/// Writes a message's fields as rows of a table: offset, size, type, name, meaning.
class TableWriter {
 public:
  template <NumberField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    row(name, sizeof(T), number_type(sizeof(T)), meaning);
  }
  template <BoolField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    row(name, 1, "bool", meaning);
  }
  template <QuantityField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    constexpr std::size_t kSize = sizeof(typename T::rep);
    row(name, kSize, number_type(kSize), meaning);
  }
  template <EnumField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    row(name, sizeof(T), number_type(sizeof(T)), meaning);
  }
  template <NameField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    row(name, 1 + T::kMaxLength, T::kMaxLength == kMaxTextLength ? "text" : "name", meaning);
  }
  template <VectorField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    using Element = typename T::value_type;
    std::string element = "name";
    if constexpr (!NameField<Element>) {
      TableWriter inner;
      const Element one{};
      Element::fields(one, inner);
      element = "{" + inner.names_ + "}";
    }
    row(name, 0, "list of up to " + std::to_string(T::kCapacity) + " " + element, meaning);
    offset_is_known_ = false;
  }
  void reserved(std::size_t count) { row("reserved", count, "zeroes", "0"); }

  [[nodiscard]] const std::string& rows() const noexcept { return rows_; }

 private:
  static std::string number_type(std::size_t size) { return "u" + std::to_string(size * 8); }

  void row(std::string_view name, std::size_t size, const std::string& type, std::string_view meaning) {
    rows_ += "| " + (offset_is_known_ ? std::to_string(offset_) : std::string("-")) + " | " +
             (size == 0 ? std::string("2 + elements") : std::to_string(size)) + " | " + type + " | " +
             std::string(name) + " | " + std::string(meaning) + " |\n";
    offset_ += size;
    names_ += (names_.empty() ? "" : ", ") + std::string(name) + " " + type;
  }

  std::string rows_;
  std::string names_;
  std::size_t offset_ = 0;
  bool offset_is_known_ = true;
};

/// A message's fields as a table in Markdown.
template <typename Message>
[[nodiscard]] std::string describe_fields() {
  TableWriter writer;
  const Message message{};
  Message::fields(message, writer);
  return "| offset | size | type | field | meaning |\n| --- | --- | --- | --- | --- |\n" + writer.rows() +
         "\n";
}

}  // namespace sluice::protocol::wire
