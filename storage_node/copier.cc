#include "storage_node/copier.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "protocol/base/check.h"
#include "protocol/base/crc32c.h"
#include "protocol/limits.h"

namespace sluice::storage_node {
namespace {

constexpr Duration kReconnectInterval = std::chrono::seconds(1);
constexpr runtime::Rail kRail{0};

}  // namespace

Result<std::unique_ptr<Copier>> Copier::create(runtime::Reactor& reactor, const protocol::VolumeOrder& order,
                                               std::unique_ptr<VolumeStorage> storage, StagingRange memory) {
  check(memory.memory().size() == kPieces * protocol::kMaxDataLength, "a copier has memory for its pieces");
  std::unique_ptr<Copier> copier(new Copier(reactor, order, std::move(storage), std::move(memory)));
  auto domain = reactor.provider(kRail).create_protection_domain();
  if (!domain) return tl::unexpected(domain.error());
  copier->domain_ = std::move(*domain);
  auto region = copier->domain_->register_memory(copier->memory_.memory(), transport::Access::remote_write);
  if (!region) return tl::unexpected(region.error());
  copier->region_ = std::move(*region);
  return copier;
}

Copier::Copier(runtime::Reactor& reactor, const protocol::VolumeOrder& order,
               std::unique_ptr<VolumeStorage> storage, StagingRange memory)
    : reactor_(reactor), order_(order), storage_(std::move(storage)), memory_(std::move(memory)) {
  last_step_.copier = this;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    pieces_[i].copier = this;
    pieces_[i].index = i;
    fill(pieces_[i]);
  }
}

Copier::~Copier() = default;

// ---- The connection

void Copier::tick(Instant now) {
  now_ = now;
  if (phase_ == Phase::flushing && std::exchange(last_step_failed_, false)) finish();
  if (phase_ != Phase::copying) return;
  if (link_) {
    link_->tick(now);
    return ask_all();
  }
  if (now >= connect_at_) connect();
}

void Copier::connect() {
  const std::string_view source = order_.source[next_address_ % order_.source.size()].view();
  ++next_address_;
  connect_at_ = now_ + kReconnectInterval;
  const auto address = transport::parse_address(source);
  auto link = address ? runtime::ControlLink::connect(reactor_, kRail, *domain_, *address, {}, *this)
                      : tl::unexpected(address.error());
  if (!link) {
    trouble_ = link.error().describe();
    return;
  }
  link_ = std::move(*link);
}

void Copier::on_control_up(runtime::ControlLink& /*link*/) {
  trouble_.clear();
  ask_all();
}

void Copier::on_control_down(runtime::ControlLink& /*link*/, const Error& why) {
  trouble_ = why.describe();
}

/// No WRITE of the old connection can land any more: what had no answer may be asked for again.
void Copier::on_control_drained(runtime::ControlLink& /*link*/) {
  link_.reset();
  for (Piece& piece : pieces_) {
    if (piece.state == Piece::State::asked) piece.state = Piece::State::to_ask;
  }
}

// ---- Pieces

std::byte* Copier::data_of(const Piece& piece) const noexcept {
  return memory_.memory().data() + piece.index * protocol::kMaxDataLength;
}

/// Gives the piece the next part of the volume, if there is one left.
void Copier::fill(Piece& piece) {
  const std::uint64_t left = order_.size.value() - next_;
  piece.state = left > 0 ? Piece::State::to_ask : Piece::State::idle;
  piece.offset = next_;
  piece.length = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, protocol::kMaxDataLength));
  next_ += piece.length;
}

void Copier::ask_all() {
  for (Piece& piece : pieces_) {
    if (piece.state == Piece::State::to_ask) ask(piece);
  }
}

