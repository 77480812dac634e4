#include "storage_node/backends/uring_queue.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "transport/slab.h"

namespace sluice::storage_node {
namespace {

/// Ends each operation after its first piece.
class OnePiece final : public UringHandler {
 public:
  std::optional<StatusCode> on_result(UringOperation& operation, int result) noexcept override {
    return result == static_cast<int>(operation.length) ? StatusCode::ok : StatusCode::io_error;
  }
};

/// From now on io_uring_setup fails with this error, in this process.
void refuse_io_uring(int errno_value) {
  std::vector<sock_filter> program{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(errno_value)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/// What a process is told to which the kernel refuses io_uring.
Error error_when_refused_with(int errno_value) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    refuse_io_uring(errno_value);
    const auto queue = UringQueue::create({});
    const Error error = queue ? Error{StatusCode::ok, ""} : queue.error();
    static_cast<void>(!write(ends[1], &error.code, sizeof error.code));
    static_cast<void>(!write(ends[1], error.message.data(), error.message.size()));
    _exit(0);
  }
  close(ends[1]);
  Error error;
  REQUIRE(read(ends[0], &error.code, sizeof error.code) == sizeof error.code);
  char text[512];
  for (ssize_t got; (got = read(ends[0], text, sizeof text)) > 0;)
    error.message.append(text, static_cast<std::size_t>(got));
  close(ends[0]);
  REQUIRE(waitpid(child, nullptr, 0) == child);
  return error;
}

TEST_CASE("A kernel that refuses io_uring is an error that says what to change", "[uring_queue]") {
  const Error filtered = error_when_refused_with(EPERM);
  CHECK(filtered.code == StatusCode::permission_denied);
  CHECK(filtered.message.find("io_uring") != std::string::npos);
  const Error old_kernel = error_when_refused_with(ENOSYS);
  CHECK(old_kernel.code == StatusCode::unsupported);
  CHECK(old_kernel.message.find("Linux 5.6") != std::string::npos);
  const Error no_memory = error_when_refused_with(ENOMEM);
  CHECK(no_memory.code == StatusCode::out_of_memory);
  CHECK(no_memory.message.find("RLIMIT_MEMLOCK") != std::string::npos);
}

/// One write and one read through the queue.
void transfer_a_page(UringQueue& queue, std::span<std::byte> memory) {
  char name[] = "uring-queue-XXXXXX";
  const int fd = mkostemp(name, O_CLOEXEC);
  REQUIRE(fd >= 0);
  unlink(name);
  OnePiece handler;
  constexpr std::size_t kPage = 4096;
  std::memset(memory.data(), 0x5a, kPage);
  for (const auto kind : {UringOperation::Kind::write, UringOperation::Kind::read}) {
    UringOperation& operation = queue.take();
    operation.kind = kind;
    operation.fd = fd;
    operation.length = kPage;
    operation.data = memory.data() + (kind == UringOperation::Kind::read ? kPage : 0);
    operation.handler = &handler;
    operation.request.tag = 7;
    queue.start(operation);
    BackendCompletion completion;
    for (std::size_t got = 0; got == 0;) {
      queue.submit();
      got = queue.poll({&completion, 1});
    }
    REQUIRE(completion.tag == 7);
    REQUIRE(completion.status == StatusCode::ok);
  }
  REQUIRE(std::memcmp(memory.data(), memory.data() + kPage, kPage) == 0);
  close(fd);
}

TEST_CASE("Memory that the kernel won't pin is used all the same, with one line that names the limit",
          "[uring_queue]") {
  auto slab = transport::Slab::map(8U << 20U, transport::Slab::Pages::plain);
  REQUIRE(slab);
  std::vector<std::string> lines;
  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_MEMLOCK, &old) == 0);
  const rlimit little{.rlim_cur = 1U << 20U, .rlim_max = old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_MEMLOCK, &little) == 0);
  const bool was_root = geteuid() == 0;
  if (was_root) REQUIRE(seteuid(65534) == 0);  // root may lock what it likes
  auto queue =
      UringQueue::create([&](LogLevel /*level*/, std::string_view line) { lines.emplace_back(line); });
  if (queue) (*queue)->register_buffers(slab->memory());
  if (was_root) REQUIRE(seteuid(0) == 0);
  REQUIRE(setrlimit(RLIMIT_MEMLOCK, &old) == 0);

  REQUIRE(queue);
  CHECK_FALSE((*queue)->has_registered_buffers());
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("RLIMIT_MEMLOCK is 1024 KiB") != std::string::npos);
  transfer_a_page(**queue, slab->memory());
}

TEST_CASE("Registered memory is used, and other memory too", "[uring_queue]") {
  auto registered = transport::Slab::map(1U << 20U, transport::Slab::Pages::plain);
  auto other = transport::Slab::map(1U << 20U, transport::Slab::Pages::plain);
  REQUIRE((registered && other));
  auto queue = UringQueue::create({});
  REQUIRE(queue);
  (*queue)->register_buffers(registered->memory());
  CHECK((*queue)->has_registered_buffers());
  transfer_a_page(**queue, registered->memory());
  transfer_a_page(**queue, other->memory());
}

}  // namespace
}  // namespace sluice::storage_node
