#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "protocol/base/check.h"
#include "protocol/base/status.h"
#include "protocol/base/units.h"
#include "protocol/fixed_vector.h"
#include "protocol/identifiers.h"

/// How messages become bytes. Each message lists its fields once, in wire order, in a static function
///
///     template <typename Self, typename Visitor>
///     static constexpr void fields(Self& self, Visitor& visit) {
///       visit("gvn", self.gvn, "the session's version");
///     }
///
/// and the visitors below write, read, measure, print and document that list, so that the five can't drift
/// apart. Numbers are little-endian and unaligned. A name takes one length byte and its full width, zero
/// padded; a vector takes a 16-bit count and the elements it has.
namespace sluice::protocol {

static_assert(std::endian::native == std::endian::little,
              "numbers are copied as they are: a big-endian machine needs byte swaps in store and load");

/// Codes that may travel. `to_string` knows exactly those of the table.
[[nodiscard]] inline bool is_valid(StatusCode code) noexcept {
  return to_string(code) != "unknown_status";
}

namespace wire {

template <typename T>
struct QuantityTraits : std::false_type {};
template <typename Tag, typename Rep>
struct QuantityTraits<Quantity<Tag, Rep>> : std::true_type {};

template <typename T>
struct NameTraits : std::false_type {};
template <typename Tag, std::size_t Length, char Lowest>
struct NameTraits<ShortName<Tag, Length, Lowest>> : std::true_type {};

template <typename T>
struct VectorTraits : std::false_type {};
template <typename T, std::size_t Capacity>
struct VectorTraits<FixedVector<T, Capacity>> : std::true_type {};

template <typename T>
concept QuantityField = QuantityTraits<std::remove_const_t<T>>::value;
template <typename T>
concept NameField = NameTraits<std::remove_const_t<T>>::value;
template <typename T>
concept VectorField = VectorTraits<std::remove_const_t<T>>::value;
template <typename T>
concept EnumField = std::is_enum_v<T>;
template <typename T>
concept BoolField = std::same_as < std::remove_const_t<T>,
bool > ;
template <typename T>
concept NumberField = std::unsigned_integral<T> && !BoolField<T>;

/// Writes fields into memory that the caller has made large enough.
class Writer {
 public:
  explicit Writer(std::span<std::byte> out) noexcept : begin_(out.data()), size_(out.size()) {}

  template <NumberField T>
  void operator()(std::string_view /*name*/, const T& value, std::string_view /*meaning*/) noexcept {
    put(&value, sizeof value);
  }
  template <BoolField T>
  void operator()(std::string_view name, const T& value, std::string_view meaning) noexcept {
    (*this)(name, static_cast<std::uint8_t>(value ? 1 : 0), meaning);
  }
  template <QuantityField T>
  void operator()(std::string_view name, const T& value, std::string_view meaning) noexcept {
    (*this)(name, value.value(), meaning);
  }
  template <EnumField T>
  void operator()(std::string_view name, const T& value, std::string_view meaning) noexcept {
    (*this)(name, static_cast<std::underlying_type_t<T>>(value), meaning);
  }
  template <NameField T>
  void operator()(std::string_view name, const T& value, std::string_view meaning) noexcept {
    const std::string_view text = value.view();
    (*this)(name, static_cast<std::uint8_t>(text.size()), meaning);
    put(text.data(), text.size());
    zeroes(T::kMaxLength - text.size());
  }
  template <VectorField T>
  void operator()(std::string_view name, const T& vector, std::string_view meaning) noexcept {
    (*this)(name, static_cast<std::uint16_t>(vector.size()), meaning);
    for (const auto& element : vector)
      put_element(element);
  }
  void zeroes(std::size_t count) noexcept {
    check(count <= size_ - at_, "a message fits the memory that it is encoded into");
    std::memset(begin_ + at_, 0, count);
    at_ += count;
  }
  void reserved(std::size_t count) noexcept { zeroes(count); }

  [[nodiscard]] std::size_t written() const noexcept { return at_; }

