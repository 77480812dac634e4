#include "storage_node/copy_source.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "protocol/base/crc32c.h"

namespace sluice::storage_node {
namespace {

using protocol::CopyRead;

constexpr std::size_t kMaxPieces = 16;

bool is_all_zero(std::span<const std::byte> bytes) noexcept {
  return bytes.front() == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

/// A volume is copied once nothing can change it: quiesced at the move's version or later, and no session
/// since.
StatusCode check_read(const CopyRead& read, VolumeServer* volume) {
  if (volume == nullptr) return StatusCode::not_found;
  if (!volume->is_locked() || volume->session_count() > 0) return StatusCode::unavailable;
  if (volume->fence() < read.gvn) return StatusCode::unavailable;
  const VolumeState& state = volume->state();
  const bool is_in_range = read.offset <= state.size &&
                           read.length <= state.size.value() - read.offset.value() &&
                           read.offset.value() % state.block_size == 0 && read.length % state.block_size == 0;
  return is_in_range ? StatusCode::ok : StatusCode::invalid_request;
}

}  // namespace

void CopySource::on_read(const ControlAsker& asker, const CopyRead& read, VolumeServer* volume) {
  if (const StatusCode why = check_read(read, volume); why != StatusCode::ok) return refuse(asker, read, why);
  IoBuffer data = pieces_.size() < kMaxPieces ? memory_.take(read.length) : IoBuffer();
  if (!data) return refuse(asker, read, StatusCode::unavailable);
  auto piece = std::make_unique<Piece>(*this, asker, read, *volume, std::move(data));
  piece->number = ++last_number_;
  volume->add_reader();
  volume->storage()->start({.op = protocol::IoOp::read,
                            .durable = false,
                            .offset = read.offset,
                            .length = read.length,
                            .data = piece->data.data(),
                            .tag = piece->tag()});
  pieces_[piece->number] = std::move(piece);
}

void CopySource::refuse(const ControlAsker& asker, const CopyRead& read, StatusCode why) {
  desk_.answer(asker, protocol::CopyReadAnswer{why, read.volume, read.offset, false, 0, false});
}

void CopySource::on_data(Piece& piece, StatusCode status) {
  piece.is_reading = false;
  const std::span<const std::byte> data(piece.data.data(), piece.read.length);
  const bool is_good = status == StatusCode::ok;
  const bool zeroes = is_good && is_all_zero(data);
  piece.answer = {status,
                  piece.read.volume,
                  piece.read.offset,
                  zeroes,
                  is_good && !zeroes ? crc32c(data) : 0,
                  piece.volume.owes_flush_error()};
  piece.volume.remove_reader();
  if (!is_good || zeroes) {
    desk_.answer(piece.asker, piece.answer);
    pieces_.erase(piece.number);
    return;
  }
  send(piece);
}

void CopySource::send(Piece& piece) {
  Status sent = fail(StatusCode::unavailable);
  if (desk_.is_there(piece.asker.connection)) {
    const auto data = local(piece);
    transport::WorkRequest write;
    write.opcode = transport::Opcode::write;
    write.segment_count = 1;
    if (data) write.segments[0] = *data;
    write.remote = {piece.read.target_key, piece.read.target_address};
    sent = data ? desk_.answer_after(piece.asker, std::span(&write, 1), piece.answer, piece.number)
                : tl::unexpected(data.error());
  }
  piece.is_sending = sent.has_value();
  if (sent || sent.error().code == StatusCode::queue_full) return;
  // Whoever asked waits for an answer as long as its connection lives: it is to ask again.
  refuse(piece.asker, piece.read, StatusCode::unavailable);
  pieces_.erase(piece.number);
}

Result<transport::LocalBuffer> CopySource::local(const Piece& piece) {
  const runtime::Rail rail = desk_.rail(piece.asker.connection);
  auto& region = regions_[rail];
  if (!region) {
    const auto domain = reactor_.control_domain(rail);
    if (!domain) return tl::unexpected(domain.error());
    auto registered = (*domain)->register_memory(memory_.buffers(), transport::Access::none);
    if (!registered) return tl::unexpected(registered.error());
    region = std::move(*registered);
  }
  return region->local(static_cast<std::uint64_t>(piece.data.data() - memory_.buffers().data()),
                       piece.read.length);
}

void CopySource::on_sent(std::uint64_t tag) {
  pieces_.erase(tag);
}

void CopySource::on_gone(ConnectionId connection) {
  std::erase_if(pieces_, [&](const auto& entry) {
    const Piece& piece = *entry.second;
    return piece.asker.connection == connection && !piece.is_reading;
  });
}

void CopySource::tick() {
  std::vector<Piece*> waiting;
  for (const auto& [number, piece] : pieces_) {
    if (!piece->is_reading && !piece->is_sending) waiting.push_back(piece.get());
  }
  for (Piece* const piece : waiting)
    send(*piece);
}

}  // namespace sluice::storage_node
