/* The C interface of sluice: a volume as a block device.
 *
 * Link with -lsluice (pkg-config sluice; in CMake, sluice::sluice). The ABI is stable within one SONAME:
 * structures begin with their size, so that later versions can add fields at the end, and functions are only
 * ever added.
 *
 * Threads: every function may be called from any thread, with any volume. A volume has a thread of its own,
 * which does the IO; open volumes after fork(), not before.
 *
 * Errors: functions return 0 (SLUICE_OK) or a code below, which is the same number in every version; none
 * throws or aborts for what a caller, a peer or a device does. Where a function takes `error`, it may be
 * null; otherwise, on failure, it gets a sentence (what happened, to what, why), cut to what fits.
 *
 * Offsets and lengths are bytes, multiples of the volume's block size. */
#ifndef SLUICE_H
#define SLUICE_H

#include <stddef.h> /* NOLINT */
#include <stdint.h> /* NOLINT */

#ifdef __cplusplus
extern "C" {
#endif

/* NOLINTBEGIN: this is C. */

/* Codes, the same as in logs and on the wire; sluice_code_name() tells all of them. */
enum {
  SLUICE_OK = 0,
  SLUICE_STALE_VERSION = 1,    /* another client's open has fenced this one, for good */
  SLUICE_INVALID_REQUEST = 3,  /* not aligned, empty, or out of range */
  SLUICE_BAD_CHECKSUM = 7,     /* data was damaged on its way, repeatedly */
  SLUICE_IO_ERROR = 8,         /* the node's disk failed the request */
  SLUICE_NO_SPACE = 9,         /* the node's disk is full */
  SLUICE_BUSY = 10,            /* another client holds the volume */
  SLUICE_NOT_FOUND = 11,       /* no such volume */
  SLUICE_READ_ONLY = 15,       /* a change of a volume that was opened for reading */
  SLUICE_SHUTTING_DOWN = 17,   /* the volume is being closed, or is closed */
  SLUICE_OUTCOME_UNKNOWN = 32, /* it may or may not have had its effect, in whole or in part */
  SLUICE_TIMED_OUT = 33,
  SLUICE_CANCELLED = 34,   /* the volume was closed */
  SLUICE_UNAVAILABLE = 35, /* not reachable now; it was never sent */
  SLUICE_OUT_OF_MEMORY = 39,
  SLUICE_QUEUE_FULL = 40, /* too many requests outstanding: again after a completion */
  SLUICE_INVALID_ARGUMENT = 41
};

/* "stale_version"; never null. */
const char* sluice_code_name(int code);
/* "0.1.0" of the library that runs. */
const char* sluice_version(void);

/* What happens while no path to the volume is up. */
enum {
  SLUICE_ON_LOSS_QUEUE = 0, /* requests wait for as long as it takes; closing is the way out */
  SLUICE_ON_LOSS_FAIL = 1   /* after loss_deadline_ms they fail until the volume is reachable again */
};

/* How a thread waits for its requests. */
enum {
  SLUICE_POLLING_ADAPTIVE = 0, /* spins for a moment, then sleeps */
  SLUICE_POLLING_BUSY = 1,     /* never sleeps: the lowest latency, a core for itself */
  SLUICE_POLLING_EVENT = 2     /* sleeps at once */
};

/* Begin with sluice_options_init(). Strings are read by sluice_open() and then the caller's again; a null one
 * counts as empty. */
struct sluice_options {
  size_t size; /* of this structure, set by sluice_options_init() */

  const char* masters;     /* "HOST:PORT[,HOST:PORT...]": any of them may be the one in charge */
  const char* volume;      /* its name */
  const char* client;      /* who opens it, stable over restarts; empty: the host's name */
  const char* provider;    /* "auto" (also if empty), "verbs" or "ofi" */
  const char* local_hosts; /* "ADDRESS[,ADDRESS...]": local addresses, one for each device; empty: any */

  int read_only; /* several clients may have a volume open for reading */
  int steal;     /* take the volume from its holder, who is fenced and never gets it back */
  int on_loss;   /* SLUICE_ON_LOSS_... */
  int polling;   /* SLUICE_POLLING_... */

  uint32_t queue_depth; /* requests at one time; more wait */
  uint32_t loss_deadline_ms;
  uint32_t open_timeout_ms;  /* for sluice_open() as a whole */
  uint32_t close_timeout_ms; /* for each of sluice_close()'s three steps */
  uint32_t io_timeout_ms;    /* a request that takes longer is sent over another path */

  /* Lines for a log, from the volume's thread: level 0 debug, 1 info, 2 warning, 3 error. May be null. It
   * must not call the library. */
  void (*log)(void* context, int level, const char* line);
  void* log_context;
};

/* Fills in size and defaults. `size`: sizeof(struct sluice_options) as the caller was compiled with. */
void sluice_options_init(struct sluice_options* options, size_t size);

/* An opening of a volume. */
typedef struct sluice_volume sluice_volume;

/* Opens a volume, waiting at most open_timeout_ms. On failure *volume is null. */
int sluice_open(const struct sluice_options* options, sluice_volume** volume, char* error, size_t error_size);

/* Finishes what is outstanding, gives the volume up and frees it, whatever it returns, within three times
 * close_timeout_ms and a few seconds. No other thread may use the volume any more. SLUICE_TIMED_OUT: it may
 * still count as held. Not to be called from a callback. Null is closed already. */
int sluice_close(sluice_volume* volume, char* error, size_t error_size);

struct sluice_info {
  size_t size; /* of this structure, set by the caller */

  uint64_t size_bytes;
  uint32_t block_size;       /* bytes */
  uint32_t largest_io_bytes; /* longer requests are split, and then aren't atomic */
  uint64_t volume_id;
  uint64_t version; /* GVN: manager version << 32 | open version */
  int read_only;
  int write_back; /* writes are durable after a flush, or with SLUICE_FUA, only */
  int paths_up;   /* connections that work now */
};
int sluice_get_info(sluice_volume* volume, struct sluice_info* info);

/* Flags of requests that change data. */
enum {
  SLUICE_FUA = 1 /* complete when durable, whatever the volume's policy */
};

/* Blocking: return with the outcome. How long that takes is up to on_loss. */
int sluice_read(sluice_volume* volume, uint64_t offset, void* into, size_t length);
int sluice_write(sluice_volume* volume, uint64_t offset, const void* data, size_t length, unsigned flags);
int sluice_flush(sluice_volume* volume);
/* The range's content is undefined until it is written again. */
int sluice_discard(sluice_volume* volume, uint64_t offset, uint64_t length, unsigned flags);
int sluice_write_zeroes(sluice_volume* volume, uint64_t offset, uint64_t length, unsigned flags);

/* Asynchronous: 0 means that `done` will be called, once, on the volume's thread, where it must not wait; it
 * may start requests. Any other code: refused, and `done` isn't called. Memory must stay untouched (of reads:
 * unread) until then.
 */
typedef void (*sluice_done)(void* context, int code);
int sluice_read_async(sluice_volume* volume, uint64_t offset, void* into, size_t length, sluice_done done,
                      void* context);
int sluice_write_async(sluice_volume* volume, uint64_t offset, const void* data, size_t length,
                       unsigned flags, sluice_done done, void* context);
int sluice_flush_async(sluice_volume* volume, sluice_done done, void* context);
int sluice_discard_async(sluice_volume* volume, uint64_t offset, uint64_t length, unsigned flags,
                         sluice_done done, void* context);
int sluice_write_zeroes_async(sluice_volume* volume, uint64_t offset, uint64_t length, unsigned flags,
                              sluice_done done, void* context);

/* NOLINTEND */

#ifdef __cplusplus
}
#endif

#endif
