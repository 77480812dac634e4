// sluice-bare-exchange: the messages of one block IO on raw verbs, with nothing above or below them: no
// versions, no windows, no checksums, no storage. What a volume's latency is compared with: the rest is what
// sluice adds.
//
//   read:   client SEND 64 B;              server WRITE the data, SEND 32 B, in one chain
//   write:  client SEND 64 B + the data;   server SEND 32 B

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <boost/program_options.hpp>
#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

namespace sluice::bench {
namespace {

namespace po = boost::program_options;

constexpr std::uint32_t kRequestBytes = 64;
constexpr std::uint32_t kResponseBytes = 32;
/// The client's last message: the server ends with it.
constexpr std::uint32_t kGoodbyeBytes = 1;
constexpr std::uint32_t kQueueDepth = 128;
/// The most exchanges under way, and receives that wait for the peer's messages: one each, and some for the
/// time that a repost takes.
constexpr std::uint32_t kMaxDepth = 32;
constexpr std::uint32_t kReceives = kMaxDepth + 8;

[[noreturn]] void give_up(const std::string& what) {
  std::cerr << "sluice-bare-exchange: " << what << ": " << std::strerror(errno) << "\n";
  std::exit(1);
}

template <auto Destroy>
struct Destroyer {
  template <typename Handle>
  void operator()(Handle* handle) const noexcept {
    Destroy(handle);
  }
};
using CmId = std::unique_ptr<rdma_cm_id, Destroyer<rdma_destroy_ep>>;
using AddressInfo = std::unique_ptr<rdma_addrinfo, Destroyer<rdma_freeaddrinfo>>;
using MemoryRegion = std::unique_ptr<ibv_mr, Destroyer<ibv_dereg_mr>>;

/// Where the client's data buffer is: travels in the private data of its connection request.
struct Target {
  std::uint64_t address = 0;
  std::uint32_t key = 0;
};

AddressInfo resolve(const std::string& host, std::uint16_t port, bool passive) {
  rdma_addrinfo hints{};
  hints.ai_port_space = RDMA_PS_TCP;
  if (passive) hints.ai_flags = RAI_PASSIVE;
  rdma_addrinfo* found = nullptr;
  if (rdma_getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    give_up("resolve " + host);
  }
  return AddressInfo(found);
}

ibv_qp_init_attr queue_pair_attributes() {
  ibv_qp_init_attr attributes{};
  attributes.cap.max_send_wr = kQueueDepth;
  attributes.cap.max_recv_wr = kQueueDepth;
  attributes.cap.max_send_sge = 2;
  attributes.cap.max_recv_sge = 1;
  attributes.cap.max_inline_data = kRequestBytes;
  attributes.qp_type = IBV_QPT_RC;
  attributes.sq_sig_all = 0;
  return attributes;
}

/// One end: its connection and its memory.
class End {
 public:
  End(CmId id, std::uint32_t data_bytes)
      : id_(std::move(id)),
        receive_bytes_(kRequestBytes + data_bytes),
        data_(data_bytes),
        head_(kRequestBytes) {
    receives_.resize(std::size_t{kReceives} * receive_bytes_);
    data_region_ = enroll(data_, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    receive_region_ = enroll(receives_, IBV_ACCESS_LOCAL_WRITE);
    for (std::uint32_t slot = 0; slot < kReceives; ++slot)
      post_receive(slot);
  }

  [[nodiscard]] rdma_cm_id* id() const noexcept { return id_.get(); }
  [[nodiscard]] Target target() const noexcept {
    return {reinterpret_cast<std::uintptr_t>(data_.data()), data_region_->rkey};
  }

  void post_receive(std::uint64_t slot) {
    ibv_sge piece{reinterpret_cast<std::uintptr_t>(receives_.data()) + slot * receive_bytes_, receive_bytes_,
                  receive_region_->lkey};
    ibv_recv_wr request{};
    request.wr_id = slot;
    request.sg_list = &piece;
    request.num_sge = 1;
    ibv_recv_wr* refused = nullptr;
    if (ibv_post_recv(id_->qp, &request, &refused) != 0) give_up("post a receive");
  }

  /// `count` messages of `head_bytes`, then the data if `with_data`, with one doorbell; before each the data
  /// is written to `target`, if given.
  void post(std::uint32_t count, std::uint32_t head_bytes, bool with_data, const Target* target) {
    ibv_sge data{reinterpret_cast<std::uintptr_t>(data_.data()), static_cast<std::uint32_t>(data_.size()),
                 data_region_->lkey};
    std::array<ibv_sge, 2> message{{{reinterpret_cast<std::uintptr_t>(head_.data()), head_bytes, 0}, data}};
    // The head isn't registered unless it has to be: alone it travels inline.
    if (with_data && !head_region_) head_region_ = enroll(head_, 0);
    if (with_data) message[0].lkey = head_region_->lkey;

    std::size_t used = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (target != nullptr) {
        ibv_send_wr& write = chain_[used++] = {};
        write.opcode = IBV_WR_RDMA_WRITE;
        write.sg_list = &data;
        write.num_sge = 1;
        write.wr.rdma.remote_addr = target->address;
        write.wr.rdma.rkey = target->key;
      }
      ibv_send_wr& send = chain_[used++] = {};
      send.opcode = IBV_WR_SEND;
      send.sg_list = message.data();
      send.num_sge = with_data ? 2 : 1;
      if (!with_data) send.send_flags |= IBV_SEND_INLINE;
      if (++posted_ % kSignalEvery == 0) send.send_flags |= IBV_SEND_SIGNALED;
    }
    for (std::size_t i = 0; i + 1 < used; ++i)
      chain_[i].next = &chain_[i + 1];
    ibv_send_wr* refused = nullptr;
    if (ibv_post_send(id_->qp, chain_.data(), &refused) != 0) give_up("post a send");
  }

