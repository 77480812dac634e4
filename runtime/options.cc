#include "runtime/options.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "protocol/base/check.h"
#include "runtime/sizes.h"

namespace sluice::runtime {
namespace {

tl::unexpected<Error> expected(std::string_view what, std::string_view instead) {
  return fail(StatusCode::invalid_argument,
              "expected " + std::string(what) + ", not \"" + std::string(instead) + "\"");
}

std::string join(std::span<const std::string> words, std::string_view separator) {
  std::string joined;
  for (const std::string& word : words)
    joined += (joined.empty() ? "" : std::string(separator)) + word;
  return joined;
}

std::string describe_range(Range range, const std::function<std::string(std::uint64_t)>& show) {
  const bool has_top = range.greatest != std::numeric_limits<std::uint64_t>::max();
  if (has_top) return " from " + show(range.least) + " to " + show(range.greatest);
  return range.least == 0 ? "" : " of at least " + show(range.least);
}

std::optional<std::uint64_t> parse_integer(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string as_decimal(std::uint64_t value) {
  return std::to_string(value);
}

/// Runs a check on a value that has the right type.
Status run_check(const TextCheck& check, const std::string& value) {
  if (!check) return {};
  if (const std::optional<std::string> what = check(value)) return expected(*what, value);
  return {};
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

Status Option::set(std::span<const std::string> values) {
  if (!is_list_ && values.size() != 1) {
    return expected(type_, values.empty() ? "" : join(values, ", "));
  }
  Status done = set_(values);
  was_set_ = was_set_ || done.has_value();
  return done;
}

Option& OptionTable::add_option(std::string key, std::string type, std::string help, bool is_list,
                                std::function<Status(std::span<const std::string>)> set,
                                std::function<std::vector<std::string>()> show) {
  check(find(key) == nullptr, "an option is added once");
  Option& option = options_.emplace_back();
  option.key_ = std::move(key);
  option.group_ = group_;
  option.type_ = std::move(type);
  option.help_ = std::move(help);
  option.is_list_ = is_list;
  option.set_ = std::move(set);
  option.show_ = std::move(show);
  option.default_text_ = join(option.show_(), ", ");
  return option;
}

Option& OptionTable::add(std::string key, std::string& field, std::string help, TextCheck check) {
  return add_option(
      std::move(key), "string", std::move(help), false,
      [&field, check = std::move(check)](std::span<const std::string> values) -> Status {
        if (Status checked = run_check(check, values[0]); !checked) return checked;
        field = values[0];
        return {};
      },
      [&field] { return field.empty() ? std::vector<std::string>{} : std::vector<std::string>{field}; });
}

Option& OptionTable::add(std::string key, bool& field, std::string help) {
  Option& option = add_option(
      std::move(key), "true or false", std::move(help), false,
      [&field](std::span<const std::string> values) -> Status {
        if (values[0] != "true" && values[0] != "false") return expected("true or false", values[0]);
        field = values[0] == "true";
        return {};
      },
      [&field] { return std::vector<std::string>{field ? "true" : "false"}; });
  option.is_switch_ = true;
  return option;
}

Option& OptionTable::add_number(std::string key, Range range, ReadNumber read, WriteNumber write,
                                std::string help) {
  const std::string type = "integer" + describe_range(range, as_decimal);
  return add_option(
      std::move(key), type, std::move(help), false,
      [range, type, write = std::move(write)](std::span<const std::string> values) -> Status {
        const std::optional<std::uint64_t> value = parse_integer(values[0]);
        if (!value || *value < range.least || *value > range.greatest) {
          return expected("an " + type, values[0]);
        }
        write(*value);
        return {};
      },
      [read = std::move(read)] { return std::vector<std::string>{std::to_string(read())}; });
}

Option& OptionTable::add(std::string key, std::chrono::milliseconds& field, Range range, std::string help) {
  check(key.ends_with("_ms"), "a key of milliseconds ends in _ms");
  range.greatest =
      std::min(range.greatest, static_cast<std::uint64_t>(std::chrono::milliseconds::max().count()));
  return add_number(
      std::move(key), range, [&field] { return static_cast<std::uint64_t>(field.count()); },
      [&field](std::uint64_t value) { field = std::chrono::milliseconds(value); }, std::move(help));
}

Option& OptionTable::add(std::string key, std::chrono::microseconds& field, Range range, std::string help) {
  check(key.ends_with("_us"), "a key of microseconds ends in _us");
  range.greatest =
      std::min(range.greatest, static_cast<std::uint64_t>(std::chrono::microseconds::max().count()));
  return add_number(
      std::move(key), range, [&field] { return static_cast<std::uint64_t>(field.count()); },
      [&field](std::uint64_t value) { field = std::chrono::microseconds(value); }, std::move(help));
}

Option& OptionTable::add(std::string key, Duration& field, Range range, std::string help) {
  check(key.ends_with("_ms") || key.ends_with("_us"), "a key of a duration ends in its unit");
  const std::uint64_t unit_ns = key.ends_with("_ms") ? 1'000'000 : 1'000;
  range.greatest = std::min(range.greatest, static_cast<std::uint64_t>(Duration::max().count()) / unit_ns);
  return add_number(
      std::move(key), range,
      [&field, unit_ns] { return static_cast<std::uint64_t>(field.count()) / unit_ns; },
      [&field, unit_ns](std::uint64_t value) {
        field = Duration(static_cast<Duration::rep>(value * unit_ns));
      },
      std::move(help));
}

Option& OptionTable::add_bytes(std::string key, Range range, ReadNumber read, WriteNumber write,
                               std::string help) {
  const std::string type =
      "size" + describe_range(range, [](std::uint64_t bytes) { return format_exact_size(ByteCount(bytes)); });
  return add_option(
      std::move(key), type, std::move(help), false,
      [write = std::move(write), range, type](std::span<const std::string> values) -> Status {
        const Result<ByteCount> size = parse_size(values[0]);
        if (!size) return tl::unexpected(size.error());
        if (size->value() < range.least || size->value() > range.greatest) {
          return expected("a " + type, values[0]);
        }
        write(size->value());
        return {};
      },
      [read = std::move(read)] { return std::vector<std::string>{format_exact_size(ByteCount(read()))}; });
}

Option& OptionTable::add(std::string key, ByteCount& field, Range range, std::string help) {
  return add_bytes(
      std::move(key), range, [&field] { return field.value(); },
      [&field](std::uint64_t bytes) { field = ByteCount(bytes); }, std::move(help));
}

Option& OptionTable::add_size(std::string key, std::size_t& field, Range range, std::string help) {
  return add_bytes(
      std::move(key), range, [&field] { return field; }, [&field](std::uint64_t bytes) { field = bytes; },
      std::move(help));
}

Option& OptionTable::add(std::string key, transport::Address& field, std::string help) {
  return add_option(
      std::move(key), "HOST:PORT", std::move(help), false,
      [&field](std::span<const std::string> values) -> Status {
        const Result<transport::Address> address = transport::parse_address(values[0]);
        if (!address) return tl::unexpected(address.error());
        field = *address;
        return {};
      },
      [&field] {
        return field.host.empty() ? std::vector<std::string>{}
                                  : std::vector<std::string>{transport::to_string(field)};
      });
}

Option& OptionTable::add(std::string key, std::vector<transport::Address>& field, std::string help) {
  return add_option(
      std::move(key), "list of HOST:PORT", std::move(help), true,
      [&field](std::span<const std::string> values) -> Status {
        std::vector<transport::Address> addresses;
        for (const std::string& value : values) {
          const Result<transport::Address> address = transport::parse_address(value);
          if (!address) return tl::unexpected(address.error());
          addresses.push_back(*address);
        }
        field = std::move(addresses);
        return {};
      },
      [&field] {
        std::vector<std::string> texts;
        texts.reserve(field.size());
        for (const transport::Address& address : field)
          texts.push_back(transport::to_string(address));
        return texts;
      });
}

Option& OptionTable::add(std::string key, std::vector<std::string>& field, std::string help,
                         TextCheck check) {
  return add_option(
      std::move(key), "list of strings", std::move(help), true,
      [&field, check = std::move(check)](std::span<const std::string> values) -> Status {
        for (const std::string& value : values) {
          if (Status checked = run_check(check, value); !checked) return checked;
        }
        field.assign(values.begin(), values.end());
        return {};
      },
      [&field] { return field; });
}

Option& OptionTable::add_words(std::string key, std::vector<std::string> words,
                               std::function<std::size_t()> read, std::function<void(std::size_t)> write,
                               std::string help) {
  const std::string type = join(words, "|");
  return add_option(
      std::move(key), type, std::move(help), false,
      [words, type, write = std::move(write)](std::span<const std::string> values) -> Status {
        const auto found = std::find(words.begin(), words.end(), values[0]);
        if (found == words.end()) return expected(type, values[0]);
        write(static_cast<std::size_t>(found - words.begin()));
        return {};
      },
      [words, read = std::move(read)] { return std::vector<std::string>{words[read()]}; });
}

Status OptionTable::verify() const {
  for (const Option& option : options_) {
    if (option.is_required() && !option.was_set()) {
      return fail(StatusCode::invalid_argument,
                  option.key() + " is not set: " + option.help() + " (expected " + option.type() +
                      "; in the configuration file or as --" + option.key() + "=VALUE)");
    }
  }
  for (const auto& rule : rules_) {
    if (Status holds = rule(); !holds) return holds;
  }
  return {};
}

Option* OptionTable::find(std::string_view key) noexcept {
  const auto found =
      std::find_if(options_.begin(), options_.end(), [key](const Option& o) { return o.key() == key; });
  return found == options_.end() ? nullptr : &*found;
}

std::string OptionTable::suggestion_for(std::string_view key) const {
  std::vector<std::string> keys;
  keys.reserve(options_.size());
  for (const Option& option : options_)
    keys.push_back(option.key());
  const std::string_view near = nearest_word(key, keys);
  if (near.empty()) return {};
  return "; did you mean \"" + std::string(near) + "\"?";
}

std::string_view nearest_word(std::string_view word, std::span<const std::string> words) {
  constexpr std::size_t kMaxLength = 200;  // of a slip that is worth the work
  if (word.size() > kMaxLength) return {};
  std::string_view nearest;
  std::size_t least = std::max<std::size_t>(2, word.size() / 4) + 1;
  for (const std::string& candidate : words) {
    // The last part alone is what people forget to put under its group.
    const bool is_tail = !word.empty() && candidate.ends_with("." + std::string(word));
    const std::size_t distance = is_tail ? 1 : edit_distance(word, candidate);
    if (distance < least && distance < candidate.size()) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace sluice::runtime
