// sluice-transport-perf: measures or checks one connection between two processes; what perftest is to verbs,
// for every provider.

#include <cstdio>
#include <fstream>
#include <iostream>
#include <numeric>
#include <string>

#include <boost/program_options.hpp>

#include "bench/transport/perf_link.h"
#include "bench/transport/perf_plan.h"
#include "bench/transport/perf_tests.h"
#include "transport/factory.h"

namespace sluice::bench {
namespace {

namespace po = boost::program_options;

struct Options {
  bool is_server = false;
  transport::Address address;
  transport::TransportConfig transport;
  PerfPlan plan;
  bool as_json = false;
  std::string port_file;
};

int complain(const Error& error) {
  std::cerr << "sluice-transport-perf: " << error.message << "\n";
  return 1;
}

po::options_description describe_options() {
  po::options_description options(
      "Usage: sluice-transport-perf server|client --address HOST:PORT [options]\n"
      "The server takes one client and ends with it.\n\nOptions");
  auto add = options.add_options();
  add("help", "show this text");
  add("address", po::value<std::string>(),
      "where the server listens (port 0: any), or where the client connects");
  add("provider", po::value<std::string>()->default_value("auto"), "auto, verbs or ofi");
  add("fabric", po::value<std::string>()->default_value("tcp"), "libfabric provider, with ofi");
  add("device", po::value<std::string>()->default_value(""), "RDMA device, with verbs (default: by address)");
  add("local", po::value<std::string>()->default_value(""),
      "local address (default: the server's own, else any)");
  add("dscp", po::value<unsigned>()->default_value(0),
      "DSCP of the connection's packets, 0 to 63, with verbs (0: the system's default)");
  add("port-file", po::value<std::string>()->default_value(""),
      "server: write the port here once it listens");
  add("test", po::value<std::string>()->default_value("send_lat"),
      "send_lat, write_lat, write_bw or transfer");
  add("size", po::value<std::uint32_t>()->default_value(64), "bytes a message, 1 to 8388608");
  add("iterations", po::value<std::uint32_t>()->default_value(1000), "how many");
  add("connect-timeout-ms", po::value<std::int64_t>()->default_value(5000),
      "give up connecting after this long");
  add("output,o", po::value<std::string>()->default_value("table"), "table or json");
  return options;
}

Result<Options> interpret(const po::variables_map& values) {
  Options options;
  const auto text = [&](const char* name) { return values[name].as<std::string>(); };
  const std::string role = values.count("role") > 0 ? text("role") : "";
  if (role != "server" && role != "client") {
    return fail(StatusCode::invalid_argument, "say `server` or `client` first (--help tells more)");
  }
  options.is_server = role == "server";
  if (values.count("address") == 0)
    return fail(StatusCode::invalid_argument, "--address HOST:PORT is needed");
  const auto address = transport::parse_address(text("address"));
  if (!address) return tl::unexpected(address.error());
  options.address = *address;
  const auto choice = transport::parse_provider_choice(text("provider"));
  if (!choice) return tl::unexpected(choice.error());
  options.transport.provider = *choice;
  options.transport.fabric = text("fabric");
  options.transport.device = text("device");
  options.transport.local_host = text("local");
  if (options.is_server && options.transport.local_host.empty()) options.transport.local_host = address->host;
  options.transport.polling.mode = transport::PollingMode::busy;  // as perftest and fi_pingpong do
  options.transport.connect_timeout =
      std::chrono::milliseconds(values["connect-timeout-ms"].as<std::int64_t>());
  const auto dscp = values["dscp"].as<unsigned>();
  if (dscp > 63) return fail(StatusCode::invalid_argument, "--dscp goes from 0 to 63");
  options.transport.dscp = static_cast<std::uint8_t>(dscp);
  const auto test = parse_perf_test(text("test"));
  if (!test) return tl::unexpected(test.error());
  options.plan.test = *test;
  options.plan.size_bytes = values["size"].as<std::uint32_t>();
  options.plan.iterations = values["iterations"].as<std::uint32_t>();
  if (options.plan.size_bytes < 1 || options.plan.size_bytes > kMaxPerfBytes || options.plan.iterations < 1) {
    return fail(StatusCode::invalid_argument, "--size goes from 1 to 8388608, --iterations from 1");
  }
  if (options.plan.test == PerfTest::send_latency && options.plan.size_bytes > 65536) {
    return fail(StatusCode::invalid_argument, "--size of send_lat goes to 65536");
  }
  if (text("output") != "table" && text("output") != "json") {
    return fail(StatusCode::invalid_argument, "--output is table or json");
  }
  options.as_json = text("output") == "json";
  options.port_file = text("port-file");
  return options;
}

void print_result(const Options& options, const PerfResult& result, const std::string& provider) {
  const PerfPlan& plan = options.plan;
  const auto count = static_cast<double>(result.one_way_us.size());
  const auto at = [&](double part) {
    return result.one_way_us.empty() ? 0.0 : result.one_way_us[static_cast<std::size_t>(part * (count - 1))];
  };
  const double sum = std::accumulate(result.one_way_us.begin(), result.one_way_us.end(), 0.0);
  const double mean = count == 0 ? 0.0 : sum / count;
  const std::string test(to_string(plan.test));
  if (options.as_json) {
    std::printf(  // NOLINT(cert-err33-c)
        "{\"provider\": \"%s\", \"test\": \"%s\", \"size_bytes\": %u, \"iterations\": %u, \"one_way_us\": "
        "{\"min\": %.3f, \"median\": %.3f, \"mean\": %.3f, \"p99\": %.3f}, \"mib_per_s\": %.2f}\n",
        provider.c_str(), test.c_str(), plan.size_bytes, plan.iterations, at(0), at(0.5), mean, at(0.99),
        result.mib_per_s);
  } else if (plan.test == PerfTest::write_bandwidth) {
    std::printf("%s over %s: %u times %u bytes, %.2f MiB/s\n", test.c_str(), provider.c_str(),  // NOLINT
                plan.iterations, plan.size_bytes, result.mib_per_s);
  } else {
    std::printf(  // NOLINT(cert-err33-c)
        "%s over %s: %u times %u bytes, one way min %.2f us, median %.2f us, mean %.2f us, p99 %.2f us\n",
        test.c_str(), provider.c_str(), plan.iterations, plan.size_bytes, at(0), at(0.5), mean, at(0.99));
  }
}

std::string* port_file_path = nullptr;

void announce(const transport::Address& address) {
  std::cout << "listening at " << to_string(address) << std::endl;
  if (!port_file_path->empty()) std::ofstream(*port_file_path) << address.port << std::endl;
}

int serve(Options& options, transport::Provider& provider) {
  port_file_path = &options.port_file;
  auto link = PerfLink::serve(provider, options.address, announce);
  if (!link) return complain(link.error());
  if (Status status = run_server(**link); !status) return complain(status.error());
  (*link)->finish();
  return 0;
}

int drive(Options& options, transport::Provider& provider) {
  auto link = PerfLink::connect(provider, options.address, options.plan);
  if (!link) return complain(link.error());
  const Result<PerfResult> result = run_client(**link);
  if (!result) return complain(result.error());
  (*link)->finish();
  print_result(options, *result, provider.info().name);
  return 0;
}

int run(int argc, char** argv) {
  po::options_description visible = describe_options();
  po::options_description all = visible;
  all.add_options()("role", po::value<std::string>());
  po::positional_options_description positional;
  positional.add("role", 1);
  po::variables_map values;
  po::store(po::command_line_parser(argc, argv).options(all).positional(positional).run(), values);
  po::notify(values);
  if (values.count("help") > 0) {
    std::cout << visible << "\n";
    return 0;
  }
  Result<Options> options = interpret(values);
  if (!options) return complain(options.error());
  options->transport.log = [](transport::LogLevel level, std::string_view line) {
    if (level >= transport::LogLevel::warning || line.starts_with("transport:")) std::cerr << line << "\n";
  };
  auto provider = transport::open_provider(options->transport);
  if (!provider) return complain(provider.error());
  return options->is_server ? serve(*options, **provider) : drive(*options, **provider);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  try {
    return sluice::bench::run(argc, argv);
  } catch (const std::exception& error) {  // Boost.Program_options reports bad options this way
    std::cerr << "sluice-transport-perf: " << error.what() << "\n";
    return 1;
  }
}