  /// Spins until messages are there, and reposts their receives. How many there were; 0: the connection is
  /// over.
  std::uint32_t wait_for_messages() {
    std::array<ibv_wc, kMaxDepth> completions{};
    int count = 0;
    while (count == 0) {
      count = ibv_poll_cq(id_->recv_cq, kMaxDepth, completions.data());
      if (count == 0 && ++polls_ % kPollsPerLook == 0 &&
          ibv_poll_cq(id_->send_cq, 1, completions.data()) == 1 && completions[0].status != IBV_WC_SUCCESS) {
        return 0;
      }
    }
    for (const ibv_wc& completion : std::span(completions).first(static_cast<std::size_t>(count))) {
      if (completion.status != IBV_WC_SUCCESS || completion.byte_len == kGoodbyeBytes) return 0;
      post_receive(completion.wr_id);
    }
    while (ibv_poll_cq(id_->send_cq, kMaxDepth, completions.data()) > 0) {
    }
    return static_cast<std::uint32_t>(count);
  }

 private:
  static constexpr std::uint32_t kSignalEvery = 16;
  static constexpr std::uint64_t kPollsPerLook = 1U << 16U;

  MemoryRegion enroll(std::vector<char>& memory, unsigned access) {
    if (memory.empty()) return nullptr;
    ibv_mr* region = ibv_reg_mr(id_->pd, memory.data(), memory.size(), access);
    if (region == nullptr) give_up("register memory");
    return MemoryRegion(region);
  }

