#include "protocol/wire_format.h"

#include <concepts>
#include <type_traits>

namespace sluice::protocol {
namespace {

/// Writes a message's fields as rows of a table: offset, size, type, name, meaning.
class TableWriter {
 public:
  template <wire::NumberField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    row(name, sizeof(T), number_type(sizeof(T)), meaning);
  }
  template <wire::BoolField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    row(name, 1, "bool", meaning);
  }
  template <wire::QuantityField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    constexpr std::size_t kSize = sizeof(typename T::rep);
    row(name, kSize, number_type(kSize), meaning);
  }
  template <wire::EnumField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    row(name, sizeof(T), number_type(sizeof(T)), meaning);
  }
  template <wire::NameField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    row(name, 1 + T::kMaxLength, T::kMaxLength == kMaxTextLength ? "text" : "name", meaning);
  }
  template <wire::VectorField T>
  void operator()(std::string_view name, const T& /*value*/, std::string_view meaning) {
    using Element = typename T::value_type;
    std::string element = "name";
    if constexpr (!wire::NameField<Element>) {
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

template <typename Message>
std::string table() {
  TableWriter writer;
  const Message message{};
  Message::fields(message, writer);
  return "| offset | size | type | field | meaning |\n| --- | --- | --- | --- | --- |\n" + writer.rows() +
         "\n";
}

template <typename... Message>
std::string control_tables(std::type_identity<std::variant<Message...>> /*messages*/) {
  std::string text;
  ((text += "### " + std::string(to_string(Message::kType)) + " (type " +
            std::to_string(static_cast<unsigned>(Message::kType)) + ")\n\n" + table<Message>()),
   ...);
  return text;
}

template <typename... Message>
std::string private_data_tables(std::type_identity<std::variant<Message...>> /*messages*/) {
  std::string text;
  ((text += "### " + std::string(to_string(Message::kKind)) + " (kind " +
            std::to_string(static_cast<unsigned>(Message::kKind)) + ")\n\n" + table<Message>()),
   ...);
  return text;
}

std::string status_table() {
  constexpr unsigned kMoreThanAny = 256;
  std::string text = "| code | name |\n| --- | --- |\n";
  for (unsigned number = 0; number < kMoreThanAny; ++number) {
    const auto code = static_cast<StatusCode>(number);
    if (is_valid(code)) text += "| " + std::to_string(number) + " | " + std::string(to_string(code)) + " |\n";
  }
  return text;
}

}  // namespace

std::string describe_wire_format() {
  return R"(# Wire format

This page is generated from the field lists that the encoders and decoders work on, and a test compares the
two. Numbers are little-endian without padding. A *name* is one length byte and 63 bytes (a *text*: 191) of printable
ASCII, zero padded. A *bool* is one byte, 0 or 1. A *list* is a 16-bit count and that many elements. Reserved bytes
are 0. Checksums are CRC32C (Castagnoli). A receiver checks every field and refuses what it doesn't expect.

## IO frames

A request is the first 64 bytes of a SEND on a path; the data of an in-capsule write follows it. A response is
the answer, on the same connection.

### request

)" + table<wire::RawIoRequest>() +
         "### response\n\n" + table<wire::RawIoResponse>() +
         R"(## Private data of a path's connection

Attach travels with the connection request, accept and reject with its answer. What follows `length` bytes is
ignored, because private data may arrive longer than it was sent.

### header

)" + table<wire::PrivateDataHeader>() +
         private_data_tables(std::type_identity<PrivateData>{}) + R"(## Control messages

Each is one SEND of at most )" +
         std::to_string(kMaxControlSize) +
         R"( bytes: the header, then the body. Offsets below the header count
from the start of the body.

### header

)" + table<wire::ControlHeader>() +
         control_tables(std::type_identity<ControlMessage>{}) + "## Status codes\n\n" + status_table();
}

}  // namespace sluice::protocol
