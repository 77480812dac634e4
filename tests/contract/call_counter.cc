#include "tests/contract/call_counter.h"

#include <array>
#include <cerrno>
#include <cstddef>

#include <dlfcn.h>
#include <pthread.h>

// glibc's own allocator, under the names that it keeps for interposers.
extern "C" {
void* __libc_malloc(std::size_t bytes);                           // NOLINT(bugprone-reserved-identifier)
void* __libc_calloc(std::size_t count, std::size_t bytes);        // NOLINT(bugprone-reserved-identifier)
void* __libc_realloc(void* old, std::size_t bytes);               // NOLINT(bugprone-reserved-identifier)
void* __libc_memalign(std::size_t alignment, std::size_t bytes);  // NOLINT(bugprone-reserved-identifier)
}

namespace sluice::transport::contract {

namespace {

struct Site {
  const char* call = nullptr;
  void* caller = nullptr;
  std::uint64_t count = 0;
};

constexpr std::size_t kMaxSites = 256;
thread_local bool t_counting = false;
thread_local std::array<Site, kMaxSites> t_sites{};

void note(const char* call, void* caller) noexcept {
  if (!t_counting) return;
  for (Site& site : t_sites) {
    if (site.call == nullptr) site = {call, caller, 0};
    if (site.call == call && site.caller == caller) {
      ++site.count;
      return;
    }
  }
}

std::string module_of(void* address) {
  Dl_info there{};
  Dl_info here{};
  if (::dladdr(address, &there) == 0 || there.dli_fname == nullptr) return "an unknown caller";
  ::dladdr(reinterpret_cast<void*>(&module_of), &here);
  if (there.dli_fbase == here.dli_fbase) return "us";
  const std::string path = there.dli_fname;
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

CallCounter::CallCounter() noexcept {
  t_sites.fill({});
  t_counting = true;
}

void CallCounter::stop() noexcept {
  t_counting = false;
}

std::map<std::string, std::uint64_t> CallCounter::by_caller() const {
  std::map<std::string, std::uint64_t> counts;
  for (const Site& site : t_sites)
    if (site.call != nullptr)
      counts[std::string(site.call) + " from " + module_of(site.caller)] += site.count;
  return counts;
}

/// The next definition of an interposed function: libc's.
template <typename Function>
Function* next(const char* name) noexcept {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace sluice::transport::contract

namespace contract = sluice::transport::contract;

extern "C" {

void* malloc(std::size_t bytes) noexcept {
  contract::note("malloc", __builtin_return_address(0));
  return __libc_malloc(bytes);
}

void* calloc(std::size_t count, std::size_t bytes) noexcept {
  contract::note("calloc", __builtin_return_address(0));
  return __libc_calloc(count, bytes);
}

void* realloc(void* old, std::size_t bytes) noexcept {
  contract::note("realloc", __builtin_return_address(0));
  return __libc_realloc(old, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  contract::note("aligned_alloc", __builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) noexcept {
  contract::note("posix_memalign", __builtin_return_address(0));
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}

int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  static auto* const real = contract::next<int(pthread_mutex_t*)>("pthread_mutex_lock");
  contract::note("pthread_mutex_lock", __builtin_return_address(0));
  return real(mutex);
}

int pthread_spin_lock(pthread_spinlock_t* lock) noexcept {
  static auto* const real = contract::next<int(pthread_spinlock_t*)>("pthread_spin_lock");
  contract::note("pthread_spin_lock", __builtin_return_address(0));
  return real(lock);
}

int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
  static auto* const real = contract::next<int(pthread_rwlock_t*)>("pthread_rwlock_rdlock");
  contract::note("pthread_rwlock_rdlock", __builtin_return_address(0));
  return real(lock);
}

int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
  static auto* const real = contract::next<int(pthread_rwlock_t*)>("pthread_rwlock_wrlock");
  contract::note("pthread_rwlock_wrlock", __builtin_return_address(0));
  return real(lock);
}

}  // extern "C"
