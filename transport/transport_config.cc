#include "transport/transport_config.h"

#include <charconv>

namespace sluice::transport {

Result<Address> parse_address(std::string_view text) {
  const auto refuse = [text](std::string_view why) {
    return fail(StatusCode::invalid_argument,
                "address \"" + std::string(text) + "\": " + std::string(why) +
                    "; expected HOST:PORT, for instance 10.0.0.7:7400 or [fe80::1]:7400");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refuse("no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return refuse("an IPv6 address goes in brackets");
  }
  if (host.empty()) return refuse("no host");
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc{} || end != port_text.data() + port_text.size()) {
    return refuse("the port is no number from 0 to 65535");
  }
  return Address{std::string(host), port};
}

std::string to_string(const Address& address) {
  const bool is_ipv6 = address.host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

Result<ProviderChoice> parse_provider_choice(std::string_view text) {
  for (const ProviderChoice choice :
       {ProviderChoice::automatic, ProviderChoice::verbs, ProviderChoice::ofi}) {
    if (text == to_string(choice)) return choice;
  }
  return fail(StatusCode::invalid_argument,
              "unknown transport provider \"" + std::string(text) + "\": expected auto, verbs or ofi");
}

std::string_view to_string(ProviderChoice choice) noexcept {
  switch (choice) {
    case ProviderChoice::automatic:
      return "auto";
    case ProviderChoice::verbs:
      return "verbs";
    case ProviderChoice::ofi:
      return "ofi";
  }
  return "unknown";
}

}  // namespace sluice::transport
