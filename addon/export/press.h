/*
 * Compresses a stream by several threads: it is cut into blocks, which come out in their order. The output depends on the
 * input, the kind and the level, never on the number of threads.
 */
#ifndef SING_PRESS_H
#define SING_PRESS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sing_press_kind { SING_PRESS_NONE, SING_PRESS_GZIP, SING_PRESS_ZSTD };
enum { SING_SHA256_SIZE = 32 };

struct sing_press;

/* Returns 0 or a reason as in failure.h. */
int sing_press_open(enum sing_press_kind kind, int level, unsigned workers, struct sing_press **out);

/* For one thread. Waits while the others are behind. Returns 0, or SING_CANCELLED. */
int sing_press_write(struct sing_press *press, const void *bytes, size_t size);

/* Nothing more is written: the stream is complete when `reason` is 0, else it ends with that reason. */
void sing_press_end(struct sing_press *press, int reason);

/*
 * For one thread. The next bytes of the compressed stream, which stay until the next call; none at its end.
 * Returns 0 or a reason.
 */
int sing_press_take(struct sing_press *press, const void **bytes, size_t *size);

/* Whoever waits goes on and gets SING_CANCELLED. */
void sing_press_cancel(struct sing_press *press);

/* The size and the SHA-256 of what went in, once, after the last sing_press_take. */
void sing_press_sum(struct sing_press *press, uint64_t *size, unsigned char sum[SING_SHA256_SIZE]);

/* After the threads that write and take have let go of it. NULL is fine. */
void sing_press_close(struct sing_press *press);

#ifdef __cplusplus
}
#endif

#endif
