#include "tests/contract/backend/file_store.h"

#include <catch2/catch.hpp>

#include "tests/contract/availability.h"

namespace sluice::storage_node::contract {

std::unique_ptr<Backend> FileStore::open(std::size_t reactor, std::size_t reactors) {
  storage_.reset();
  auto storage =
      NodeStorage::open({.backend = BackendKind::file, .directory = path_},
                        [this](LogLevel /*level*/, std::string_view line) { log_.emplace_back(line); });
  INFO((storage ? "" : storage.error().describe()));
  REQUIRE(storage);
  storage_ = std::move(*storage);
  auto backend = storage_->open_backend(reactor, reactors);
  INFO((backend ? "" : backend.error().describe()));
  REQUIRE(backend);
  return std::move(*backend);
}

std::unique_ptr<Store> make_store() {
  return std::make_unique<FileStore>();
}

}  // namespace sluice::storage_node::contract

namespace sluice::contract {

std::optional<std::string> why_unavailable() {
  return std::nullopt;
}

}  // namespace sluice::contract
