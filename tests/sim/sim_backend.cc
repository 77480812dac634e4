#include "tests/sim/sim_backend.h"

#include <algorithm>
#include <utility>

#include "protocol/node_address.h"

namespace sluice::sim {

using storage_node::BackendCompletion;
using storage_node::BackendRequest;
using storage_node::VolumeState;

namespace {

VolumeState tombstone_of(const VolumeState& state) {
  VolumeState tombstone;
  tombstone.volume = state.volume;
  tombstone.fence = state.fence;
  tombstone.manager_version = state.manager_version;
  tombstone.removed = true;
  return tombstone;
}

}  // namespace

/// One open volume of a simulated disk.
class SimStorage final : public storage_node::VolumeStorage {
 public:
  SimStorage(SimBackend& backend, const VolumeState& state) : backend_(backend), state_(state) {
    backend_.open_[state.volume] = this;
  }
  ~SimStorage() override {
    if (backend_.is_dead_) return;
    backend_.open_.erase(state_.volume);
    backend_.disk_.unlock(state_.volume, backend_.number());
  }

  [[nodiscard]] const VolumeState& state() const noexcept override { return state_; }
  void start(const BackendRequest& request) noexcept override { backend_.start(state_.volume, request); }
  void start_store(const VolumeState& state, std::uint64_t tag) noexcept override {
    if (state.size != state_.size || state.block_size != state_.block_size)
      backend_.disk_.misuse("a stored state changes the volume's shape");
    backend_.start_store(state_.volume, state, tag);
  }
  Status resize(ByteCount size) override {
    if (backend_.is_dead_) return fail(StatusCode::io_error, "the process was killed");
    SimDisk& disk = backend_.disk_;
    disk.called();
    SimDisk::Image& image = *disk.find(state_.volume);
    if (disk.strikes(DiskFault::call_error)) return fail(StatusCode::io_error, "the simulated disk can't");
    if (size.value() > image.state.size.value() &&
        backend_.used().value() + size.value() - image.state.size.value() > disk.capacity_.value())
      return fail(StatusCode::no_space, "the simulated disk is full");
    image.current.resize(size.value());
    image.stable.resize(size.value());
    image.sectors.resize(size.value() / kSectorBytes);
    image.state.size = size;
    state_.size = size;
    disk.called();
    return {};
  }

  void stored(const VolumeState& state) noexcept { state_ = state; }

