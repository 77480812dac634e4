// nbdkit sluice volume=NAME master=HOST:PORT[,HOST:PORT...] ...: a volume as a network block device, for
// whatever speaks NBD.
//
// One session for the whole process: its client is opened once nbdkit has forked into the background, because
// threads don't survive that, and every NBD connection uses it. Hence can_multi_conn: a completed write is
// visible on all connections, and a flush on any of them covers all.

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "client/shared_client.h"
#include "transport/transport_config.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

namespace {

using sluice::Status;
using sluice::StatusCode;
using sluice::client::BlockClientConfig;
using sluice::client::Durability;
using sluice::client::SharedClient;

BlockClientConfig config;
std::unique_ptr<SharedClient> client;

// ---- Configuration

int refuse(std::string_view key, std::string_view value, const char* expected) {
  nbdkit_error("sluice: %.*s=%.*s: expected %s", static_cast<int>(key.size()), key.data(),
               static_cast<int>(value.size()), value.data(), expected);
  return -1;
}

/// Calls `take` with each part of a list that commas separate; false as soon as it says so.
template <typename Take>
bool for_each_part(std::string_view list, const Take& take) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (comma > 0 && !take(list.substr(0, comma))) return false;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return true;
}

int set_masters(std::string_view key, std::string_view value) {
  const bool taken = for_each_part(value, [](std::string_view part) {
    auto address = sluice::transport::parse_address(part);
    if (address) config.masters.push_back(std::move(*address));
    return address.has_value();
  });
  return taken && !config.masters.empty() ? 0 : refuse(key, value, "HOST:PORT[,HOST:PORT...]");
}

int set_flag(std::string_view key, const char* value, bool& flag) {
  const int parsed = nbdkit_parse_bool(value);
  if (parsed < 0) return refuse(key, value, "true or false");
  flag = parsed == 1;
  return 0;
}

int set_seconds(std::string_view key, std::string_view value, sluice::Duration& span) {
  std::uint32_t seconds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (error != std::errc() || end != value.data() + value.size() || seconds == 0) {
    return refuse(key, value, "a number of seconds, at least 1");
  }
  span = std::chrono::seconds(seconds);
  return 0;
}

int set_provider(std::string_view key, std::string_view value) {
  const auto provider = sluice::transport::parse_provider_choice(value);
  if (!provider) return refuse(key, value, "auto, verbs or ofi");
  config.transport.provider = *provider;
  return 0;
}

int set_polling(std::string_view key, std::string_view value) {
  using sluice::transport::PollingMode;
  if (value == "adaptive") {
    config.transport.polling.mode = PollingMode::adaptive;
  } else if (value == "busy") {
    config.transport.polling.mode = PollingMode::busy;
  } else if (value == "event") {
    config.transport.polling.mode = PollingMode::event;
  } else {
    return refuse(key, value, "adaptive, busy or event");
  }
  return 0;
}

int set_on_loss(std::string_view key, std::string_view value) {
  using sluice::client::LossPolicy;
  if (value != "queue" && value != "fail") return refuse(key, value, "queue or fail");
  config.on_loss = value == "fail" ? LossPolicy::fail : LossPolicy::queue;
  return 0;
}

int set_option(std::string_view key, const char* value) {
  if (key == "volume") {
    config.volume = value;
    return 0;
  }
  if (key == "client") {
    config.client = value;
    return 0;
  }
  if (key == "local") {
    for_each_part(value, [](std::string_view part) {
      config.local_hosts.emplace_back(part);
      return true;
    });
    return 0;
  }
  if (key == "master") return set_masters(key, value);
  if (key == "provider") return set_provider(key, value);
  if (key == "polling") return set_polling(key, value);
  if (key == "on-loss") return set_on_loss(key, value);
  if (key == "loss-deadline") return set_seconds(key, value, config.loss_deadline);
  if (key == "open-timeout") return set_seconds(key, value, config.open_timeout);
  if (key == "close-timeout") return set_seconds(key, value, config.close_timeout);
  if (key == "io-timeout") return set_seconds(key, value, config.io_timeout);
  if (key == "read-only") return set_flag(key, value, config.read_only);
  if (key == "steal") return set_flag(key, value, config.steal);
  nbdkit_error("sluice: unknown key %.*s: see nbdkit sluice --help", static_cast<int>(key.size()),
               key.data());
  return -1;
}

constexpr const char* kConfigHelp =
    "volume=NAME           (required) which volume\n"
    "master=HOST:PORT[,..] (required) any of the masters may be the one in charge\n"
    "client=NAME           who opens it, stable over restarts (the host's name)\n"
    "read-only=BOOL        several clients may have a volume open for reading (false)\n"
    "steal=BOOL            take the volume from its holder, who is fenced (false)\n"
    "on-loss=queue|fail    requests without a path: wait for ever, or fail after loss-deadline (queue)\n"
    "loss-deadline=SECONDS (30)\n"
    "open-timeout=SECONDS  (30)\n"
    "close-timeout=SECONDS for each of three steps (10)\n"
    "io-timeout=SECONDS    a request that takes longer is sent over another path (10)\n"
    "provider=NAME         auto, verbs or ofi (auto)\n"
    "local=ADDRESS[,..]    local addresses, one for each device (any)\n"
    "polling=MODE          adaptive, busy or event (adaptive)";

int on_config(const char* key, const char* value) noexcept {
  return set_option(key, value);
}

