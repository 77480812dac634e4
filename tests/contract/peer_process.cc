#include "tests/contract/peer_process.h"

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/contract/party.h"

namespace sluice::transport::contract {

namespace {

/// Beside this program: "contract_ofi_test" has "contract_ofi_peer".
std::string peer_program() {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  REQUIRE(length > 0);
  std::string program(path.data(), static_cast<std::size_t>(length));
  const std::string suffix = "_test";
  REQUIRE(program.ends_with(suffix));
  return program.replace(program.size() - suffix.size(), suffix.size(), "_peer");
}

std::string first_line_of(int fd) {
  std::string line;
  char c = 0;
  while (::read(fd, &c, 1) == 1 && c != '\n')
    line.push_back(c);
  return line;
}

}  // namespace

PeerProcess::PeerProcess(const std::string& role, const Address& address) {
  const std::string program = peer_program();
  const std::string where = to_string(address);
  std::array<int, 2> pipe_ends{};
  REQUIRE(::pipe2(pipe_ends.data(), O_CLOEXEC) == 0);
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    ::dup2(pipe_ends[1], STDOUT_FILENO);
    ::execl(program.c_str(), program.c_str(), role.c_str(), where.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(pipe_ends[1]);
  const std::string line = first_line_of(pipe_ends[0]);
  ::close(pipe_ends[0]);
  INFO(program << " says \"" << line << "\"");
  const auto parsed = parse_address(line);
  REQUIRE(parsed);
  address_ = *parsed;
}

PeerProcess::~PeerProcess() {
  kill();
}

void PeerProcess::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

}  // namespace sluice::transport::contract
