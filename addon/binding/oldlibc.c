/*
 * Lets the addon load with a C library older (from glibc 2.28 on) than the one it was built with: functions that the build's
 * headers and libraries ask for in a newer version than they need are defined here, for the addon alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Kernel and glibc have the same struct stat on these; on others the addon simply needs the C library of its build. */
#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))

#define LOCAL __attribute__((visibility("hidden")))

#if __GLIBC_PREREQ(2, 34)
/* These moved from libpthread to libc and got one more version each. With the first one they are in both. */
#ifdef __x86_64__
#define FIRST "GLIBC_2.2.5"
#else
#define FIRST "GLIBC_2.17"
#endif
__asm__(".symver old_pthread_create, pthread_create@" FIRST);
__asm__(".symver old_pthread_join, pthread_join@" FIRST);
__asm__(".symver old_pthread_detach, pthread_detach@" FIRST);
__asm__(".symver old_pthread_once, pthread_once@" FIRST);
__asm__(".symver old_pthread_key_create, __pthread_key_create@" FIRST);
extern int old_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
extern int old_pthread_join(pthread_t, void **);
extern int old_pthread_detach(pthread_t);
extern int old_pthread_once(pthread_once_t *, void (*)(void));
extern int old_pthread_key_create(pthread_key_t *, void (*)(void *));
int __pthread_key_create(pthread_key_t *key, void (*destroy)(void *));

LOCAL int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
	return old_pthread_create(thread, attributes, start, argument);
}

LOCAL int pthread_join(pthread_t thread, void **result)
{
	return old_pthread_join(thread, result);
}

LOCAL int pthread_detach(pthread_t thread)
{
	return old_pthread_detach(thread);
}

LOCAL int pthread_once(pthread_once_t *control, void (*function)(void))
{
	return old_pthread_once(control, function);
}

/* libgcc's way to see whether a program has threads. */
LOCAL int __pthread_key_create(pthread_key_t *key, void (*destroy)(void *))
{
	return old_pthread_key_create(key, destroy);
}
#endif

#if __GLIBC_PREREQ(2, 32)
/* The kernel knows masks of threads only, so the old function does the same. */
LOCAL int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return sigprocmask(how, set, old) == 0 ? 0 : errno;
}

/* libstdc++ saves atomic operations where this is not 0. */
LOCAL char __libc_single_threaded = 0;
#endif

#if __GLIBC_PREREQ(2, 33)
/* Before, these were inline functions around others. */
LOCAL int fstat64(int fd, struct stat64 *status)
{
	return (int)syscall(SYS_fstat, fd, status);
}

LOCAL int fstatat64(int directory, const char *restrict path, struct stat64 *restrict status, int flags)
{
	return (int)syscall(SYS_newfstatat, directory, path, status, flags);
}

LOCAL int mknodat(int directory, const char *path, mode_t mode, dev_t device)
{
	return (int)syscall(SYS_mknodat, directory, path, mode, (unsigned)device);
}
#endif

#if __GLIBC_PREREQ(2, 35)
struct search {
	uintptr_t address;
	struct dl_find_object *result;
};

static int look(struct dl_phdr_info *module, size_t size, void *user)
{
	struct search *search = user;
	int found = 0;

	(void)size;
	search->result->dlfo_eh_frame = NULL;
	for (unsigned i = 0; i < module->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &module->dlpi_phdr[i];
		uintptr_t start = module->dlpi_addr + header->p_vaddr;

		if (header->p_type == PT_GNU_EH_FRAME)
			search->result->dlfo_eh_frame = (void *)start;
		if (header->p_type != PT_LOAD || search->address - start >= header->p_memsz)
			continue;
		search->result->dlfo_map_start = (void *)start;
		search->result->dlfo_map_end = (void *)(start + header->p_memsz);
		found = 1;
	}
	return found;
}

/* How the unwinder finds the tables of a module; done the way it did before. */
LOCAL int _dl_find_object(void *address, struct dl_find_object *result)
{
	struct search search = { (uintptr_t)address, result };

	memset(result, 0, sizeof *result);
	return dl_iterate_phdr(look, &search) == 1 && result->dlfo_eh_frame != NULL ? 0 : -1;
}
#endif

#if __GLIBC_PREREQ(2, 36)
/* libstdc++ takes it for std::random_device. */
LOCAL uint32_t arc4random(void)
{
	uint32_t number = 0;

	while (getrandom(&number, sizeof number, 0) != sizeof number)
		continue;
	return number;
}
#endif

#endif
