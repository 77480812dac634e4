// A volume to try clients on: prints the master's address, serves until its standard input ends.
//
//     small_server SIZE_BYTES

#include <cstdlib>
#include <iostream>
#include <string>

#include "tests/unit/client/small_server.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: small_server SIZE_BYTES\n";
    return 2;
  }
  const sluice::client::test::SmallServer server(std::strtoull(argv[1], nullptr, 10));
  std::cout << to_string(server.master()) << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  return 0;
}
