/* What went wrong, where and why: filled once by whoever sees it first, turned into a sentence by the door to JS. */
#ifndef SING_FAILURE_H
#define SING_FAILURE_H

#ifdef __cplusplus
extern "C" {
#endif

/* Reasons beside errno (positive) and SQFS_ERROR (negative, above -100). */
enum {
	SING_CHANGED = -100,   /* a file became shorter while it was read */
	SING_CANCELLED = -101, /* the caller asked to stop */
	SING_NAME = -102,      /* a name that no directory may hold: empty, with a slash, '.' or '..' */
	SING_NOT_FOUND = -103, /* no such path in the image */
	SING_NESTED = -104,    /* directories deeper than we follow, or inside themselves */
	SING_TOO_LARGE = -105, /* more than the caller was ready to take */

	/* of layers */
	SING_TRUNCATED = -106,    /* the bytes end in the middle */
	SING_NOT_TAR = -107,      /* something else than a tar archive */
	SING_TAR_DAMAGED = -108,  /* a tar archive with headers that cannot be */
	SING_DATA_DAMAGED = -109, /* compressed data that cannot be */
	SING_COMPRESSION = -110,  /* compressed in a way that layers are not */
	SING_LINK = -111,         /* a hard link to nothing, or to a directory */
	SING_RANGE = -112,        /* a number that squashfs has no room for */
	SING_STOPPED = -113,      /* who brings the bytes gave up */
	SING_MANY_ENTRIES = -114, /* the limits, one each */
	SING_MANY_BYTES = -115,
	SING_RATIO = -116,
	SING_MANY_XATTRS = -117,

	SING_REFERS = -118, /* a change of an overlay that lies below under another name, or has its content there */

	SING_FORGED = -119, /* encrypted data that the key does not open */
	SING_KEY = -120,    /* something else where the key of an encrypted image should be */
	SING_SCATTERED = -121, /* a file that does not lie in the image as it is: compressed, or with holes */
};

struct sing_failure {
	int reason;         /* 0: no failure */
	const char *action; /* "read", "open": the verb of the sentence */
	char path[4096];    /* may be cut */
};

/* Note a failure unless there is one already. Returns -1. */
int sing_fail(struct sing_failure *failure, int reason, const char *action, const char *path);

/* The reason in words, without a period. The text is static or belongs to the C library. */
const char *sing_reason(int reason);

/* A negative reason as a name for programs, such as SQUASHFS_DAMAGED; NULL for an errno. */
const char *sing_reason_name(int reason);

#ifdef __cplusplus
}
#endif

#endif
