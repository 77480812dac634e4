#include "transport/sim/fabric.h"

#include "transport/sim/queue_pair.h"

namespace sluice::transport::sim {

namespace {

void run_queue_pair_event(QueuePair& queue_pair, EventKind kind) {
  switch (kind) {
    case EventKind::transmit:
      queue_pair.on_transmit();
      return;
    case EventKind::read_response:
      queue_pair.on_read_response();
      return;
    case EventKind::acknowledge_timer:
      queue_pair.on_acknowledge_timer();
      return;
    case EventKind::receiver_not_ready_timer:
      queue_pair.on_receiver_not_ready_timer();
      return;
    case EventKind::send_completions:
      queue_pair.on_send_completions();
      return;
    case EventKind::receive_completions:
      queue_pair.on_receive_completions();
      return;
    case EventKind::queue_pair_fault:
      queue_pair.break_down();
      return;
    case EventKind::late_arrivals:
      queue_pair.on_late_arrivals();
      return;
    case EventKind::deadline:
      queue_pair.on_deadline();
      return;
    case EventKind::packet_arrival:
    case EventKind::message_arrival:
    case EventKind::message_timer:
    case EventKind::call:
      check(false, "an event goes to what it is for");
  }
}

void deliver_packet(Wire& wire, std::uint64_t slot) {
  Packet& packet = wire.packets.at(slot);
  QueuePair* const queue_pair = wire.find(packet.to);
  const bool is_work = packet.kind == PacketKind::send || packet.kind == PacketKind::write;
  // Before it is executed, which may take its payload away.
  if (wire.on_arrival && is_work) {
    wire.on_arrival({packet.kind == PacketKind::write, queue_pair != nullptr && queue_pair->takes_packets(),
                     packet.fragment, packet.payload});
  }
  if (queue_pair != nullptr) {
    queue_pair->on_packet(packet);
  } else {
    wire.core.note(TraceKind::packet_unwanted, packet.to);
  }
  wire.packets.give_back(slot);
}

}  // namespace

bool Fabric::step() {
  if (!core.next_event_time()) return false;
  const Event event = core.take_event();
  switch (event.kind) {
    case EventKind::packet_arrival:
      deliver_packet(wire, event.target);
      return true;
    case EventKind::message_arrival:
      connections.on_message(event.target);
      return true;
    case EventKind::message_timer:
      connections.on_timer(event.target);
      return true;
    case EventKind::call: {
      const auto call = calls.extract(event.target);
      if (!call.empty()) call.mapped()();
      return true;
    }
    default:
      if (QueuePair* queue_pair = wire.find(event.target); queue_pair != nullptr)
        run_queue_pair_event(*queue_pair, event.kind);
      return true;
  }
}

}  // namespace sluice::transport::sim
