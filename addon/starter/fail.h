/* How the starter speaks: one line on stderr, names made printable. */
#ifndef STARTER_FAIL_H
#define STARTER_FAIL_H

#include <stdbool.h>

/* The status of every failure before the payload runs; `exitStatus.fatal` in src/core/errors.ts is the same number. */
#define STATUS_FATAL 255

/* Turn on debug lines and start their clock. */
void start_debug(bool on);
bool is_debugging(void);

/* Say why the launch ends, and end it with STATUS_FATAL. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From here on `fail` also writes "failed" to this descriptor. */
void tell_failure_to(int fd);

/*
 * Keep the reason why an operation cannot be done; the caller of the operation decides whether that is the end.
 * Returns false, so that an operation can `return refuse(...)`.
 */
bool refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The reason that was kept last. */
const char *refusal(void);

void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
