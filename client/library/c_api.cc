// The C interface: translates, and lets no exception out.

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/shared_client.h"
#include "client/sluice.h"
#include "transport/transport_config.h"

using sluice::Duration;
using sluice::fail;
using sluice::Result;
using sluice::Status;
using sluice::StatusCode;
using sluice::client::BlockClientConfig;
using sluice::client::ClientEvent;
using sluice::client::Durability;
using sluice::client::LossPolicy;
using sluice::client::PathInfo;
using sluice::client::SharedClient;
using sluice::client::VolumeInfo;

/// What the C side holds a pointer to.
struct sluice_volume {
  std::unique_ptr<SharedClient> client;
};

namespace {

static_assert(SLUICE_STALE_VERSION == static_cast<int>(StatusCode::stale_version));
static_assert(SLUICE_INVALID_REQUEST == static_cast<int>(StatusCode::invalid_request));
static_assert(SLUICE_BAD_CHECKSUM == static_cast<int>(StatusCode::bad_checksum));
static_assert(SLUICE_IO_ERROR == static_cast<int>(StatusCode::io_error));
static_assert(SLUICE_NO_SPACE == static_cast<int>(StatusCode::no_space));
static_assert(SLUICE_BUSY == static_cast<int>(StatusCode::busy));
static_assert(SLUICE_NOT_FOUND == static_cast<int>(StatusCode::not_found));
static_assert(SLUICE_READ_ONLY == static_cast<int>(StatusCode::read_only));
static_assert(SLUICE_SHUTTING_DOWN == static_cast<int>(StatusCode::shutting_down));
static_assert(SLUICE_OUTCOME_UNKNOWN == static_cast<int>(StatusCode::outcome_unknown));
static_assert(SLUICE_TIMED_OUT == static_cast<int>(StatusCode::timed_out));
static_assert(SLUICE_CANCELLED == static_cast<int>(StatusCode::cancelled));
static_assert(SLUICE_UNAVAILABLE == static_cast<int>(StatusCode::unavailable));
static_assert(SLUICE_OUT_OF_MEMORY == static_cast<int>(StatusCode::out_of_memory));
static_assert(SLUICE_QUEUE_FULL == static_cast<int>(StatusCode::queue_full));
static_assert(SLUICE_INVALID_ARGUMENT == static_cast<int>(StatusCode::invalid_argument));

int code_of(StatusCode code) noexcept {
  return static_cast<int>(code);
}
int code_of(const Status& status) noexcept {
  return status ? SLUICE_OK : code_of(status.error().code);
}

void tell(const std::string& text, char* error, size_t error_size) noexcept {
  if (error == nullptr || error_size == 0) return;
  const size_t length = std::min(text.size(), error_size - 1);
  std::memcpy(error, text.data(), length);
  error[length] = '\0';
}

/// Runs a call, and turns whatever it throws into a code.
template <typename Run>
int guarded(const Run& run) noexcept {
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return SLUICE_OUT_OF_MEMORY;
  } catch (...) {
    return code_of(StatusCode::system_error);
  }
}

std::string_view text_of(const char* text) noexcept {
  return text == nullptr ? std::string_view() : std::string_view(text);
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (comma > 0) parts.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return parts;
}

Duration milliseconds(uint32_t count) noexcept {
  return std::chrono::milliseconds(count);
}

uint32_t milliseconds(Duration span) noexcept {
  return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(span).count());
}

Result<sluice::transport::PollingMode> polling_of(int polling) {
  switch (polling) {
    case SLUICE_POLLING_ADAPTIVE:
      return sluice::transport::PollingMode::adaptive;
    case SLUICE_POLLING_BUSY:
      return sluice::transport::PollingMode::busy;
    case SLUICE_POLLING_EVENT:
      return sluice::transport::PollingMode::event;
    default:
      return fail(StatusCode::invalid_argument, "polling is none of SLUICE_POLLING_...");
  }
}

