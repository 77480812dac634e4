#include "tests/sim/child.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <sstream>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/base/check.h"

namespace sluice::sim {
namespace {

/// One item a line; free text last on its line.
std::string to_text(const RunResult& result) {
  std::ostringstream text;
  text << "verdict " << static_cast<int>(result.verdict) << "\nrule " << result.rule << "\nwhat "
       << result.what << "\nhash " << result.hash << "\nvirtual_ms " << result.virtual_ms << "\nevents "
       << result.events << "\n";
  for (const auto& [name, count] : result.marks)
    text << "mark " << name << " " << count << "\n";
  text << "end\n";
  return text.str();
}

bool parse(const std::string& text, RunResult& result) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    words.get();
    if (key == "verdict") {
      int verdict = 0;
      words >> verdict;
      result.verdict = static_cast<Verdict>(verdict);
    } else if (key == "rule") {
      std::getline(words, result.rule);
    } else if (key == "what") {
      std::getline(words, result.what);
    } else if (key == "hash") {
      words >> result.hash;
    } else if (key == "virtual_ms") {
      words >> result.virtual_ms;
    } else if (key == "events") {
      words >> result.events;
    } else if (key == "mark") {
      std::string name;
      words >> name >> result.marks[name];
    } else if (key == "end") {
      return true;
    }
  }
  return false;
}

void write_all(int fd, const std::string& text) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = write(fd, text.data() + written, text.size() - written);
    if (count <= 0) return;
    written += static_cast<std::size_t>(count);
  }
}

/// Ends this process once it has used so many seconds of a processor, or far more have gone by: machines may
/// be busy.
void limit_time(unsigned limit_s) {
  constexpr unsigned kPatience = 20;
  signal(SIGPROF, SIG_DFL);
  const itimerval processor_time{{0, 0}, {static_cast<time_t>(limit_s), 0}};
  setitimer(ITIMER_PROF, &processor_time, nullptr);
  signal(SIGALRM, SIG_DFL);
  alarm(limit_s * kPatience);
}

[[noreturn]] void be_the_child(const RunOptions& options, unsigned limit_s, bool loud, int pipe) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  limit_time(limit_s);
  if (!loud) dup2(pipe, STDERR_FILENO);  // what a crash says is its verdict's text
  write_all(pipe, to_text(run_seed(options)));
  _exit(0);
}

/// The start of what a dying process said.
std::string in_one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text.substr(0, 300);
}

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) return std::string("killed by ") + strsignal(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

Child::Child(const RunOptions& options, unsigned limit_s, bool loud) {
  std::array<int, 2> ends{};
  check(pipe2(ends.data(), O_CLOEXEC) == 0, "there is room for one more pipe");
  pid_ = fork();
  check(pid_ >= 0, "there is room for one more process");
  if (pid_ == 0) be_the_child(options, limit_s, loud, ends[1]);
  close(ends[1]);
  pipe_ = ends[0];
}

Child::~Child() {
  close(pipe_);
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

void Child::take() {
  std::array<char, 4096> buffer;
  const ssize_t count = read(pipe_, buffer.data(), buffer.size());
  if (count < 0 && errno == EINTR) return;
  if (count > 0) {
    said_.append(buffer.data(), static_cast<std::size_t>(count));
  } else {
    has_ended_ = true;
  }
}

void Child::listen(std::span<Child* const> children) {
  std::vector<pollfd> pipes;
  for (const Child* const child : children)
    pipes.push_back({child->has_ended_ ? -1 : child->pipe_, POLLIN, 0});
  static_cast<void>(poll(pipes.data(), pipes.size(), -1));
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    if (pipes[i].revents != 0) children[i]->take();
  }
}

RunResult Child::result() {
  while (!has_ended_)
    take();
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  RunResult result;
  if (parse(said_, result)) return result;
  const bool is_too_slow =
      WIFSIGNALED(status) && (WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGALRM);
  result.verdict = is_too_slow ? Verdict::liveness : Verdict::crash;
  result.rule = is_too_slow ? "liveness" : "crash";
  result.what =
      is_too_slow ? "the run doesn't end in its time" : describe_end(status) + ": " + in_one_line(said_);
  return result;
}

RunResult run_in_child(const RunOptions& options, unsigned limit_s, bool loud) {
  return Child(options, limit_s, loud).result();
}

}  // namespace sluice::sim
