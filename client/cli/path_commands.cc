#include <algorithm>

#include "client/cli/command.h"

namespace sluice::cli {
namespace {

std::string describe_us(Duration time) {
  return std::to_string(time / std::chrono::microseconds(1)) + " us";
}

Record describe(std::size_t path, const protocol::OpenAnswer& location) {
  Record record;
  record.add("path", std::uint64_t{path});
  record.add("address", std::string(location.addresses[path].view()));
  record.add("node", location.node);
  return record;
}

Status list(Context& context, const Arguments& arguments) {
  const auto location = context.locate(arguments.operand(0));
  if (!location) return tl::unexpected(location.error());
  std::vector<Record> records;
  for (std::size_t i = 0; i < location->addresses.size(); ++i) {
    Record record = describe(i, *location);
    record.add("node_up", location->node_up);
    const auto& locals = context.options.local_addresses;
    record.add("local_address", locals.empty() ? std::string("any") : locals[i % locals.size()]);
    records.push_back(record);
  }
  context.output.list({"path", "address", "local_address", "node", "node_up"}, records);
  return {};
}

/// Connects and asks `count` times for the volume's status, and adds what that took.
Status measure(const Context& context, const protocol::OpenAnswer& location, std::size_t path,
               std::uint64_t count, Record& record) {
  const auto address = transport::parse_address(location.addresses[path].view());
  if (!address) return tl::unexpected(address.error());
  client::AdminClientConfig config =
      admin_config(context.options, "node " + std::to_string(location.node.value()), {*address});
  const auto& locals = context.options.local_addresses;
  if (!locals.empty()) config.transport.local_host = locals[path % locals.size()];
  const auto node = client::AdminClient::create(std::move(config));
  if (!node) return tl::unexpected(node.error());

  protocol::VolumeStatusRequest question;
  question.volume = location.volume;
  const SteadyClock clock;
  std::vector<Duration> times;
  // The first question connects.
  for (std::uint64_t i = 0; i <= count; ++i) {
    const Instant start = clock.now();
    const auto answer = (*node)->ask<protocol::VolumeStatus>(question);
    if (!answer) return tl::unexpected(answer.error());
    times.push_back(clock.now() - start);
  }
  record.add("connect_us", times[0] / std::chrono::microseconds(1), describe_us(times[0]));
  std::sort(times.begin() + 1, times.end());
  const auto add_time = [&record](const char* key, Duration time) {
    record.add(key, Json(time / std::chrono::microseconds(1)), describe_us(time));
  };
  add_time("least_us", times[1]);
  add_time("median_us", times[1 + (times.size() - 1) / 2]);
  add_time("most_us", times.back());
  return {};
}

Status test(Context& context, const Arguments& arguments) {
  const auto count = arguments.number("count", {2, 100'000}, 20);
  if (!count) return tl::unexpected(count.error());
  const auto location = context.locate(arguments.operand(0));
  if (!location) return tl::unexpected(location.error());
  std::vector<Record> records;
  Status outcome;
  for (std::size_t i = 0; i < location->addresses.size(); ++i) {
    Record record = describe(i, *location);
    Status measured = measure(context, *location, i, *count, record);
    record.add("result", measured ? std::string("ok") : measured.error().describe());
    if (!measured && outcome) {
      outcome = fail(measured.error().code, "not every path of volume " + arguments.operand(0) + " works");
    }
    records.push_back(record);
  }
  if (records.empty()) {
    outcome = fail(StatusCode::unavailable, "the node of volume " + arguments.operand(0) +
                                                " hasn't said where it listens; is it running?");
  }
  context.output.list({"path", "address", "result", "connect_us", "least_us", "median_us", "most_us"},
                      records);
  return outcome;
}

}  // namespace

std::span<const Command> path_commands() {
  static const std::vector<Command> commands{
      {{"path ls", "Lists the paths to a volume", {{"VOLUME"}}, {}}, list},
      {{"path test",
        "Connects over each path to a volume and measures round trips to its node",
        {{"VOLUME"}},
        {{"count", "N", "round trips a path (20)"}}},
       test}};
  return commands;
}

}  // namespace sluice::cli
