// In the steady state nothing of ours allocates or locks.

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>

#include <catch2/catch.hpp>

#include "tests/contract/call_counter.h"
#include "tests/contract/channel_stage.h"

namespace sluice::transport::contract {

namespace {

/// Two channels that exchange requests (WRITE + SEND) and answers as a client and a node do.
class Exchange {
 public:
  void run(std::uint64_t count, bool waiting) {
    const std::uint64_t until = answered_ + count;
    while (answered_ < until) {
      if (asked_ == answered_) ask();
      turn(stage_.server, waiting);
      turn(stage_.client, waiting);
    }
  }

 private:
  void ask() {
    const WorkRequest write =
        write_of(stage_.client.party.local(0, 4096), stage_.server.party.region().remote(8192), 0);
    if (!stage_.client.channel->send({.before = std::span(&write, 1), .head = head_, .notify = true}))
      std::abort();
    if (!stage_.client.channel->flush()) std::abort();
    ++asked_;
  }

  void turn(ChannelEnd& end, bool waiting) {
    std::array<Completion, 16> taken;
    CompletionQueue& queue = end.party.queue();
    const std::size_t count = waiting ? queue.wait(taken, std::chrono::microseconds(100)) : queue.poll(taken);
    for (const Completion& completion : std::span(taken).first(count)) {
      const ChannelEvent event = end.channel->on_completion(completion);
      if (!completion.is_receive) {
        while (end.channel->more_sent().kind != ChannelEvent::Kind::none) {
        }
      }
      if (event.kind != ChannelEvent::Kind::message) continue;
      end.channel->release(event.message);
      if (&end == &stage_.client) {
        ++answered_;
      } else if (!end.channel->send({.head = head_})) {
        std::abort();
      }
    }
    if (!end.channel->flush()) std::abort();
    if (count == 0 && !waiting) advance();
  }

  void advance() { stage_.advance(); }

  ChannelStage stage_{{.max_receive_bytes = 256, .receive_credits = 8, .send_depth = 32}};
  std::array<std::byte, 64> head_{};
  std::uint64_t asked_ = 0;
  std::uint64_t answered_ = 0;
};

std::uint64_t report(const CallCounter& counter, const char* what) {
  std::uint64_t ours = 0;
  for (const auto& [caller, count] : counter.by_caller()) {
    std::printf("%s: %s: %llu\n", what, caller.c_str(), static_cast<unsigned long long>(count));
    const bool is_ours = caller.ends_with(" from us") || caller.find("libstdc++") != std::string::npos;
    const bool is_allocation =
        caller.find("alloc") != std::string::npos || caller.find("memalign") != std::string::npos;
    if (is_ours || is_allocation) ours += count;
  }
  return ours;
}

}  // namespace

TEST_CASE("the counters count: an allocation and a lock of our own are seen") {
  std::mutex mutex;
  CallCounter counter;
  const auto volatile_allocation = std::make_unique<std::array<std::byte, 100>>();
  mutex.lock();
  mutex.unlock();
  counter.stop();
  const auto counts = counter.by_caller();
  std::uint64_t allocations = 0;
  std::uint64_t locks = 0;
  for (const auto& [caller, count] : counts) {
    if (caller.starts_with("malloc")) allocations += count;
    if (caller == "pthread_mutex_lock from us") locks += count;
  }
  CHECK(volatile_allocation != nullptr);
  CHECK(allocations == 1);
  CHECK(locks == 1);
}

TEST_CASE("ten thousand exchanges allocate nothing and take no lock of ours, polling and waiting") {
  Exchange exchange;
  for (const bool waiting : {false, true}) {
    exchange.run(1'000, waiting);
    CallCounter counter;
    exchange.run(10'000, waiting);
    counter.stop();
    CHECK(report(counter, waiting ? "waiting" : "polling") == 0);
  }
}

}  // namespace sluice::transport::contract