void Copier::ask(Piece& piece) {
  if (!link_ || !link_->is_up()) return;
  const transport::RemoteBuffer target = region_->remote(piece.index * protocol::kMaxDataLength);
  piece.request = ++last_request_;
  const protocol::CopyRead read{order_.volume, order_.gvn, ByteCount(piece.offset),
                                piece.length,  target.key, target.address};
  if (link_->send({protocol::RequestId(piece.request), read})) piece.state = Piece::State::asked;
}

void Copier::on_control(runtime::ControlLink& link, const protocol::ControlFrame& frame) {
  const auto* const answer = std::get_if<protocol::CopyReadAnswer>(&frame.message);
  const auto piece = std::find_if(pieces_.begin(), pieces_.end(), [&](const Piece& each) {
    return each.state == Piece::State::asked && each.request == frame.request_id.value();
  });
  if (answer == nullptr || piece == pieces_.end()) return link.close();
  on_answer(*piece, *answer);
}

void Copier::on_answer(Piece& piece, const protocol::CopyReadAnswer& answer) {
  piece.state = Piece::State::to_ask;  // by the next tick, if it isn't taken
  if (phase_ != Phase::copying) return;
  if (answer.status != StatusCode::ok) {
    trouble_ = "the old node says " + std::string(to_string(answer.status));
    return;
  }
  flush_owed_ = flush_owed_ || answer.flush_owed;
  piece.zeroes = answer.zeroes;
  if (!answer.zeroes && crc32c({data_of(piece), piece.length}) != answer.data_crc) {
    trouble_ = "data was damaged on its way";
    return;
  }
  trouble_.clear();
  write(piece);
}

/// Zeroes are written, too: a copy that was broken off may have left something else there.
void Copier::write(Piece& piece) {
  piece.state = Piece::State::writing;
  storage_->start({.op = piece.zeroes ? protocol::IoOp::write_zeroes : protocol::IoOp::write,
                   .durable = false,
                   .offset = ByteCount(piece.offset),
                   .length = piece.length,
                   .data = piece.zeroes ? nullptr : data_of(piece),
                   .tag = piece.tag()});
}

void Copier::on_written(Piece& piece, StatusCode status) {
  if (status != StatusCode::ok) {
    trouble_ = "writing fails: " + std::string(to_string(status));
    piece.state = Piece::State::to_ask;
    return;
  }
  moved_ += piece.length;
  fill(piece);
  if (piece.state == Piece::State::to_ask) ask(piece);
  if (phase_ == Phase::copying && moved_ == order_.size.value()) finish();
}

// ---- The end

void Copier::finish() {
  phase_ = Phase::flushing;
  if (link_) link_->close();
  BackendRequest flush;
  flush.durable = true;
  flush.tag = last_step_.tag();
  storage_->start(flush);
}

void Copier::on_last_step(StatusCode status) {
  if (status != StatusCode::ok) {
    trouble_ = "making it durable fails: " + std::string(to_string(status));
    phase_ = Phase::flushing;
    last_step_failed_ = true;  // again, from the flush on, by the next tick
    return;
  }
  if (phase_ == Phase::storing) {
    phase_ = Phase::done;
    return;
  }
  phase_ = Phase::storing;
  VolumeState state = storage_->state();
  state.incomplete = false;
  state.write_back_open = flush_owed_;
  state.fence = std::max(state.fence, order_.gvn);
  state.manager_version = std::max(state.manager_version, order_.manager_version);
  storage_->start_store(state, last_step_.tag());
}

void Copier::cancel() {
  if (phase_ != Phase::copying) return;
  phase_ = Phase::cancelled;
  if (link_) link_->close();
}

bool Copier::is_idle() const noexcept {
  const bool is_writing = std::any_of(pieces_.begin(), pieces_.end(), [](const Piece& piece) {
    return piece.state == Piece::State::writing;
  });
  const bool is_ending = phase_ == Phase::flushing || phase_ == Phase::storing;
  return !link_ && !is_writing && (!is_ending || last_step_failed_);
}

}  // namespace sluice::storage_node
