#include "client/cli/doctor.h"

#include <algorithm>
#include <iostream>

#include <sys/resource.h>
#include <sys/utsname.h>

#include "client/admin_client.h"
#include "client/cli/command.h"
#include "protocol/wire_codec.h"
#include "runtime/sizes.h"
#include "runtime/version.h"

namespace sluice::cli {
namespace {

using Verdict = Finding::Verdict;

constexpr std::size_t kVerdictWidth = 9;
/// A client with the default settings: 16 MiB of bounce memory, its caller's own, about 1 MiB for each path.
constexpr std::uint64_t kWantedLockedBytes = 64U << 20U;

}  // namespace

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::good:
      return "ok";
    case Verdict::note:
      return "note";
    case Verdict::warning:
      return "warning";
    case Verdict::failure:
      return "failure";
  }
  return "unknown";
}

void examine_versions(Findings& findings) {
  utsname system{};
  std::string kernel = "unknown";
  if (uname(&system) == 0) kernel = std::string(system.sysname) + " " + system.release;
  findings.push_back({"versions", Verdict::good,
                      "sluice " + std::string(runtime::version()) + ", control protocol " +
                          std::to_string(protocol::wire::kControlVersion) + ", kernel " + kernel,
                      ""});
}

void examine_locked_memory(Findings& findings) {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
    findings.push_back({"locked memory", Verdict::warning, "the limit can't be read", ""});
    return;
  }
  if (limit.rlim_cur == RLIM_INFINITY) {
    findings.push_back({"locked memory", Verdict::good, "unlimited", ""});
    return;
  }
  const std::string size = runtime::format_size(ByteCount(limit.rlim_cur));
  if (limit.rlim_cur >= kWantedLockedBytes) {
    findings.push_back({"locked memory", Verdict::good, size, ""});
    return;
  }
  findings.push_back(
      {"locked memory", Verdict::warning,
       size + ", and one volume's buffers take up to " + runtime::format_size(ByteCount(kWantedLockedBytes)),
       "raise it: \"ulimit -l unlimited\", \"* - memlock unlimited\" in /etc/security/limits.conf, or "
       "LimitMEMLOCK=infinity in the systemd unit"});
}

void examine_cluster(const ClientOptions& options, Findings& findings) {
  for (const transport::Address& address : options.masters) {
    const std::string subject = "master " + to_string(address);
    const auto master = client::AdminClient::create(admin_config(options, "master", {address}));
    if (!master) {
      findings.push_back({subject, Verdict::failure, master.error().describe(), "see the loopback check"});
      continue;
    }
    const auto nodes = client::list_nodes(**master);
    if (!nodes) {
      findings.push_back({subject, Verdict::failure, nodes.error().describe(),
                          "start sluice-master there, or correct `masters` in the configuration"});
      continue;
    }
    std::size_t up = 0;
    for (const protocol::NodeEntry& node : *nodes)
      up += node.up ? 1 : 0;
    findings.push_back(
        {subject, up == nodes->size() ? Verdict::good : Verdict::warning,
         "answers; " + std::to_string(up) + " of " + std::to_string(nodes->size()) + " nodes are up",
         up == nodes->size() ? "" : "sluice node ls tells which are down"});
  }
}

namespace {

void show(Output& output, const Findings& findings) {
  if (output.is_json()) {
    std::vector<Record> records;
    for (const Finding& finding : findings) {
      records.emplace_back()
          .add("check", finding.subject)
          .add("verdict", std::string(to_string(finding.verdict)))
          .add("detail", finding.detail)
          .add("remedy", finding.remedy);
    }
    return output.list({}, records);
  }
  for (const Finding& finding : findings) {
    std::string verdict(to_string(finding.verdict));
    verdict.resize(kVerdictWidth, ' ');
    std::cout << verdict << finding.subject << ": " << finding.detail << "\n";
    if (!finding.remedy.empty())
      std::cout << std::string(kVerdictWidth, ' ') << "-> " << finding.remedy << "\n";
  }
}

Status doctor(Context& context, const Arguments& arguments) {
  Findings findings;
  examine_versions(findings);
  examine_locked_memory(findings);
  examine_devices(findings);
  examine_loopback(context.options, findings);
  if (!arguments.has("local")) examine_cluster(context.options, findings);

  show(context.output, findings);
  const auto failures = std::count_if(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.verdict == Verdict::failure;
  });
  if (failures == 0) return {};
  return fail(StatusCode::unavailable,
              std::to_string(failures) + " of " + std::to_string(findings.size()) + " checks failed");
}

}  // namespace

std::span<const Command> doctor_commands() {
  static const std::vector<Command> commands{
      {{"doctor",
        "Looks for what keeps this host from working, and says what to do about it",
        {},
        {{"local", "", "only this host, not the cluster"}}},
       doctor}};
  return commands;
}

}  // namespace sluice::cli
