// sluice-stamp: a load that proves something. It fills blocks with stamps that name the write they are from,
// keeps a journal of what was acknowledged, and tells any block that isn't what it must be: whatever was
// killed, paused or cut off meanwhile.

#include <csignal>
#include <exception>
#include <iostream>
#include <string>

#include <boost/program_options.hpp>

#include "client/block_client.h"
#include "client/stamp/block_stamp.h"
#include "client/stamp/journal.h"
#include "client/stamp/load.h"

namespace sluice::stamp {
namespace {

namespace po = boost::program_options;

volatile bool stop_asked = false;

constexpr int kFoundWrong = 1;
constexpr int kBadArguments = 2;
constexpr int kFenced = 3;    ///< another client's open ended the session
constexpr int kCouldNot = 4;  ///< no session, or it broke

po::options_description describe_options() {
  po::options_description options(
      "Usage: sluice-stamp load|check --volume NAME --master ADDRESS --journal FILE [options]\n\n"
      "load    writes stamped blocks at random places, reads others and checks them\n"
      "check   reads every block and checks it against the journal\n\n"
      "Exit status: 0 all is well; 1 a wrong block was found; 2 bad arguments; 3 fenced by another client's "
      "open;\n"
      "4 the volume couldn't be opened or used.\n\nOptions");
  auto add = options.add_options();
  add("help", "show this text");
  add("mode", po::value<std::string>()->default_value(""), "load or check");
  add("volume", po::value<std::string>()->default_value(""), "the volume's name");
  add("master", po::value<std::vector<std::string>>()->composing(), "HOST:PORT of a master; may be repeated");
  add("journal", po::value<std::string>()->default_value(""),
      "what was sent and acknowledged; kept between runs");
  add("client", po::value<std::string>()->default_value("sluice-stamp"), "the client id to open with");
  add("steal", "take the volume from its holder");
  add("provider", po::value<std::string>()->default_value("auto"), "auto, verbs or ofi");
  add("local", po::value<std::vector<std::string>>()->composing(),
      "local address of a device; may be repeated");
  add("depth", po::value<std::uint32_t>()->default_value(32), "operations in flight");
  add("seconds", po::value<double>()->default_value(0), "length of the load; 0: until SIGTERM");
  add("reads", po::value<std::uint32_t>()->default_value(25), "percent of the operations that read");
  add("seed", po::value<std::uint64_t>()->default_value(1), "of the random places");
  add("blocks", po::value<std::uint64_t>()->default_value(0), "blocks of 4 KiB to use; 0: the whole volume");
  add("fail-after-ms", po::value<std::uint32_t>()->default_value(0),
      "let IO fail after so long without a path; 0: it waits");
  add("io-timeout-ms", po::value<std::uint32_t>()->default_value(10000),
      "a request that takes longer changes its path");
  add("verbose,v", "print what happens to the session and its paths");
  return options;
}

Result<client::BlockClientConfig> client_config(const po::variables_map& values) {
  client::BlockClientConfig config;
  const auto text = [&](const char* name) { return values[name].as<std::string>(); };
  config.volume = text("volume");
  config.client = text("client");
  config.steal = values.count("steal") > 0;
  if (values.count("master") > 0) {
    for (const std::string& master : values["master"].as<std::vector<std::string>>()) {
      const auto address = transport::parse_address(master);
      if (!address) return tl::unexpected(address.error());
      config.masters.push_back(*address);
    }
  }
  const auto provider = transport::parse_provider_choice(text("provider"));
  if (!provider) return tl::unexpected(provider.error());
  config.transport.provider = *provider;
  if (values.count("local") > 0) config.local_hosts = values["local"].as<std::vector<std::string>>();
  config.queue_depth = values["depth"].as<std::uint32_t>();
  config.io_timeout = std::chrono::milliseconds(values["io-timeout-ms"].as<std::uint32_t>());
  if (const auto deadline_ms = values["fail-after-ms"].as<std::uint32_t>(); deadline_ms > 0) {
    config.on_loss = client::LossPolicy::fail;
    config.loss_deadline = std::chrono::milliseconds(deadline_ms);
  }
  if (values.count("verbose") > 0) {
    config.on_event = [](const client::ClientEvent& event) { std::cerr << event.text << "\n"; };
  }
  return config;
}

void print(const LoadReport& report, const client::VolumeInfo& volume) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  std::cout << R"({"gvn": ")" << to_string(volume.gvn) << R"(", "writes": )" << report.writes
            << ", \"reads\": " << report.reads
            << ", \"seconds\": " << std::chrono::duration<double>(report.elapsed).count()
            << ", \"longest_stall_ms\": " << Milliseconds(report.longest_stall).count()
            << ", \"wrong_blocks\": " << report.wrong_block_count << ", \"failures\": {";
  const char* separator = "";
  for (const auto& [status, count] : report.failures) {
    std::cout << separator << "\"" << to_string(status) << "\": " << count;
    separator = ", ";
  }
  std::cout << "}}\n";
  for (const std::string& sentence : report.wrong_blocks)
    std::cerr << "sluice-stamp: " << sentence << "\n";
}

int complain(const Error& error, int status) {
  std::cerr << "sluice-stamp: " << error.describe() << "\n";
  return status;
}

int run(const po::variables_map& values) {
  const bool is_load = values["mode"].as<std::string>() == "load";
  auto config = client_config(values);
  if (!config) return complain(config.error(), kBadArguments);
  auto client = client::BlockClient::open(*config);
  if (!client) return complain(client.error(), kCouldNot);
  const client::VolumeInfo volume = (*client)->info();
  std::uint64_t blocks = values["blocks"].as<std::uint64_t>();
  if (blocks == 0) blocks = volume.size_bytes / kBlockBytes;
  if (blocks > volume.size_bytes / kBlockBytes) {
    return complain(
        {StatusCode::invalid_argument, "the volume has only " + std::to_string(volume.size_bytes) + " bytes"},
        kBadArguments);
  }
  const auto use = is_load ? Journal::Use::load : Journal::Use::check;
  auto journal = Journal::open(values["journal"].as<std::string>(), blocks, use);
  if (!journal) return complain(journal.error(), kBadArguments);
  std::cerr << "sluice-stamp: opened " << values["volume"].as<std::string>() << ", gvn "
            << to_string(volume.gvn) << "\n";

  const auto depth = values["depth"].as<std::uint32_t>();
  LoadPlan plan;
  plan.depth = depth;
  plan.length =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(values["seconds"].as<double>()));
  plan.read_percent = values["reads"].as<std::uint32_t>();
  plan.seed = values["seed"].as<std::uint64_t>();
  const auto report =
      is_load ? run_load(**client, **journal, plan, stop_asked) : check_all(**client, **journal, depth);
  if (!report) return complain(report.error(), kCouldNot);
  const StatusCode end = (*client)->end_reason();
  print(*report, (*client)->info());
  if (report->wrong_block_count > 0) return kFoundWrong;
  if (end == StatusCode::stale_version) {
    return complain({end, "another client opened the volume, and this session (gvn " +
                              to_string((*client)->info().gvn) + ") is fenced for good"},
                    kFenced);
  }
  if (end != StatusCode::ok) return complain({end, "the session ended"}, kCouldNot);
  const bool is_complete = is_load || report->reads == blocks;
  if (!is_complete) return complain({StatusCode::unavailable, "not every block could be read"}, kCouldNot);
  if (auto closed = (*client)->close(); !closed) return complain(closed.error(), kCouldNot);
  return 0;
}

int main_with(int argc, char** argv) {
  const po::options_description options = describe_options();
  po::positional_options_description mode;
  mode.add("mode", 1);
  po::variables_map values;
  po::store(po::command_line_parser(argc, argv).options(options).positional(mode).run(), values);
  po::notify(values);
  if (values.count("help") > 0) return std::cout << options << "\n", 0;
  const std::string chosen = values["mode"].as<std::string>();
  if ((chosen != "load" && chosen != "check") || values["volume"].as<std::string>().empty() ||
      values.count("master") == 0 || values["journal"].as<std::string>().empty() ||
      values["depth"].as<std::uint32_t>() == 0) {
    std::cerr
        << "sluice-stamp: load or check, --volume, --master and --journal are needed; --help tells more\n";
    return kBadArguments;
  }
  struct sigaction action {};
  action.sa_handler = [](int) { stop_asked = true; };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  return run(values);
}

}  // namespace
}  // namespace sluice::stamp

int main(int argc, char** argv) {
  try {
    return sluice::stamp::main_with(argc, argv);
  } catch (const boost::program_options::error& error) {
    std::cerr << "sluice-stamp: " << error.what() << "; --help tells more\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "sluice-stamp: " << error.what() << "\n";
    return 1;
  }
}
