// Exists to own the precompiled Catch2 header that every test program reuses.
int main() {
  return 0;
}