  CmId id_;  // the regions go first
  std::uint32_t receive_bytes_;
  std::vector<char> data_;
  std::vector<char> head_;
  std::vector<char> receives_;
  MemoryRegion data_region_;
  MemoryRegion head_region_;
  MemoryRegion receive_region_;
  std::array<ibv_send_wr, std::size_t{2} * kMaxDepth> chain_{};
  std::uint32_t posted_ = 0;
  std::uint64_t polls_ = 0;
};

// What rdma_cm leaves at 0, which means 655 ms, and makes a message that meets no receive yet very late.
void set_rnr_timer(rdma_cm_id* id) {
  ibv_qp_attr attributes{};
  attributes.min_rnr_timer = 12;
  if (ibv_modify_qp(id->qp, &attributes, IBV_QP_MIN_RNR_TIMER) != 0) give_up("set the RNR timer");
}

int serve(const std::string& host, const std::string& port_file, bool is_read, std::uint32_t bytes) {
  const AddressInfo address = resolve(host, 0, true);
  rdma_cm_id* listening = nullptr;
  ibv_qp_init_attr attributes = queue_pair_attributes();
  if (rdma_create_ep(&listening, address.get(), nullptr, &attributes) != 0) give_up("listen on " + host);
  const CmId listener(listening);
  if (rdma_listen(listener.get(), 1) != 0) give_up("listen on " + host);
  const std::uint16_t port = rdma_get_src_port(listener.get());
  std::ofstream(port_file) << be16toh(port);
  rdma_cm_id* connecting = nullptr;
  if (rdma_get_request(listener.get(), &connecting) != 0) give_up("take a connection");
  Target target;
  std::memcpy(&target, connecting->event->param.conn.private_data, sizeof target);
  End end(CmId(connecting), bytes);
  if (rdma_accept(end.id(), nullptr) != 0) give_up("accept");
  set_rnr_timer(end.id());
  while (const std::uint32_t asked = end.wait_for_messages())
    end.post(asked, kResponseBytes, false, is_read ? &target : nullptr);
  return 0;
}

int run(const std::string& host, std::uint16_t port, bool is_read, std::uint32_t bytes, std::uint32_t depth,
        std::uint32_t count) {
  const AddressInfo address = resolve(host, port, false);
  rdma_cm_id* connecting = nullptr;
  ibv_qp_init_attr attributes = queue_pair_attributes();
  if (rdma_create_ep(&connecting, address.get(), nullptr, &attributes) != 0) give_up("reach " + host);
  End end(CmId(connecting), bytes);
  const Target target = end.target();
  rdma_conn_param parameters{};
  parameters.private_data = &target;
  parameters.private_data_len = sizeof target;
  parameters.retry_count = 7;
  parameters.rnr_retry_count = 7;
  if (rdma_connect(end.id(), &parameters) != 0) give_up("connect to " + host);
  set_rnr_timer(end.id());

  using Clock = std::chrono::steady_clock;
  std::deque<Clock::time_point> starts;  // of the exchanges under way; they end in order
  const auto post = [&](std::uint32_t exchanges) {
    starts.insert(starts.end(), exchanges, Clock::now());
    end.post(exchanges, kRequestBytes, !is_read, nullptr);
  };
  std::vector<double> times_us;
  const auto exchange = [&](std::uint32_t exchanges) {
    times_us.clear();
    while (times_us.size() < exchanges) {
      const std::uint32_t ended = end.wait_for_messages();
      if (ended == 0) give_up("the connection broke");
      for (std::uint32_t i = 0; i < ended; ++i) {
        times_us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - starts.front()).count());
        starts.pop_front();
      }
      post(ended);
    }
  };
  post(depth);
  exchange(std::min(count / 10, 200U));  // to warm up
  const auto start = Clock::now();
  exchange(count);
  const std::chrono::duration<double> taken = Clock::now() - start;
  end.post(1, kGoodbyeBytes, false, nullptr);
  const double per_second = static_cast<double>(times_us.size()) / taken.count();
  std::ranges::sort(times_us);
  const auto at = [&](double part) { return times_us[static_cast<std::size_t>(part * (count - 1))]; };
  std::printf("{\"exchanges\": %u, \"p50_us\": %.2f, \"p99_us\": %.2f, \"iops\": %.1f}\n", count, at(0.5),
              at(0.99), per_second);
  return 0;
}

int main_with(int argc, char** argv) {
  po::options_description options(
      "Usage: sluice-bare-exchange server|client --host ADDRESS [options]\n"
      "The server takes one client and ends with it; both are told the same test.\n\nOptions");
  auto add = options.add_options();
  add("help", "show this text");
  add("role", po::value<std::string>()->default_value(""), "server or client");
  add("host", po::value<std::string>()->default_value(""), "address of the server's RDMA device");
  add("port-file", po::value<std::string>()->default_value(""),
      "server: the port is written here; client: read there");
  add("test", po::value<std::string>()->default_value("read"), "read or write");
  add("size", po::value<std::uint32_t>()->default_value(4096), "bytes of data");
  add("depth", po::value<std::uint32_t>()->default_value(1), "client: exchanges under way, at most 32");
  add("count", po::value<std::uint32_t>()->default_value(5000), "exchanges");
  po::positional_options_description role;
  role.add("role", 1);
  po::variables_map values;
  po::store(po::command_line_parser(argc, argv).options(options).positional(role).run(), values);
  const auto text = [&](const char* name) { return values[name].as<std::string>(); };
  if (values.count("help") != 0) return std::cout << options << "\n", 0;
  const bool known_test = text("test") == "read" || text("test") == "write";
  const auto depth = values["depth"].as<std::uint32_t>();
  if (text("host").empty() || text("port-file").empty() || !known_test || depth == 0 || depth > kMaxDepth ||
      values["count"].as<std::uint32_t>() == 0) {
    std::cerr
        << "sluice-bare-exchange: --host, --port-file, a --test of read or write and a --depth of 1 to 32 "
           "are needed\n"
        << options;
    return 2;
  }
  const bool is_read = text("test") == "read";
  const auto bytes = values["size"].as<std::uint32_t>();
  if (text("role") == "server") return serve(text("host"), text("port-file"), is_read, bytes);
  if (text("role") != "client") {
    std::cerr << "sluice-bare-exchange: say server or client first\n";
    return 2;
  }
  std::uint16_t port = 0;
  std::ifstream(text("port-file")) >> port;
  return run(text("host"), port, is_read, bytes, depth, values["count"].as<std::uint32_t>());
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  try {
    return sluice::bench::main_with(argc, argv);
  } catch (const boost::program_options::error& error) {
    std::cerr << "sluice-bare-exchange: " << error.what() << "; --help tells more\n";
    return 2;
  }
}
