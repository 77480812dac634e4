#include "storage_node/node_process.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "transport/factory.h"

namespace sluice::storage_node {
namespace {

constexpr const char* kIdFile = "node_id";
constexpr Duration kLockInterval = std::chrono::milliseconds(100);

std::vector<int> cpu_numbers(const std::vector<std::string>& texts) {
  std::vector<int> numbers(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    // The option's check has seen to it that it is one.
    static_cast<void>(std::from_chars(texts[i].data(), texts[i].data() + texts[i].size(), numbers[i]));
  }
  return numbers;
}

Result<protocol::NodeId> parse_id(const std::string& text, const std::string& directory) {
  std::uint64_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, id);
  const bool is_good = error == std::errc{} && id != 0 && (parsed == end || *parsed == '\n');
  if (is_good) return protocol::NodeId(id);
  return fail(
      StatusCode::malformed,
      directory + "/" + kIdFile + " doesn't hold a node's id: restore it, or start with an empty directory");
}

}  // namespace

Result<std::unique_ptr<NodeProcess>> NodeProcess::start(const NodeOptions& options,
                                                        const transport::LogSink& log) {
  std::unique_ptr<NodeProcess> node(new NodeProcess);
  if (const Status opened = node->open_storage(options, log); !opened) return tl::unexpected(opened.error());
  if (const Status known = node->take_identity(); !known) return tl::unexpected(known.error());
  if (const Status made = node->make_core(options, log); !made) return tl::unexpected(made.error());
  auto threads = NodeThreads::start(*node->core_, options.transport.polling, cpu_numbers(options.cpus));
  if (!threads) return tl::unexpected(threads.error());
  node->threads_ = std::move(*threads);
  if (const Status written = node->write_port_file(options.port_file); !written) {
    return tl::unexpected(written.error());
  }
  log(transport::LogLevel::info, "node " + std::to_string(node->identity_.node.value()) + " listens at " +
                                     to_string(node->core_->addresses().front()));
  return node;
}

/// A node that is started again may find the lock still with the process before it.
Status NodeProcess::open_storage(const NodeOptions& options, const transport::LogSink& log) {
  const Instant deadline = clock_.now() + options.lock_timeout;
  for (bool has_said = false;; has_said = true) {
    auto storage = NodeStorage::open(options.storage, log);
    if (storage) {
      storage_ = std::move(*storage);
      return {};
    }
    if (storage.error().code != StatusCode::busy || clock_.now() >= deadline) {
      return tl::unexpected(storage.error());
    }
    if (!has_said) log(transport::LogLevel::warning, "waiting: " + storage.error().message);
    std::this_thread::sleep_for(kLockInterval);
  }
}

/// The id is made once; the boot's is new each time.
Status NodeProcess::take_identity() {
  identity_.boot = protocol::BootId(random_.next());
  const DataDirectory& directory = storage_->directory();
  const auto kept = directory.read(kIdFile);
  if (!kept) return tl::unexpected(kept.error());
  if (*kept) {
    const auto id = parse_id(**kept, directory.path());
    if (!id) return tl::unexpected(id.error());
    identity_.node = *id;
    return {};
  }
  identity_.node = protocol::NodeId(random_.next());
  return directory.write(kIdFile, std::to_string(identity_.node.value()) + "\n");
}

Status NodeProcess::make_core(const NodeOptions& options, const transport::LogSink& log) {
  transport::TransportConfig transport = options.transport;
  transport.log = log;
  const NodeCoreParts parts{
      [&](const std::string& local_host) {
        transport.local_host = local_host;
        return transport::open_provider(transport);
      },
      [&](std::uint16_t index) { return storage_->open_backend(index, options.core.reactors); }, clock_,
      random_, log};
  auto core = NodeCore::create(options.core, identity_, parts);
  if (!core) return tl::unexpected(core.error());
  core_ = std::move(*core);
  return {};
}

Status NodeProcess::write_port_file(const std::string& path) const {
  if (path.empty()) return {};
  const std::string unfinished = path + ".new";
  std::ofstream file(unfinished);
  for (const transport::Address& address : core_->addresses())
    file << address.port << "\n";
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(unfinished, path, error);
  if (!file || error) return fail(StatusCode::system_error, path + " can't be written (port_file)");
  return {};
}

void NodeProcess::stop() {
  threads_->stop();
}

}  // namespace sluice::storage_node
