#include <filesystem>
#include <fstream>
#include <memory>

#include <infiniband/verbs.h>
#include <unistd.h>

#include "client/cli/doctor.h"

namespace sluice::cli {
namespace {

using Verdict = Finding::Verdict;
namespace fs = std::filesystem;

struct FreeDeviceList {
  void operator()(ibv_device** list) const noexcept { ibv_free_device_list(list); }
};
struct CloseDevice {
  void operator()(ibv_context* context) const noexcept { ibv_close_device(context); }
};
using DeviceList = std::unique_ptr<ibv_device*, FreeDeviceList>;
using OpenDevice = std::unique_ptr<ibv_context, CloseDevice>;

/// The first line of a file in /sys; empty if there is none.
std::string read_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

constexpr unsigned kSmallestMtuBytes = 256;

unsigned mtu_bytes(ibv_mtu mtu) {
  return kSmallestMtuBytes << (static_cast<unsigned>(mtu) - static_cast<unsigned>(IBV_MTU_256));
}

bool is_zero_gid(const std::string& gid) {
  return gid.find_first_not_of("0:") == std::string::npos;
}

void examine_gids(const std::string& name, unsigned port, Findings& findings) {
  const fs::path port_path = fs::path("/sys/class/infiniband") / name / "ports" / std::to_string(port);
  std::string gids;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(port_path / "gids", error)) {
    const std::string gid = read_line(entry.path());
    if (gid.empty() || is_zero_gid(gid)) continue;
    const std::string index = entry.path().filename().string();
    const std::string type = read_line(port_path / "gid_attrs" / "types" / index);
    if (!gids.empty()) gids += ", ";
    gids.append(index).append(": ").append(gid);
    if (!type.empty()) gids.append(" (").append(type).append(")");
  }
  if (gids.empty()) {
    findings.push_back({"GIDs of " + name, Verdict::failure, "port " + std::to_string(port) + " has none",
                        "give its network interface an IP address and set it up: ip link set IFACE up"});
  } else {
    findings.push_back({"GIDs of " + name, Verdict::good, gids, ""});
  }
}

void examine_port(ibv_context& device, const std::string& name, unsigned port, Findings& findings) {
  const std::string subject = name + " port " + std::to_string(port);
  ibv_port_attr attributes{};
  if (ibv_query_port(&device, static_cast<std::uint8_t>(port), &attributes) != 0) {
    findings.push_back({subject, Verdict::failure, "the port doesn't answer", "look into dmesg"});
    return;
  }
  if (attributes.state != IBV_PORT_ACTIVE) {
    findings.push_back({subject, Verdict::failure,
                        std::string("its state is ") + ibv_port_state_str(attributes.state),
                        "connect it, or set its network interface up: ip link set IFACE up"});
    return;
  }
  const unsigned active = mtu_bytes(attributes.active_mtu);
  const unsigned greatest = mtu_bytes(attributes.max_mtu);
  const std::string words =
      "active, MTU " + std::to_string(active) + " of at most " + std::to_string(greatest);
  const bool is_small = active < greatest && attributes.link_layer == IBV_LINK_LAYER_ETHERNET;
  findings.push_back({subject, is_small ? Verdict::note : Verdict::good, words,
                      is_small
                          ? "for large requests, raise the interface's MTU on every host and switch: ip link "
                            "set IFACE mtu 4200 (or 9000)"
                          : ""});
  examine_gids(name, port, findings);
}

void examine_device(ibv_device& device, Findings& findings) {
  const std::string name = ibv_get_device_name(&device);
  const OpenDevice open(ibv_open_device(&device));
  if (!open) {
    findings.push_back({name, Verdict::failure, "it can't be opened",
                        "give this user access to /dev/infiniband/uverbs*, e.g. by the group rdma"});
    return;
  }
  ibv_device_attr attributes{};
  if (ibv_query_device(open.get(), &attributes) != 0) {
    findings.push_back({name, Verdict::failure, "it doesn't answer", "look into dmesg"});
    return;
  }
  for (unsigned port = 1; port <= attributes.phys_port_cnt; ++port)
    examine_port(*open, name, port, findings);
}

/// rdma_cm needs its device node; modules make it.
void examine_rdma_cm(Findings& findings) {
  constexpr const char* kNode = "/dev/infiniband/rdma_cm";
  if (access(kNode, R_OK | W_OK) == 0) {
    findings.push_back({"rdma_cm", Verdict::good, std::string(kNode) + " is there", ""});
  } else if (access(kNode, F_OK) == 0) {
    findings.push_back({"rdma_cm", Verdict::failure, std::string(kNode) + " isn't open to this user",
                        "give this user access to it, e.g. by the group rdma"});
  } else {
    findings.push_back(
        {"rdma_cm", Verdict::failure, std::string("there is no ") + kNode, "modprobe rdma_ucm"});
  }
}

}  // namespace

void examine_devices(Findings& findings) {
  int count = 0;
  const DeviceList list(ibv_get_device_list(&count));
  if (!list || count == 0) {
    findings.push_back(
        {"RDMA devices", Verdict::note, "there are none: the ofi provider is used, over TCP",
         "for RDMA, load the card's driver; for Soft-RoCE, rdma link add rxe0 type rxe netdev IFACE"});
    return;
  }
  examine_rdma_cm(findings);
  for (int i = 0; i < count; ++i)
    examine_device(*list.get()[i], findings);
}

}  // namespace sluice::cli
