#include "runtime/log_text.h"

#include <catch2/catch.hpp>

using sluice::runtime::escape_json;
using sluice::runtime::escape_line;

TEST_CASE("a message stays on its line whatever it holds") {
  CHECK(escape_line("plain \"quoted\" \\ text") == "plain \"quoted\" \\ text");
  CHECK(escape_line("a\nb\r\t\x1b[31m\x7f") == "a\\nb\\r\\t\\u001b[31m\\u007f");
  CHECK(escape_line(std::string_view("\0", 1)) == "\\u0000");
  CHECK(escape_line("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80") ==
        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
}

TEST_CASE("what isn't UTF-8 is replaced, a byte at a time") {
  const std::string bad = "\xef\xbf\xbd";
  CHECK(escape_line("a\xff"
                    "b") == "a" + bad + "b");
  CHECK(escape_line("\xc3") == bad);
  CHECK(escape_line("\xc0\xaf") == bad + bad);                      // overlong
  CHECK(escape_line("\xed\xa0\x80") == bad + bad + bad);            // a surrogate
  CHECK(escape_line("\xf4\x90\x80\x80") == bad + bad + bad + bad);  // beyond U+10FFFF
  CHECK(escape_line("\xe2\x82") == bad + bad);                      // cut off
}

TEST_CASE("the inside of a JSON string has its quotes and backslashes escaped") {
  CHECK(escape_json("say \"hi\" \\ \n") == R"(say \"hi\" \\ \n)");
}
