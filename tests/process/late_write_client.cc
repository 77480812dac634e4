// A client that does what it is told on standard input, a line at a time, and answers each on standard
// output: for the test that holds one of its paths in its hands.
//
//   write TEXT    writes a block that starts with TEXT       ok, or the status
//   read          the first three characters of the block

#include <array>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include <boost/program_options.hpp>
#include <poll.h>
#include <unistd.h>

#include "client/block_client.h"

namespace sluice::test {
namespace {

namespace po = boost::program_options;

constexpr std::size_t kBlockBytes = 4096;

class Session {
 public:
  explicit Session(client::BlockClient& client) : client_(client) {}

  [[nodiscard]] std::size_t paths_up() const {
    std::size_t up = 0;
    for (const client::PathInfo& path : client_.paths())
      up += path.state == "up" ? 1U : 0U;
    return up;
  }

  std::string answer(const std::string& line) {
    if (line == "read") {
      const StatusCode status = finish(client_.submit_read(1, 0, block_));
      return status == StatusCode::ok ? std::string(reinterpret_cast<const char*>(block_.data()), 3)
                                      : std::string(to_string(status));
    }
    constexpr std::string_view kWrite = "write ";
    if (!line.starts_with(kWrite)) return "what?";
    block_.assign(kBlockBytes, std::byte{0});
    std::memcpy(block_.data(), line.data() + kWrite.size(), line.size() - kWrite.size());
    return std::string(to_string(finish(client_.submit_write(1, 0, block_))));
  }

  void idle() {
    std::array<client::Completion, 1> none;
    static_cast<void>(client_.poll(none, std::chrono::milliseconds(10)));
  }

 private:
  StatusCode finish(StatusCode submitted) {
    if (submitted != StatusCode::ok) return submitted;
    std::array<client::Completion, 1> done;
    while (client_.poll(done, std::chrono::milliseconds(10)) == 0) {
    }
    return done[0].status;
  }

  client::BlockClient& client_;
  std::vector<std::byte> block_ = std::vector<std::byte>(kBlockBytes);
};

bool has_input() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return ::poll(&input, 1, 0) > 0;
}

int run(const po::variables_map& values) {
  client::BlockClientConfig config;
  config.volume = values["volume"].as<std::string>();
  config.client = "late-writer";
  for (const std::string& master : values["master"].as<std::vector<std::string>>())
    config.masters.push_back(transport::parse_address(master).value());
  config.transport.provider = transport::parse_provider_choice(values["provider"].as<std::string>()).value();
  config.io_timeout = std::chrono::milliseconds(values["io-timeout-ms"].as<std::uint32_t>());
  // The held path must be given up for its late answer alone.
  config.keepalive_misses = 1000;
  config.on_event = [](const client::ClientEvent& event) { std::cerr << event.text << "\n"; };
  auto client = client::BlockClient::open(std::move(config));
  if (!client) {
    std::cout << client.error().describe() << std::endl;
    return 1;
  }
  Session session(**client);
  while (session.paths_up() < (*client)->paths().size())
    session.idle();
  std::cout << "ready " << session.paths_up() << " paths" << std::endl;
  while (true) {
    session.idle();
    std::string line;
    if (!has_input()) continue;
    if (!std::getline(std::cin, line)) break;
    std::cout << session.answer(line) << std::endl;
  }
  return (*client)->close() ? 0 : 1;
}

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
  namespace po = boost::program_options;
  po::options_description options;
  auto add = options.add_options();
  add("volume", po::value<std::string>()->required());
  add("master", po::value<std::vector<std::string>>()->required());
  add("provider", po::value<std::string>()->default_value("auto"));
  add("io-timeout-ms", po::value<std::uint32_t>()->default_value(10000));
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  return sluice::test::run(values);
}
