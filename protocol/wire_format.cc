#include "protocol/wire_format.h"

#include <type_traits>

#include "protocol/wire_table.h"

namespace sluice::protocol {
namespace {

template <typename... Message>
std::string control_tables(std::type_identity<std::variant<Message...>> /*messages*/) {
  std::string text;
  ((text += "### " + std::string(to_string(Message::kType)) + " (type " +
            std::to_string(static_cast<unsigned>(Message::kType)) + ")\n\n" +
            wire::describe_fields<Message>()),
   ...);
  return text;
}

template <typename... Message>
std::string private_data_tables(std::type_identity<std::variant<Message...>> /*messages*/) {
  std::string text;
  ((text += "### " + std::string(to_string(Message::kKind)) + " (kind " +
            std::to_string(static_cast<unsigned>(Message::kKind)) + ")\n\n" +
            wire::describe_fields<Message>()),
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

)" + wire::describe_fields<wire::RawIoRequest>() +
         "### response\n\n" + wire::describe_fields<wire::RawIoResponse>() +
         R"(## Private data of a path's connection

Attach travels with the connection request, accept and reject with its answer. What follows `length` bytes is
ignored, because private data may arrive longer than it was sent.

### header

)" + wire::describe_fields<wire::PrivateDataHeader>() +
         private_data_tables(std::type_identity<PrivateData>{}) + R"(## Control messages

Each is one SEND of at most )" +
         std::to_string(kMaxControlSize) +
         R"( bytes: the header, then the body. Offsets below the header count
from the start of the body.

### header

)" + wire::describe_fields<wire::ControlHeader>() +
         control_tables(std::type_identity<ControlMessage>{}) + "## Status codes\n\n" + status_table();
}

}  // namespace sluice::protocol
