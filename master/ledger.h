#pragma once

#include "master/metadata_store.h"
#include "protocol/open_service.h"

namespace sluice::master {

/// The store, for as long as this master is in charge: every update is conditional on its manager version,
/// and finding another one there ends its being in charge, wherever it was found.
class Ledger {
 public:
  /// Both outlive the ledger; `service` works on `store`.
  Ledger(MetadataStore& store, protocol::OpenService& service) : store_(store), service_(service) {}

  /// Errors: not_master, unavailable (the outcome may be unknown: look again), the store's and the body's.
  [[nodiscard]] Status update(const MetadataStore::UpdateBody& body) {
    return service_.while_in_charge([&](ManagerVersion mine) { return store_.update(mine, body); });
  }

  [[nodiscard]] protocol::OpenService& service() noexcept { return service_; }
  [[nodiscard]] ManagerVersion manager_version() const noexcept { return service_.manager_version(); }

 private:
  MetadataStore& store_;
  protocol::OpenService& service_;
};

}  // namespace sluice::master