 private:
  template <typename T>
  void put_element(const T& element) noexcept {
    if constexpr (NameField<T>) {
      (*this)("", element, "");
    } else {
      T::fields(element, *this);
    }
  }
  void put(const void* from, std::size_t count) noexcept {
    check(count <= size_ - at_, "a message fits the memory that it is encoded into");
    if (count != 0) std::memcpy(begin_ + at_, from, count);
    at_ += count;
  }

  std::byte* begin_;
  std::size_t size_;
  std::size_t at_ = 0;
};

/// Reads fields from input that may be anything. The first field that is short or holds what it may not
/// stops it: everything after that is left alone, and `failed_field()` names the culprit.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) noexcept : begin_(in.data()), size_(in.size()) {}

  template <NumberField T>
  void operator()(std::string_view name, T& value, std::string_view /*meaning*/) noexcept {
    if (const std::byte* from = take(name, sizeof value)) std::memcpy(&value, from, sizeof value);
  }
  template <BoolField T>
  void operator()(std::string_view name, T& value, std::string_view meaning) noexcept {
    std::uint8_t number = 0;
    (*this)(name, number, meaning);
    require(number <= 1, name);
    value = number == 1;
  }
  template <QuantityField T>
  void operator()(std::string_view name, T& value, std::string_view meaning) noexcept {
    typename T::rep number = 0;
    (*this)(name, number, meaning);
    value = T(number);
  }
  template <EnumField T>
  void operator()(std::string_view name, T& value, std::string_view meaning) noexcept {
    std::underlying_type_t<T> number{};
    (*this)(name, number, meaning);
    if (!ok()) return;
    const T candidate = static_cast<T>(number);
    require(is_valid(candidate), name);
    if (ok()) value = candidate;
  }
  template <NameField T>
  void operator()(std::string_view name, T& value, std::string_view meaning) noexcept {
    std::uint8_t length = 0;
    (*this)(name, length, meaning);
    const std::byte* from = take(name, T::kMaxLength);
    if (from == nullptr) return;
    require(length <= T::kMaxLength, name);
    if (!ok()) return;
    const auto text = T::from({reinterpret_cast<const char*>(from), length});
    require(text.has_value() && all_zero({from + length, T::kMaxLength - length}), name);
    if (ok()) value = *text;
  }
  template <VectorField T>
  void operator()(std::string_view name, T& vector, std::string_view meaning) noexcept {
    std::uint16_t count = 0;
    (*this)(name, count, meaning);
    require(count <= T::kCapacity, name);
    vector.clear();
    for (std::uint16_t i = 0; i < count && ok(); ++i)
      vector.push_back(get_element<typename T::value_type>(name));
  }
  void reserved(std::size_t count) noexcept {
    if (const std::byte* from = take("reserved", count)) require(all_zero({from, count}), "reserved");
  }

  /// Marks `field` as wrong unless `holds`, or unless an earlier one was.
  void require(bool holds, std::string_view field) noexcept {
    if (!holds && ok()) failed_field_ = field;
  }

  [[nodiscard]] bool ok() const noexcept { return failed_field_.empty(); }
  [[nodiscard]] std::string_view failed_field() const noexcept { return failed_field_; }
  [[nodiscard]] std::size_t consumed() const noexcept { return at_; }

 private:
  template <typename T>
  T get_element(std::string_view name) noexcept {
    T element;
    if constexpr (NameField<T>) {
      (*this)(name, element, "");
    } else {
      T::fields(element, *this);
    }
    return element;
  }
  const std::byte* take(std::string_view name, std::size_t count) noexcept {
    require(count <= size_ - at_, name);
    if (!ok()) return nullptr;
    const std::byte* from = begin_ + at_;
    at_ += count;
    return from;
  }
  static bool all_zero(std::span<const std::byte> bytes) noexcept {
    for (const std::byte byte : bytes) {
      if (byte != std::byte{0}) return false;
    }
    return true;
  }

