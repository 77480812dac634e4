// A device that takes only the first requests of a chain, as ibv_post_send(3) allows: the rest of its call's
// `bad_wr`.

#include <cerrno>
#include <utility>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <rdma/rdma_cma.h>

#include "tests/contract/stage.h"

namespace sluice::transport::contract {

namespace {

/// Stands between libibverbs and the driver of one device, and refuses what comes after the first `taken`
/// requests of the next chain that is longer. librdmacm has one context a device and process, so it is the
/// provider's too.
class ShortPost {
 public:
  explicit ShortPost(const Address& device_address) : channel_(rdma_create_event_channel()) {
    REQUIRE(channel_ != nullptr);
    REQUIRE(rdma_create_id(channel_, &id_, nullptr, RDMA_PS_TCP) == 0);
    sockaddr_in local{};
    local.sin_family = AF_INET;
    REQUIRE(inet_pton(AF_INET, device_address.host.c_str(), &local.sin_addr) == 1);
    REQUIRE(rdma_bind_addr(id_, reinterpret_cast<sockaddr*>(&local)) == 0);
    driver_post = id_->verbs->ops.post_send;
    id_->verbs->ops.post_send = &ShortPost::post;
  }
  ShortPost(const ShortPost&) = delete;
  ShortPost& operator=(const ShortPost&) = delete;
  ~ShortPost() {
    id_->verbs->ops.post_send = driver_post;
    limit = 0;
    rdma_destroy_id(id_);
    rdma_destroy_event_channel(channel_);
  }

  void take_only(std::size_t requests) { limit = requests; }
  [[nodiscard]] bool has_refused() const { return limit == 0; }

 private:
  static int post(ibv_qp* queue_pair, ibv_send_wr* chain, ibv_send_wr** refused) {
    ibv_send_wr* last = chain;
    for (std::size_t taken = 1; taken < limit && last != nullptr; ++taken)
      last = last->next;
    if (limit == 0 || last == nullptr || last->next == nullptr)
      return driver_post(queue_pair, chain, refused);
    limit = 0;
    ibv_send_wr* const rest = std::exchange(last->next, nullptr);
    const int result = driver_post(queue_pair, chain, refused);
    last->next = rest;
    if (result != 0) return result;
    *refused = rest;
    return ENOMEM;
  }

  static inline int (*driver_post)(ibv_qp*, ibv_send_wr*, ibv_send_wr**) = nullptr;
  static inline std::size_t limit = 0;  ///< 0: takes everything

  rdma_event_channel* channel_;
  rdma_cm_id* id_ = nullptr;
};

}  // namespace

TEST_CASE(
    "field bug: a device that takes a part of a chain: the part may execute, the rest completes as flushed") {
  const std::size_t taken = GENERATE(1U, 2U, 3U, 7U);
  constexpr std::size_t kChain = 8;
  Stage stage;
  Pair pair = stage.connect({.server_receives = kChain, .receive_bytes = 64});
  std::vector<WorkRequest> chain;
  for (std::uint32_t i = 0; i < kChain; ++i)
    chain.push_back(send_of(stage.client.local(4096, 8), i));
  ShortPost device(stage.fabric->address(0));
  device.take_only(taken);
  REQUIRE(stage.client.post(*pair.client, chain));
  REQUIRE(device.has_refused());
  stage.expect_both_drain(pair);
  CHECK(stage.client.completions.size() == kChain);
  for (std::uint32_t i = 0; i < kChain; ++i) {
    const Completion* const completion = stage.client.find(send_id(i));
    REQUIRE(completion != nullptr);
    if (i >= taken) CHECK(completion->status == CompletionStatus::flushed);
  }
  CHECK(stage.server.count_receives(CompletionStatus::success) <= taken);
  CHECK(pair.client->failure().message.find("refused a work request") != std::string::npos);
}

}  // namespace sluice::transport::contract
