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

  VolumeCommand create;
  create.name = *VolumeName::from("db");
  create.size = ByteCount(1U << 30U);
  create.block_size = 4096;

  CommandAnswer refused;
  refused.status = StatusCode::already_exists;
  refused.volume = VolumeId(11);
  refused.node = NodeId(5);
  refused.reason = *Text::from("there is a volume of that name");

  VolumeList volumes;
  volumes.manager_version = ManagerVersion(1);
  volumes.volumes.push_back(VolumeEntry{VolumeId(11), *VolumeName::from("db"), ByteCount(1U << 30U), 4096,
                                        WritePolicy::write_back, NodeId(5), NodeId(6), ByteCount(4096), gvn,
                                        1, AccessMode::read_write, client});

  NodeList nodes;
  nodes.manager_version = ManagerVersion(1);
  nodes.more = true;
  nodes.nodes.push_back(NodeEntry{NodeId(5), BootId(6), true, true, false, ByteCount(1U << 30U),
                                  ByteCount(1U << 20U), 3, 2, hello.addresses});

  VolumeStatus status;
  status.volume = VolumeId(11);
  status.fence = gvn;
  status.locked = true;
  status.sessions.push_back(SessionEntry{gvn, client, AccessMode::read_write, true, 2, 31});
  for (std::size_t i = 0; i < 3; ++i)
    status.refusals.push_back(RefusalEntry{i});

  VolumeOrder copy;
  copy.verb = OrderVerb::copy;
  copy.volume = VolumeId(11);
  copy.size = ByteCount(1U << 30U);
  copy.block_size = 512;
  copy.gvn = gvn;
  copy.manager_version = ManagerVersion(1);
  copy.source = hello.addresses;

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
          Keepalive{false, 3},
          create,
          NodeCommand{NodeVerb::drain, NodeId(5)},
          refused,
          ListVolumes{{}, VolumeId(11)},
          volumes,
          ListNodes{NodeId(4)},
          nodes,
          VolumeStatusRequest{VolumeId(11)},
          status,
          Heartbeat{NodeId(5), BootId(6), ByteCount(1U << 30U), ByteCount(1U << 20U), 2},
          HeartbeatAnswer{StatusCode::not_master, ManagerVersion(1)},
          copy,
          VolumeOrderAnswer{StatusCode::moving, VolumeId(11), ByteCount(8192), {}},
          CopyRead{VolumeId(11), gvn, ByteCount(8192), 4096, 0x77, 0x1000},
          CopyReadAnswer{StatusCode::ok, VolumeId(11), ByteCount(8192), false, 0x1234, true}};
}

}  // namespace sluice::protocol::test