  const std::byte* begin_;
  std::size_t size_;
  std::size_t at_ = 0;
  std::string_view failed_field_;
};

/// Adds up the widest form of each field.
class Sizer {
 public:
  template <NumberField T>
  constexpr void operator()(std::string_view /*name*/, const T& /*value*/, std::string_view /*meaning*/) {
    size_ += sizeof(T);
  }
  template <BoolField T>
  constexpr void operator()(std::string_view /*name*/, const T& /*value*/, std::string_view /*meaning*/) {
    size_ += 1;
  }
  template <QuantityField T>
  constexpr void operator()(std::string_view /*name*/, const T& /*value*/, std::string_view /*meaning*/) {
    size_ += sizeof(typename T::rep);
  }
  template <EnumField T>
  constexpr void operator()(std::string_view /*name*/, const T& /*value*/, std::string_view /*meaning*/) {
    size_ += sizeof(T);
  }
  template <NameField T>
  constexpr void operator()(std::string_view /*name*/, const T& /*value*/, std::string_view /*meaning*/) {
    size_ += 1 + T::kMaxLength;
  }
  template <VectorField T>
  constexpr void operator()(std::string_view /*name*/, const T& /*value*/, std::string_view /*meaning*/) {
    using Element = typename T::value_type;
    Sizer one;
    const Element element{};
    if constexpr (NameField<Element>) {
      one("", element, "");
    } else {
      Element::fields(element, one);
    }
    size_ += sizeof(std::uint16_t) + T::kCapacity * one.size();
  }
  constexpr void reserved(std::size_t count) { size_ += count; }

  [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }

 private:
  std::size_t size_ = 0;
};

/// Bytes that a message takes at most; exactly that many if it has no vector.
template <typename Message>
consteval std::size_t max_size() {
  Sizer sizer;
  const Message message{};
  Message::fields(message, sizer);
  return sizer.size();
}

/// Writes "name=value" for each field, separated by a space; reserved bytes aren't shown.
class Printer {
 public:
  template <NumberField T>
  void operator()(std::string_view name, const T& value, std::string_view /*meaning*/) {
    label(name);
    text_ += std::to_string(value);
  }
  template <BoolField T>
  void operator()(std::string_view name, const T& value, std::string_view /*meaning*/) {
    label(name);
    text_ += value ? "yes" : "no";
  }
  template <QuantityField T>
  void operator()(std::string_view name, const T& value, std::string_view /*meaning*/) {
    label(name);
    if constexpr (std::same_as<T, Gvn>) {
      text_ += to_string(value);
    } else {
      text_ += std::to_string(value.value());
    }
  }
  template <EnumField T>
  void operator()(std::string_view name, const T& value, std::string_view /*meaning*/) {
    label(name);
    text_ += to_string(value);
  }
  template <NameField T>
  void operator()(std::string_view name, const T& value, std::string_view /*meaning*/) {
    label(name);
    text_ += value.empty() ? std::string_view("-") : value.view();
  }
  template <VectorField T>
  void operator()(std::string_view name, const T& vector, std::string_view /*meaning*/) {
    label(name);
    text_ += '[';
    bool first = true;
    for (const auto& element : vector) {
      if (!first) text_ += ", ";
      first = false;
      print_element(element);
    }
    text_ += ']';
  }
  void reserved(std::size_t /*count*/) noexcept {}

  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  template <typename T>
  void print_element(const T& element) {
    if constexpr (NameField<T>) {
      text_ += element.view();
    } else {
      Printer inner;
      T::fields(element, inner);
      text_ += inner.text();
    }
  }
  void label(std::string_view name) {
    if (!text_.empty() && text_.back() != '[') text_ += ' ';
    text_ += name;
    text_ += '=';
  }

  std::string text_;
};

/// The fields of one message as "name=value ...".
template <typename Message>
[[nodiscard]] std::string print_fields(const Message& message) {
  Printer printer;
  Message::fields(message, printer);
  return printer.text();
}

}  // namespace wire
}  // namespace sluice::protocol
