#pragma once

#include <vector>

#include "protocol/control_messages.h"

namespace sluice::protocol::test {

/// One good message of each type, in the order of their types.
inline std::vector<ControlMessage> sample_messages() {
  const Gvn gvn = make_gvn(ManagerVersion(1), OpenVersion(9));
  const ClientId client = *ClientId::from("host-1/qemu-7");

  OpenRequest open;
  open.name = *VolumeName::from("db");
  open.client = client;
  open.nonce = Nonce(42);

  OpenAnswer opened;
  opened.volume = VolumeId(11);
  opened.gvn = gvn;
  opened.size = ByteCount(1U << 30U);
  opened.block_size = 4096;
  opened.manager_version = ManagerVersion(1);
  opened.node = NodeId(5);
  opened.boot = BootId(6);
  opened.node_up = true;
  opened.holder = client;
  opened.holder_gvn = gvn;
  opened.addresses.push_back(*NodeAddress::from("10.0.0.1:7471"));

  SessionAnswer session;
  session.volume = VolumeId(11);
  session.gvn = gvn;
  session.fence = gvn;
  session.node = NodeId(5);
  session.boot = BootId(6);
  session.cookie = Cookie(0x1234);
  session.window = 1024;
  session.max_paths = 2;

  VerifyAnswer verified;
  verified.volume = VolumeId(11);
  verified.gvn = gvn;
  verified.manager_version = ManagerVersion(1);
  verified.mode = AccessMode::read_only;
  verified.policy = WritePolicy::write_back;
  verified.era = make_gvn(ManagerVersion(1), OpenVersion(7));
  verified.current_gvn = gvn;
  verified.size = ByteCount(1U << 30U);
  verified.block_size = 512;

  Hello hello;
  hello.node = NodeId(5);
  hello.boot = BootId(6);
  hello.manager_version = ManagerVersion(1);
  hello.addresses.push_back(*NodeAddress::from("10.0.0.1:7471"));
  hello.addresses.push_back(*NodeAddress::from("10.0.1.1:7471"));
  hello.fences.push_back(FenceReport{VolumeId(1), make_gvn(ManagerVersion(1), OpenVersion(2))});
  hello.fences.push_back(FenceReport{VolumeId(2), make_gvn(ManagerVersion(1), OpenVersion(9))});

  return {open,
          opened,
          SessionOpen{VolumeId(11), gvn, client, Nonce(42)},
          session,
          VerifyRequest{VolumeId(11), gvn, client, Nonce(42), NodeId(5), BootId(6)},
          verified,
          QuiesceRequest{VolumeId(11), gvn, ManagerVersion(1)},
          QuiesceAnswer{StatusCode::ok, VolumeId(11), gvn},
          hello,
          HelloAnswer{StatusCode::ok, ManagerVersion(1)},
          CloseRequest{VolumeId(11), gvn, client, Nonce(42)},
          CloseAnswer{StatusCode::ok, VolumeId(11), gvn},
          Keepalive{false, 3}};
}

}  // namespace sluice::protocol::test