Result<BlockClientConfig> config_of(const sluice_options& options) {
  BlockClientConfig config;
  for (const std::string& master : split(text_of(options.masters))) {
    auto address = sluice::transport::parse_address(master);
    if (!address) return tl::unexpected(address.error());
    config.masters.push_back(std::move(*address));
  }
  config.volume = text_of(options.volume);
  config.client = text_of(options.client);
  config.local_hosts = split(text_of(options.local_hosts));
  if (!text_of(options.provider).empty()) {
    auto provider = sluice::transport::parse_provider_choice(text_of(options.provider));
    if (!provider) return tl::unexpected(provider.error());
    config.transport.provider = *provider;
  }
  auto polling = polling_of(options.polling);
  if (!polling) return tl::unexpected(polling.error());
  config.transport.polling.mode = *polling;
  if (options.on_loss != SLUICE_ON_LOSS_QUEUE && options.on_loss != SLUICE_ON_LOSS_FAIL) {
    return fail(StatusCode::invalid_argument, "on_loss is none of SLUICE_ON_LOSS_...");
  }
  config.on_loss = options.on_loss == SLUICE_ON_LOSS_FAIL ? LossPolicy::fail : LossPolicy::queue;
  config.read_only = options.read_only != 0;
  config.steal = options.steal != 0;
  config.queue_depth = options.queue_depth;
  config.loss_deadline = milliseconds(options.loss_deadline_ms);
  config.open_timeout = milliseconds(options.open_timeout_ms);
  config.close_timeout = milliseconds(options.close_timeout_ms);
  config.io_timeout = milliseconds(options.io_timeout_ms);
  if (options.log != nullptr) {
    config.on_event = [log = options.log, context = options.log_context](const ClientEvent& event) {
      log(context, static_cast<int>(event.level), std::string(event.text).c_str());
    };
    config.transport.log = [log = options.log, context = options.log_context](
                               sluice::transport::LogLevel level, std::string_view line) {
      log(context, static_cast<int>(level), std::string(line).c_str());
    };
  }
  return config;
}

sluice_options default_options() noexcept {
  const BlockClientConfig defaults;
  sluice_options options{};
  options.size = sizeof options;
  options.queue_depth = defaults.queue_depth;
  options.loss_deadline_ms = milliseconds(defaults.loss_deadline);
  options.open_timeout_ms = milliseconds(defaults.open_timeout);
  options.close_timeout_ms = milliseconds(defaults.close_timeout);
  options.io_timeout_ms = milliseconds(defaults.io_timeout);
  return options;
}

Durability durability_of(unsigned flags) noexcept {
  return (flags & SLUICE_FUA) != 0 ? Durability::stable : Durability::volume_policy;
}

std::span<std::byte> bytes(void* data, size_t length) noexcept {
  return {static_cast<std::byte*>(data), length};
}
std::span<const std::byte> bytes(const void* data, size_t length) noexcept {
  return {static_cast<const std::byte*>(data), length};
}

/// What an asynchronous call hands on: the signatures differ in the code's type alone.
struct Done {
  sluice_done done;
  void* context;
};

/// The callback as the client knows it, on the heap for as long as the request is outstanding.
template <typename Start>
int start(sluice_done done, void* context, const Start& start_request) noexcept {
  return guarded([&] {
    if (done == nullptr) return static_cast<int>(SLUICE_INVALID_ARGUMENT);
    auto handed_on = std::make_unique<Done>(Done{done, context});
    const StatusCode code = start_request(
        [](void* given, StatusCode status) {
          const std::unique_ptr<Done> own(static_cast<Done*>(given));
          own->done(own->context, code_of(status));
        },
        handed_on.get());
    if (code == StatusCode::ok) static_cast<void>(handed_on.release());
    return code_of(code);
  });
}

}  // namespace

