#include "tests/contract/backend/stage.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <catch2/catch.hpp>
#include <poll.h>

namespace sluice::storage_node::contract {
namespace {

constexpr std::size_t kBufferBytes = 8U << 20U;
constexpr int kPatience_ms = 60'000;

}  // namespace

Stage::Stage(std::unique_ptr<Store> store) : store_(std::move(store)), buffer_(kBufferBytes) {
  restart();
}

void Stage::restart() {
  close();
  backend_ = store_->open();
  REQUIRE(backend_ != nullptr);
  REQUIRE(backend_->register_buffers(buffer_.bytes()));
}

void Stage::close() {
  backend_.reset();
}

VolumeState Stage::shape(VolumeId volume, std::uint32_t block_size) const {
  return {.volume = volume, .size = store_->volume_size(), .block_size = block_size};
}

std::unique_ptr<VolumeStorage> Stage::create_and_open(VolumeId volume, std::uint32_t block_size) {
  const auto created = backend_->create(shape(volume, block_size));
  INFO((created ? "" : created.error().describe()));
  REQUIRE(created);
  return open(volume);
}

std::unique_ptr<VolumeStorage> Stage::open(VolumeId volume) {
  auto storage = backend_->open(volume);
  INFO((storage ? "" : storage.error().describe()));
  REQUIRE(storage);
  return std::move(*storage);
}

std::vector<VolumeState> Stage::list() {
  auto states = backend_->list();
  INFO((states ? "" : states.error().describe()));
  REQUIRE(states);
  return std::move(*states);
}

StatusCode Stage::write(VolumeStorage& storage, std::uint64_t offset, std::span<const std::byte> data,
                        bool durable) {
  std::memcpy(buffer_.bytes().data(), data.data(), data.size());
  return run(storage, {.op = protocol::IoOp::write,
                       .durable = durable,
                       .offset = ByteCount(offset),
                       .length = static_cast<std::uint32_t>(data.size()),
                       .data = buffer_.bytes().data(),
                       .tag = next_tag_++});
}

std::vector<std::byte> Stage::read(VolumeStorage& storage, std::uint64_t offset, std::size_t size) {
  fill(buffer_.bytes().first(size), 0xdead);
  const StatusCode status = run(storage, {.op = protocol::IoOp::read,
                                          .durable = false,
                                          .offset = ByteCount(offset),
                                          .length = static_cast<std::uint32_t>(size),
                                          .data = buffer_.bytes().data(),
                                          .tag = next_tag_++});
  REQUIRE(status == StatusCode::ok);
  return {buffer_.bytes().begin(), buffer_.bytes().begin() + static_cast<std::ptrdiff_t>(size)};
}

StatusCode Stage::range(VolumeStorage& storage, protocol::IoOp op, std::uint64_t offset, std::uint32_t length,
                        bool durable) {
  return run(storage, {.op = op,
                       .durable = durable,
                       .offset = ByteCount(offset),
                       .length = length,
                       .data = nullptr,
                       .tag = next_tag_++});
}

StatusCode Stage::flush(VolumeStorage& storage) {
  return range(storage, protocol::IoOp::flush, 0, 0, false);
}

StatusCode Stage::store_state(VolumeStorage& storage, const VolumeState& state) {
  const std::uint64_t tag = next_tag_++;
  storage.start_store(state, tag);
  const auto completions = complete(1);
  REQUIRE(completions.at(0).tag == tag);
  return completions.at(0).status;
}

StatusCode Stage::run(VolumeStorage& storage, const BackendRequest& request) {
  storage.start(request);
  const auto completions = complete(1);
  REQUIRE(completions.at(0).tag == request.tag);
  return completions.at(0).status;
}

std::vector<BackendCompletion> Stage::complete(std::size_t count) {
  std::vector<BackendCompletion> all;
  while (all.size() < count) {
    backend_->submit();
    std::array<BackendCompletion, 16> some;
    const std::size_t got = backend_->poll(some);
    all.insert(all.end(), some.begin(), some.begin() + got);
    if (got > 0 || !backend_->arm()) continue;
    pollfd waiting{.fd = backend_->wait_fd(), .events = POLLIN, .revents = 0};
    const int woken = poll(&waiting, 1, kPatience_ms);
    REQUIRE(woken != 0);
  }
  REQUIRE(all.size() == count);
  return all;
}

}  // namespace sluice::storage_node::contract
