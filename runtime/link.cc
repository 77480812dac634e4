#include "runtime/link.h"

#include <utility>

#include "runtime/reactor.h"

namespace sluice::runtime {

Link::~Link() {
  reactor_.forget(*this);
}

void Link::attach(std::unique_ptr<transport::Channel> channel) noexcept {
  channel_ = std::move(channel);
  channel_->set_owner(this);
}

Status Link::send(const transport::OutgoingMessage& message) noexcept {
  touch();
  return channel_->send(message);
}

void Link::release(transport::MessageHandle message) noexcept {
  touch();
  channel_->release(message);
}

void Link::close() noexcept {
  channel_->close();
}

void Link::touch() noexcept {
  reactor_.touch(*this);
}

}  // namespace sluice::runtime
