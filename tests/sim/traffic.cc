#include "tests/sim/traffic.h"

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

namespace sluice::sim {

using protocol::IoRequest;
using protocol::kIoRequestSize;

namespace {

/// Of the first packet of a message. Data in the capsule may come in further ones: it is none of our
/// business.
std::optional<IoRequest> read_request(std::span<const std::byte> packet) {
  if (packet.size() < kIoRequestSize) return std::nullopt;
  std::vector<std::byte> capsule(packet.begin(), packet.begin() + kIoRequestSize);
  for (const std::size_t data : {packet.size() - kIoRequestSize, std::size_t{protocol::kMaxInCapsuleData}}) {
    capsule.resize(kIoRequestSize + data);
    if (const auto request = protocol::decode_request(capsule)) return *request;
  }
  return std::nullopt;
}

bool overlap(const IoRequest& one, const IoRequest& other) {
  return one.offset.value() < other.offset.value() + other.length &&
         other.offset.value() < one.offset.value() + one.length;
}

}  // namespace

Traffic::Traffic(transport::sim::Network& network, std::uint64_t window)
    : network_(network), window_(window) {
  network_.set_arrival_sink([this](const transport::sim::Arrival& arrival) { on_arrival(arrival); });
}

Traffic::~Traffic() {
  network_.set_arrival_sink({});
}

void Traffic::on_arrival(const transport::sim::Arrival& arrival) {
  if (arrival.is_write) {
    if (!arrival.is_taken) ++counts_.dead_writes;
    return;
  }
  if (arrival.fragment > 0) return;
  if (const auto request = read_request(arrival.payload)) {
    if (arrival.is_taken) return on_request(*request);
    ++counts_.dead_requests;
  } else if (const auto response = protocol::decode_response(arrival.payload); response && arrival.is_taken) {
    auto& requests = sessions_[response->gvn].requests;
    if (const auto known = requests.find(response->seq); known != requests.end())
      known->second.is_answered = true;
  }
}

void Traffic::on_request(const IoRequest& request) {
  Session& session = sessions_[request.gvn];
  const auto [known, is_first] = session.requests.try_emplace(request.seq, Known{request, {}, false});
  if (!known->second.attempts.insert(request.path_tag).second) return;
  if (request.low < session.highest_low) ++counts_.old_low;
  session.highest_low = std::max(session.highest_low, request.low);
  if (!is_first) return on_copy(session, known->second);
  std::uint64_t later = 0;
  while (session.requests.contains(Seq(request.seq.value() + later + 1)))
    ++later;
  if (later == window_ - 1) ++counts_.window_full;
}

void Traffic::on_copy(const Session& session, const Known& known) {
  if (!known.is_answered) {
    ++counts_.twins;
    if (known.request.placement == protocol::DataPlacement::slot) ++counts_.slot_twins;
    return;
  }
  const IoRequest& request = known.request;
  const bool is_overtaken =
      protocol::changes_data(request.op) && std::ranges::any_of(session.requests, [&](const auto& entry) {
        const auto& [seq, other] = entry;
        return seq > request.seq && other.is_answered && protocol::changes_data(other.request.op) &&
               overlap(other.request, request);
      });
  if (is_overtaken) {
    ++counts_.overtaken;
    if (request.op != protocol::IoOp::write) ++counts_.overtaken_discards;
  }
  if (session.requests.contains(Seq(request.seq.value() + window_))) ++counts_.entry_reused;
}

}  // namespace sluice::sim
