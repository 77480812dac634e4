#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "transport/transport_config.h"

namespace sluice::runtime {

/// The least and the greatest value that an option may have, in the option's unit.
struct Range {
  std::uint64_t least = 0;
  std::uint64_t greatest = std::numeric_limits<std::uint64_t>::max();
};

/// What may be wrong with a value that has the right type: nothing, or what was expected ("a directory that
/// exists").
using TextCheck = std::function<std::optional<std::string>(const std::string&)>;

/// One option: what it is called, what it may be, and the field that it is bound to.
class Option {
 public:
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  [[nodiscard]] const std::string& group() const noexcept { return group_; }
  [[nodiscard]] const std::string& help() const noexcept { return help_; }
  /// "integer from 0 to 63", "size", "true or false", "list of strings"...
  [[nodiscard]] const std::string& type() const noexcept { return type_; }
  /// The field's value when it was bound, as it would be written; empty: none.
  [[nodiscard]] const std::string& default_text() const noexcept { return default_text_; }
  [[nodiscard]] bool is_list() const noexcept { return is_list_; }
  [[nodiscard]] bool is_switch() const noexcept { return is_switch_; }
  [[nodiscard]] bool is_required() const noexcept { return is_required_; }
  [[nodiscard]] bool was_set() const noexcept { return was_set_; }

  /// The program can't run without a value from the user.
  Option& required() noexcept {
    is_required_ = true;
    return *this;
  }

  /// Sets the field. Errors: invalid_argument, "expected ..., not ..."; the field is unchanged.
  Status set(std::span<const std::string> values);
  /// What the field holds now: one text, or one an entry of a list.
  [[nodiscard]] std::vector<std::string> values() const { return show_(); }

 private:
  friend class OptionTable;

  std::string key_;
  std::string group_;
  std::string help_;
  std::string type_;
  std::string default_text_;
  bool is_list_ = false;
  bool is_switch_ = false;
  bool is_required_ = false;
  bool was_set_ = false;
  std::function<Status(std::span<const std::string>)> set_;
  std::function<std::vector<std::string>()> show_;
};

/// The options of one program, bound to the fields of its configuration: the one place from which the file
/// and the command line are read and checked, and from which --help and the reference page are written.
///
/// A field's value when it is bound is the option's default. The fields outlive the table.
class OptionTable {
 public:
  struct Program {
    std::string name;                ///< "sluice-node"
    std::string summary;             ///< what it is, one sentence
    std::string default_file;        ///< read if it exists and no other is named
    std::string file_variable = {};  ///< an environment variable that names another file; empty: none
  };

  explicit OptionTable(Program program) : program_(std::move(program)) {}
  OptionTable(const OptionTable&) = delete;
  OptionTable& operator=(const OptionTable&) = delete;
  OptionTable(OptionTable&&) noexcept = default;
  OptionTable& operator=(OptionTable&&) noexcept = default;
  ~OptionTable() = default;

  /// The heading under which the options that follow are listed.
  void group(std::string title) { group_ = std::move(title); }

  Option& add(std::string key, std::string& field, std::string help, TextCheck check = {});
  Option& add(std::string key, bool& field, std::string help);
  template <std::unsigned_integral Integer>
  Option& add(const std::string& key, Integer& field, Range range, const std::string& help) {
    range.greatest = std::min(range.greatest, std::uint64_t{std::numeric_limits<Integer>::max()});
    return add_number(
        key, range, [&field] { return std::uint64_t{field}; },
        [&field](std::uint64_t value) { field = static_cast<Integer>(value); }, help);
  }
  /// The key ends in the unit, `_ms` or `_us`, and so does `range`.
  Option& add(std::string key, std::chrono::milliseconds& field, Range range, std::string help);
  Option& add(std::string key, std::chrono::microseconds& field, Range range, std::string help);
  /// The unit of `range` and of what is written is the one in which the key ends, `_ms` or `_us`.
  Option& add(std::string key, Duration& field, Range range, std::string help);
  /// A size such as 10G; `range` in bytes.
  Option& add(std::string key, ByteCount& field, Range range, std::string help);
  Option& add_size(std::string key, std::size_t& field, Range range, std::string help);
  Option& add(std::string key, transport::Address& field, std::string help);
  Option& add(std::string key, std::vector<transport::Address>& field, std::string help);
  Option& add(std::string key, std::vector<std::string>& field, std::string help, TextCheck check = {});

  template <typename Enum>
  using Choices = std::vector<std::pair<std::string, Enum>>;
  /// One of a few words.
  template <typename Enum>
  Option& add_choice(const std::string& key, Enum& field, const Choices<Enum>& choices,
                     const std::string& help) {
    std::vector<std::string> words;
    for (const auto& [word, value] : choices)
      words.push_back(word);
    return add_words(
        key, std::move(words),
        [&field, choices] {
          std::size_t index = 0;
          while (choices[index].second != field)
            ++index;
          return index;
        },
        [&field, choices](std::size_t index) { field = choices[index].second; }, help);
  }

  /// What can be told only of several options together; looked at by verify().
  void add_rule(std::function<Status()> rule) { rules_.push_back(std::move(rule)); }

  /// Whether every required option has a value and every rule holds. Errors: invalid_argument.
  [[nodiscard]] Status verify() const;

  [[nodiscard]] const Program& program() const noexcept { return program_; }
  [[nodiscard]] const std::deque<Option>& options() const noexcept { return options_; }
  /// nullptr: there is none of that key.
  [[nodiscard]] Option* find(std::string_view key) noexcept;
  /// "; did you mean \"transport.provider\"?", or nothing if no key is near.
  [[nodiscard]] std::string suggestion_for(std::string_view key) const;

 private:
  using ReadNumber = std::function<std::uint64_t()>;
  using WriteNumber = std::function<void(std::uint64_t)>;

  Option& add_number(std::string key, Range range, ReadNumber read, WriteNumber write, std::string help);
  Option& add_bytes(std::string key, Range range, ReadNumber read, WriteNumber write, std::string help);
  Option& add_words(std::string key, std::vector<std::string> words, std::function<std::size_t()> read,
                    std::function<void(std::size_t)> write, std::string help);
  Option& add_option(std::string key, std::string type, std::string help, bool is_list,
                     std::function<Status(std::span<const std::string>)> set,
                     std::function<std::vector<std::string>()> show);

  Program program_;
  std::string group_;
  std::deque<Option> options_;  // a deque, so that an Option& stays good
  std::vector<std::function<Status()>> rules_;
};

/// The word of `words` that `word` is most likely a slip of; empty if none is near enough.
[[nodiscard]] std::string_view nearest_word(std::string_view word, std::span<const std::string> words);

}  // namespace sluice::runtime
