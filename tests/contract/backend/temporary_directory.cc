#include "tests/contract/backend/temporary_directory.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace sluice::storage_node::contract {

TemporaryDirectory::TemporaryDirectory() {
  // SLUICE_TEST_DIRECTORY: elsewhere, as in the micro-VM, where the build tree can't be written.
  const char* const elsewhere = std::getenv("SLUICE_TEST_DIRECTORY");
  path_ = std::string(elsewhere != nullptr ? elsewhere : SLUICE_TEST_SCRATCH) + "/backend-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("can't make " + path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace sluice::storage_node::contract