extern "C" {

const char* sluice_code_name(int code) {
  return to_string(static_cast<StatusCode>(code)).data();  // literals
}

const char* sluice_version(void) {
  return SLUICE_VERSION;
}

void sluice_options_init(struct sluice_options* options, size_t size) {
  const sluice_options defaults = default_options();
  std::memset(options, 0, size);
  std::memcpy(options, &defaults, std::min(size, sizeof defaults));
  options->size = size;
}

int sluice_open(const struct sluice_options* options, sluice_volume** volume, char* error,
                size_t error_size) {
  if (volume == nullptr) return SLUICE_INVALID_ARGUMENT;
  *volume = nullptr;
  if (options == nullptr) return SLUICE_INVALID_ARGUMENT;
  return guarded([&] {
    // A caller that was compiled with an older header doesn't have the later fields.
    sluice_options known = default_options();
    std::memcpy(&known, options, std::min(options->size, sizeof known));
    const auto config = config_of(known);
    if (!config) {
      tell(config.error().describe(), error, error_size);
      return code_of(config.error().code);
    }
    auto client = SharedClient::open(*config);
    if (!client) {
      tell(client.error().describe(), error, error_size);
      return code_of(client.error().code);
    }
    *volume = new sluice_volume{std::move(*client)};
    return static_cast<int>(SLUICE_OK);
  });
}

int sluice_close(sluice_volume* volume, char* error, size_t error_size) {
  if (volume == nullptr) return SLUICE_OK;
  const std::unique_ptr<sluice_volume> own(volume);
  return guarded([&] {
    const Status status = own->client->close();
    if (!status) tell(status.error().describe(), error, error_size);
    return code_of(status);
  });
}

int sluice_get_info(sluice_volume* volume, struct sluice_info* info) {
  return guarded([&] {
    const VolumeInfo now = volume->client->info();
    const std::vector<PathInfo> paths = volume->client->paths();
    sluice_info known{};
    known.size = info->size;
    known.size_bytes = now.size_bytes;
    known.block_size = now.block_size;
    known.largest_io_bytes = now.largest_io_bytes;
    known.volume_id = now.volume.value();
    known.version = now.gvn.value();
    known.read_only = now.read_only ? 1 : 0;
    known.write_back = now.write_back ? 1 : 0;
    known.paths_up = static_cast<int>(
        std::count_if(paths.begin(), paths.end(), [](const PathInfo& path) { return path.state == "up"; }));
    std::memcpy(info, &known, std::min(known.size, sizeof known));
    return static_cast<int>(SLUICE_OK);
  });
}

int sluice_read(sluice_volume* volume, uint64_t offset, void* into, size_t length) {
  return guarded([&] { return code_of(volume->client->read(offset, bytes(into, length))); });
}

int sluice_write(sluice_volume* volume, uint64_t offset, const void* data, size_t length, unsigned flags) {
  return guarded(
      [&] { return code_of(volume->client->write(offset, bytes(data, length), durability_of(flags))); });
}

int sluice_flush(sluice_volume* volume) {
  return guarded([&] { return code_of(volume->client->flush()); });
}

int sluice_discard(sluice_volume* volume, uint64_t offset, uint64_t length, unsigned flags) {
  return guarded([&] { return code_of(volume->client->discard(offset, length, durability_of(flags))); });
}

int sluice_write_zeroes(sluice_volume* volume, uint64_t offset, uint64_t length, unsigned flags) {
  return guarded([&] { return code_of(volume->client->write_zeroes(offset, length, durability_of(flags))); });
}

int sluice_read_async(sluice_volume* volume, uint64_t offset, void* into, size_t length, sluice_done done,
                      void* context) {
  return start(done, context, [&](SharedClient::Callback callback, void* handed_on) {
    return volume->client->read_async(offset, bytes(into, length), callback, handed_on);
  });
}

int sluice_write_async(sluice_volume* volume, uint64_t offset, const void* data, size_t length,
                       unsigned flags, sluice_done done, void* context) {
  return start(done, context, [&](SharedClient::Callback callback, void* handed_on) {
    return volume->client->write_async(offset, bytes(data, length), durability_of(flags), callback,
                                       handed_on);
  });
}

int sluice_flush_async(sluice_volume* volume, sluice_done done, void* context) {
  return start(done, context, [&](SharedClient::Callback callback, void* handed_on) {
    return volume->client->flush_async(callback, handed_on);
  });
}

int sluice_discard_async(sluice_volume* volume, uint64_t offset, uint64_t length, unsigned flags,
                         sluice_done done, void* context) {
  return start(done, context, [&](SharedClient::Callback callback, void* handed_on) {
    return volume->client->discard_async(offset, length, durability_of(flags), callback, handed_on);
  });
}

int sluice_write_zeroes_async(sluice_volume* volume, uint64_t offset, uint64_t length, unsigned flags,
                              sluice_done done, void* context) {
  return start(done, context, [&](SharedClient::Callback callback, void* handed_on) {
    return volume->client->write_zeroes_async(offset, length, durability_of(flags), callback, handed_on);
  });
}

}  // extern "C"
