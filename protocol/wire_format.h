#pragma once

#include <string>

#include "protocol/control_messages.h"
#include "protocol/io_frame.h"
#include "protocol/private_data.h"

/// Everything that travels: control messages, private data of path connections, IO frames.
namespace sluice::protocol {

/// docs/wire_format.md, written from the field lists that encode and decode work on.
[[nodiscard]] std::string describe_wire_format();

}  // namespace sluice::protocol
