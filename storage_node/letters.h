#pragma once

#include <cstdint>
#include <variant>

#include "protocol/control_messages.h"
#include "protocol/identifiers.h"
#include "runtime/mailbox.h"
#include "storage_node/backend.h"

/// What a node's agent, which talks to the master, and its reactors, which own the volumes, tell each other.
namespace sluice::storage_node {

// ---- From a reactor to the agent

/// Ask the master; its answer goes back to the volume with the same id.
struct VerifyLetter {
  protocol::RequestId id;
  protocol::VerifyRequest request;
};
/// A volume's fence, to be reported from now on; never lower than before.
struct FenceLetter {
  VolumeId volume;
  Gvn fence;
};
/// To the master, in answer to its request.
struct AnswerLetter {
  protocol::RequestId request_id;
  std::variant<protocol::VolumeOrderAnswer, protocol::QuiesceAnswer> answer;
};
/// About once a second. The first one says that all fences have been told.
struct ReportLetter {
  std::uint16_t reactor = 0;
  ManagerVersion manager_version;  ///< the highest that its volumes have seen
  std::uint32_t sessions = 0;
  BackendSpace space;  ///< the whole node's
};
/// In answer to a PrepareHelloLetter: no session open is under way any more, and all fences have been told.
struct HelloReadyLetter {
  std::uint16_t reactor = 0;
  std::uint64_t round = 0;
};
using AgentLetter = std::variant<VerifyLetter, FenceLetter, AnswerLetter, ReportLetter, HelloReadyLetter>;

// ---- From the agent to a reactor

struct VerifyAnswerLetter {
  protocol::RequestId id;
  protocol::VerifyAnswer answer;
};
/// From the master; to be answered under this id.
struct OrderLetter {
  protocol::RequestId request_id;
  std::variant<protocol::VolumeOrder, protocol::QuiesceRequest> order;
};
/// A master of this version exists: answers of older ones are void.
struct ManagerVersionLetter {
  ManagerVersion seen;
};
/// A hello is to be said: see VolumeSessions::prepare_hello.
struct PrepareHelloLetter {
  std::uint64_t round = 0;  ///< comes back; a later one replaces it
};
/// End, in order: see NodeReactor::is_shut_down().
struct ShutdownLetter {};
using ReactorLetter =
    std::variant<VerifyAnswerLetter, OrderLetter, ManagerVersionLetter, PrepareHelloLetter, ShutdownLetter>;

using AgentMailbox = runtime::Mailbox<AgentLetter>;
using ReactorMailbox = runtime::Mailbox<ReactorLetter>;

}  // namespace sluice::storage_node
