/* Opens a volume, writes its first block, reads it back with an asynchronous call, and gives the volume up.
 *
 *     read_write MASTER VOLUME        e.g.  read_write 127.0.0.1:7000 db
 *
 * It overwrites the volume's first block. */
#include <pthread.h>
#include <sluice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lets this thread wait for a callback on the volume's. */
struct outcome {
  pthread_mutex_t mutex;
  pthread_cond_t come;
  int is_done;
  int code;
};

static void on_done(void* context, int code) {
  struct outcome* outcome = context;
  pthread_mutex_lock(&outcome->mutex);
  outcome->is_done = 1;
  outcome->code = code;
  pthread_cond_signal(&outcome->come);
  pthread_mutex_unlock(&outcome->mutex);
}

static int wait_for(struct outcome* outcome) {
  pthread_mutex_lock(&outcome->mutex);
  while (!outcome->is_done)
    pthread_cond_wait(&outcome->come, &outcome->mutex);
  pthread_mutex_unlock(&outcome->mutex);
  return outcome->code;
}

static int write_and_read(sluice_volume* volume, unsigned char* data, unsigned char* back, size_t length) {
  struct outcome outcome = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
  int code = sluice_write(volume, 0, data, length, SLUICE_FUA);
  if (code == SLUICE_OK) code = sluice_read_async(volume, 0, back, length, on_done, &outcome);
  if (code == SLUICE_OK) code = wait_for(&outcome);
  if (code != SLUICE_OK) {
    fprintf(stderr, "read_write: %s\n", sluice_code_name(code));
    return 1;
  }
  if (memcmp(data, back, length) != 0) {
    fprintf(stderr, "read_write: what came back isn't what was written\n");
    return 1;
  }
  printf("wrote and read back %zu bytes\n", length);
  return 0;
}

static int use(sluice_volume* volume) {
  struct sluice_info info = {.size = sizeof info};
  int code = sluice_get_info(volume, &info);
  if (code != SLUICE_OK) {
    fprintf(stderr, "read_write: %s\n", sluice_code_name(code));
    return 1;
  }
  printf("%llu bytes in blocks of %u\n", (unsigned long long)info.size_bytes, info.block_size);

  unsigned char* data = malloc(info.block_size);
  unsigned char* back = malloc(info.block_size);
  int status = 1;
  if (data != NULL && back != NULL) {
    memset(data, 0x5a, info.block_size);
    status = write_and_read(volume, data, back, info.block_size);
  }
  free(data);
  free(back);
  return status;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: read_write MASTER VOLUME\n");
    return 2;
  }
  struct sluice_options options;
  sluice_options_init(&options, sizeof options);
  options.masters = argv[1];
  options.volume = argv[2];

  char error[256];
  sluice_volume* volume = NULL;
  if (sluice_open(&options, &volume, error, sizeof error) != SLUICE_OK) {
    fprintf(stderr, "read_write: %s\n", error);
    return 1;
  }
  int status = use(volume);
  if (sluice_close(volume, error, sizeof error) != SLUICE_OK) {
    fprintf(stderr, "read_write: %s\n", error);
    status = 1;
  }
  return status;
}
