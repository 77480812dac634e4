#pragma once

#include <cstdint>
#include <string>

#include "protocol/base/clock.h"
#include "transport/transport_config.h"

namespace sluice::storage_node {

/// Lines that a misbehaving peer can cause again and again: so many a second are written, the rest is
/// counted.
class RefusalLog {
 public:
  explicit RefusalLog(transport::LogSink sink) : sink_(std::move(sink)) {}

  void say(const std::string& line) {
    if (said_ == kLinesPerSecond) {
      ++left_out_;
      return;
    }
    ++said_;
    if (sink_) sink_(transport::LogLevel::info, line);
  }

  void tick(Instant now) {
    if (now - second_ < std::chrono::seconds(1)) return;
    second_ = now;
    said_ = 0;
    if (left_out_ == 0) return;
    if (sink_) sink_(transport::LogLevel::info, std::to_string(left_out_) + " more refusals");
    left_out_ = 0;
  }

 private:
  static constexpr std::uint32_t kLinesPerSecond = 20;

  transport::LogSink sink_;
  Instant second_;
  std::uint32_t said_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace sluice::storage_node
