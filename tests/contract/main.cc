// The main of the contract programs: Catch2's, but a machine on which the provider or backend can't run is a
// SKIP with its reason (exit status 77), never a pass; with SLUICE_REQUIRE_<PROVIDER>=1 it is a failure.

#define CATCH_CONFIG_RUNNER
#include <cstdio>
#include <cstdlib>
#include <string>

#include <catch2/catch.hpp>

#include "tests/contract/availability.h"

namespace {

constexpr int kSkipped = 77;

bool is_required() {
  const char* const value = std::getenv(SLUICE_CONTRACT_REQUIRE_VARIABLE);
  return value != nullptr && std::string(value) == "1";
}

bool only_lists(const Catch::ConfigData& config) {
  return config.listTests || config.listTags || config.listReporters || config.listTestNamesOnly ||
         config.showHelp;
}

}  // namespace

int main(int argc, char** argv) {
  Catch::Session session;
  if (const int bad_usage = session.applyCommandLine(argc, argv); bad_usage != 0) return bad_usage;
  if (!only_lists(session.configData())) {
    if (const auto reason = sluice::contract::why_unavailable()) {
      std::printf("SKIP: %s\n", reason->c_str());
      if (!is_required()) return kSkipped;
      std::printf("FAILED: %s=1 forbids skipping\n", SLUICE_CONTRACT_REQUIRE_VARIABLE);
      return EXIT_FAILURE;
    }
  }
  return session.run() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
