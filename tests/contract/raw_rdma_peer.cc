#include "tests/contract/raw_rdma_peer.h"

#include <algorithm>
#include <string>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <netdb.h>

namespace sluice::transport::contract {

namespace {

constexpr int kStepTimeoutMs = 2000;

sockaddr_storage resolved(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  REQUIRE(::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) == 0);
  sockaddr_storage address{};
  std::copy_n(reinterpret_cast<const std::byte*>(found->ai_addr), found->ai_addrlen,
              reinterpret_cast<std::byte*>(&address));
  ::freeaddrinfo(found);
  return address;
}

}  // namespace

RawRdmaPeer::RawRdmaPeer(std::span<const std::byte> says)
    : says_(says.begin(), says.end()), channel_(::rdma_create_event_channel()) {
  REQUIRE(channel_ != nullptr);
  REQUIRE(::fcntl(channel_->fd, F_SETFL, O_NONBLOCK) == 0);
  REQUIRE(::rdma_create_id(channel_, &id_, nullptr, RDMA_PS_TCP) == 0);
}

std::unique_ptr<RawRdmaPeer> RawRdmaPeer::connecting(const Address& server, std::span<const std::byte> says) {
  std::unique_ptr<RawRdmaPeer> peer(new RawRdmaPeer(says));
  sockaddr_storage address = resolved(server.host, server.port);
  REQUIRE(::rdma_resolve_addr(peer->id_, nullptr, reinterpret_cast<sockaddr*>(&address), kStepTimeoutMs) ==
          0);
  return peer;
}

std::unique_ptr<RawRdmaPeer> RawRdmaPeer::listening(const std::string& host,
                                                    std::span<const std::byte> says) {
  std::unique_ptr<RawRdmaPeer> peer(new RawRdmaPeer(says));
  sockaddr_storage address = resolved(host, 0);
  REQUIRE(::rdma_bind_addr(peer->id_, reinterpret_cast<sockaddr*>(&address)) == 0);
  REQUIRE(::rdma_listen(peer->id_, 4) == 0);
  return peer;
}

RawRdmaPeer::~RawRdmaPeer() {
  for (rdma_cm_id* const id : {accepted_, id_}) {
    if (id == nullptr) continue;
    if (id->qp != nullptr) ::rdma_destroy_qp(id);
    ::rdma_destroy_id(id);
  }
  ::rdma_destroy_event_channel(channel_);
}

std::uint16_t RawRdmaPeer::port() const noexcept {
  return ntohs(::rdma_get_src_port(id_));
}

void RawRdmaPeer::turn() {
  rdma_cm_event* event = nullptr;
  while (::rdma_get_cm_event(channel_, &event) == 0) {
    on_event(*event);
    ::rdma_ack_cm_event(event);
  }
}

void RawRdmaPeer::on_event(const rdma_cm_event& event) {
  switch (event.event) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
      REQUIRE(::rdma_resolve_route(id_, kStepTimeoutMs) == 0);
      break;
    case RDMA_CM_EVENT_ROUTE_RESOLVED: {
      make_queue_pair(id_);
      rdma_conn_param wanted = parameters();
      REQUIRE(::rdma_connect(id_, &wanted) == 0);
      break;
    }
    case RDMA_CM_EVENT_CONNECT_REQUEST: {
      accepted_ = event.id;
      make_queue_pair(accepted_);
      rdma_conn_param offered = parameters();
      REQUIRE(::rdma_accept(accepted_, &offered) == 0);
      break;
    }
    case RDMA_CM_EVENT_ESTABLISHED:
      answer_ = Answer::accepted;
      break;
    case RDMA_CM_EVENT_REJECTED: {
      answer_ = Answer::refused;
      const auto* const data = static_cast<const std::byte*>(event.param.conn.private_data);
      if (data != nullptr) heard_.assign(data, data + event.param.conn.private_data_len);
      break;
    }
    default:
      if (answer_ == Answer::none) answer_ = Answer::failed;
      break;
  }
}

void RawRdmaPeer::make_queue_pair(rdma_cm_id* id) {
  ibv_qp_init_attr wanted{};
  wanted.qp_type = IBV_QPT_RC;
  wanted.cap = {
      .max_send_wr = 1, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1, .max_inline_data = 0};
  REQUIRE(::rdma_create_qp(id, nullptr, &wanted) == 0);
}

rdma_conn_param RawRdmaPeer::parameters() const noexcept {
  rdma_conn_param made{};
  made.private_data = says_.data();
  made.private_data_len = static_cast<std::uint8_t>(says_.size());
  made.responder_resources = 1;
  made.initiator_depth = 1;
  return made;
}

}  // namespace sluice::transport::contract