 private:
  SimBackend& backend_;
  VolumeState state_;
};

SimBackend::SimBackend(SimDisk& disk, std::uint64_t number, std::size_t reactor, std::size_t reactors,
                       std::function<void()> ready)
    : disk_(disk), number_(number), reactor_(reactor), reactors_(reactors), ready_(std::move(ready)) {}

SimBackend::~SimBackend() {
  if (!is_dead_) disk_.backends_.erase(number_);
}

void SimBackend::die() {
  is_dead_ = true;
  started_.clear();
  completions_.clear();
}

bool SimBackend::is_mine(VolumeId volume) const noexcept {
  return protocol::reactor_of(volume, reactors_) == reactor_;
}

// ---- Volumes

Result<std::vector<VolumeState>> SimBackend::list() {
  if (is_dead_) return fail(StatusCode::io_error, "the process was killed");
  if (disk_.strikes(DiskFault::call_error))
    return fail(StatusCode::io_error, disk_.name() + " can't be read");
  std::vector<VolumeState> states;
  for (const auto& [volume, image] : disk_.images_) {
    if (is_mine(volume)) states.push_back(image.state);
  }
  return states;
}

Status SimBackend::create(const VolumeState& state) {
  if (is_dead_) return fail(StatusCode::io_error, "the process was killed");
  disk_.called();
  if (is_dead_ || disk_.strikes(DiskFault::call_error))
    return fail(StatusCode::io_error, disk_.name() + " can't make a volume");
  if (!is_mine(state.volume)) disk_.misuse("a reactor makes a volume of another reactor's");
  SimDisk::Image* const there = disk_.find(state.volume);
  if (there != nullptr && !there->state.removed) {
    if (there->state.size == state.size && there->state.block_size == state.block_size) return {};
    return fail(StatusCode::already_exists, disk_.name() + " has such a volume of another size");
  }
  if (used().value() + state.size.value() > disk_.capacity_.value())
    return fail(StatusCode::no_space, disk_.name() + " is full");
  SimDisk::Image image;
  image.state = state;
  if (there != nullptr) image.state.fence = std::max(there->state.fence, state.fence);
  image.current.resize(state.size.value());
  image.stable.resize(state.size.value());
  image.sectors.resize(state.size.value() / kSectorBytes);
  disk_.images_[state.volume] = std::move(image);
  disk_.observer_.on_created(disk_, disk_.state(state.volume));
  disk_.called();
  return {};
}

Result<std::unique_ptr<storage_node::VolumeStorage>> SimBackend::open(VolumeId volume) {
  if (is_dead_) return fail(StatusCode::io_error, "the process was killed");
  SimDisk::Image* const image = disk_.find(volume);
  if (image == nullptr || image->state.removed)
    return fail(StatusCode::not_found, disk_.name() + " has no such volume");
  if (image->locked_by != 0) {
    disk_.mark(DiskFault::lock_busy);
    return fail(StatusCode::busy, "another process holds the volume's lock");
  }
  if (disk_.strikes(DiskFault::call_error))
    return fail(StatusCode::io_error, disk_.name() + " can't be read");
  image->locked_by = number_;
  image->is_open = true;
  return std::make_unique<SimStorage>(*this, image->state);
}

Status SimBackend::remove(VolumeId volume) {
  if (is_dead_) return fail(StatusCode::io_error, "the process was killed");
  disk_.called();
  SimDisk::Image* const image = disk_.find(volume);
  if (is_dead_ || disk_.strikes(DiskFault::call_error))
    return fail(StatusCode::io_error, disk_.name() + " can't remove a volume");
  if (image == nullptr || image->state.removed) return {};
  if (image->locked_by != 0) {
    if (image->is_open) disk_.misuse("a volume is removed while it is open");
    return fail(StatusCode::busy, "another process holds the volume's lock");
  }
  SimDisk::Image nothing;
  nothing.state = tombstone_of(image->state);
  *image = std::move(nothing);
  disk_.observer_.on_removed(disk_, volume);
  disk_.called();
  return {};
}

ByteCount SimBackend::used() const {
  std::uint64_t bytes = 0;
  for (const auto& [volume, image] : disk_.images_)
    bytes += image.state.size.value();
  return ByteCount(bytes);
}

Result<storage_node::BackendSpace> SimBackend::space() {
  return storage_node::BackendSpace{disk_.capacity_, ByteCount(disk_.capacity_.value() - used().value())};
}

// ---- The data path

Status SimBackend::register_buffers(std::span<std::byte> buffers) {
  buffers_ = buffers;
  return {};
}

bool SimBackend::is_in_buffers(const BackendRequest& request) const noexcept {
  const std::less_equal<const std::byte*> not_after;
  return not_after(buffers_.data(), request.data) &&
         not_after(request.data + request.length, buffers_.data() + buffers_.size());
}

void SimBackend::start(VolumeId volume, const BackendRequest& request) {
  if (is_dead_) return;
  const SimDisk::Image& image = *disk_.find(volume);
  const bool has_data = request.op == protocol::IoOp::read || request.op == protocol::IoOp::write;
  if (request.offset.value() + request.length > image.current.size() ||
      request.offset.value() % image.state.block_size != 0 || request.length % image.state.block_size != 0)
    return disk_.misuse("an operation isn't aligned, or outside its volume");
  if (has_data && !is_in_buffers(request))
    return disk_.misuse("an operation's data isn't in the registered buffers");
  SimDisk::Operation operation;
  operation.backend = number_;
  operation.volume = volume;
  operation.request = request;
  started_.push_back(std::move(operation));
}

void SimBackend::start_store(VolumeId volume, const VolumeState& state, std::uint64_t tag) {
  if (is_dead_) return;
  SimDisk::Operation operation;
  operation.backend = number_;
  operation.volume = volume;
  operation.request.tag = tag;
  operation.is_store = true;
  operation.new_state = state;
  started_.push_back(std::move(operation));
}

void SimBackend::submit() noexcept {
  for (SimDisk::Operation& operation : std::exchange(started_, {}))
    disk_.start(std::move(operation));
}

void SimBackend::complete(const BackendCompletion& completion, VolumeId volume, const VolumeState& stored,
                          bool is_store) {
  if (is_store && completion.status == StatusCode::ok) {
    if (const auto found = open_.find(volume); found != open_.end()) found->second->stored(stored);
  }
  completions_.push_back(completion);
  if (ready_) ready_();
}

std::size_t SimBackend::poll(std::span<BackendCompletion> out) noexcept {
  const std::size_t count = std::min(out.size(), completions_.size());
  std::copy_n(completions_.begin(), count, out.begin());
  completions_.erase(completions_.begin(), completions_.begin() + static_cast<std::ptrdiff_t>(count));
  return count;
}

}  // namespace sluice::sim