int on_config_complete() noexcept {
  if (config.volume.empty()) {
    nbdkit_error("sluice: volume=NAME is missing: which volume?");
    return -1;
  }
  if (config.masters.empty()) {
    nbdkit_error("sluice: master=HOST:PORT is missing: where is a master?");
    return -1;
  }
  return 0;
}

// ---- The client's life

void log_line(sluice::transport::LogLevel level, std::string_view text) {
  if (level >= sluice::transport::LogLevel::warning) {
    nbdkit_error("sluice: %.*s", static_cast<int>(text.size()), text.data());
  } else {
    nbdkit_debug("sluice: %.*s", static_cast<int>(text.size()), text.data());
  }
}

int on_after_fork() noexcept {
  config.on_event = [](const sluice::client::ClientEvent& event) { log_line(event.level, event.text); };
  config.transport.log = log_line;
  auto opened = SharedClient::open(config);
  if (!opened) {
    nbdkit_error("sluice: %s", opened.error().describe().c_str());
    return -1;
  }
  client = std::move(*opened);
  return 0;
}

void on_cleanup() noexcept {
  if (!client) return;
  const Status closed = client->close();
  if (!closed) nbdkit_error("sluice: %s", closed.error().describe().c_str());
  client.reset();
}

// ---- What it can do

void* on_open(int /*readonly*/) noexcept {
  return NBDKIT_HANDLE_NOT_NEEDED;
}
std::int64_t on_get_size(void* /*handle*/) noexcept {
  return static_cast<std::int64_t>(client->info().size_bytes);
}
int on_block_size(void* /*handle*/, std::uint32_t* minimum, std::uint32_t* preferred,
                  std::uint32_t* maximum) noexcept {
  const sluice::client::VolumeInfo info = client->info();
  *minimum = info.block_size;
  *preferred = std::max<std::uint32_t>(info.block_size, 4096);
  *maximum = 32U << 20U;  // longer than largest_io_bytes is split by the client; what nbdkit itself takes
  return 0;
}
int on_can_write(void* /*handle*/) noexcept {
  return config.read_only ? 0 : 1;
}
int on_yes(void* /*handle*/) noexcept {
  return 1;
}
int on_can_fua(void* /*handle*/) noexcept {
  return NBDKIT_FUA_NATIVE;
}
int on_can_cache(void* /*handle*/) noexcept {
  return NBDKIT_CACHE_NONE;
}

// ---- Requests

int errno_of(StatusCode code) noexcept {
  switch (code) {
    case StatusCode::invalid_request:
      return EINVAL;
    case StatusCode::no_space:
      return ENOSPC;
    case StatusCode::read_only:
      return EROFS;
    case StatusCode::shutting_down:
    case StatusCode::cancelled:
    case StatusCode::stale_version:
      return ESHUTDOWN;
    case StatusCode::out_of_memory:
      return ENOMEM;
    default:
      return EIO;
  }
}

int answer(const Status& status) noexcept {
  if (status) return 0;
  nbdkit_error("sluice: %s", status.error().describe().c_str());
  nbdkit_set_error(errno_of(status.error().code));
  return -1;
}

Durability durability_of(std::uint32_t flags) noexcept {
  return (flags & NBDKIT_FLAG_FUA) != 0 ? Durability::stable : Durability::volume_policy;
}

int on_pread(void* /*handle*/, void* into, std::uint32_t count, std::uint64_t offset,
             std::uint32_t /*flags*/) noexcept {
  return answer(client->read(offset, {static_cast<std::byte*>(into), count}));
}
int on_pwrite(void* /*handle*/, const void* data, std::uint32_t count, std::uint64_t offset,
              std::uint32_t flags) noexcept {
  return answer(client->write(offset, {static_cast<const std::byte*>(data), count}, durability_of(flags)));
}
int on_flush(void* /*handle*/, std::uint32_t /*flags*/) noexcept {
  return answer(client->flush());
}
int on_trim(void* /*handle*/, std::uint32_t count, std::uint64_t offset, std::uint32_t flags) noexcept {
  return answer(client->discard(offset, count, durability_of(flags)));
}
int on_zero(void* /*handle*/, std::uint32_t count, std::uint64_t offset, std::uint32_t flags) noexcept {
  return answer(client->write_zeroes(offset, count, durability_of(flags)));
}

nbdkit_plugin make_plugin() noexcept {
  nbdkit_plugin made{};
  made.name = "sluice";
  made.version = SLUICE_VERSION;
  made.longname = "sluice volume";
  made.description = "A volume of a sluice cluster, fenced against every older opening of it";
  made.config = on_config;
  made.config_complete = on_config_complete;
  made.config_help = kConfigHelp;
  made.magic_config_key = "volume";
  made.after_fork = on_after_fork;
  made.cleanup = on_cleanup;
  made.open = on_open;
  made.get_size = on_get_size;
  made.block_size = on_block_size;
  made.can_write = on_can_write;
  made.can_flush = on_yes;
  made.can_trim = on_yes;
  made.can_zero = on_yes;
  made.can_fast_zero = nullptr;
  made.can_fua = on_can_fua;
  made.can_multi_conn = on_yes;
  made.can_cache = on_can_cache;
  made.pread = on_pread;
  made.pwrite = on_pwrite;
  made.flush = on_flush;
  made.trim = on_trim;
  made.zero = on_zero;
  return made;
}

nbdkit_plugin plugin = make_plugin();

}  // namespace

NBDKIT_REGISTER_PLUGIN(plugin)
