/* A disk that is full: loaded before a program (LD_PRELOAD), it lets writes to files below $FULL_BELOW fail with ENOSPC as
   long as the file $FULL_WHEN is there. Every other write takes half of its bytes first, as the last free block would. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_uint refused;

static int is_full(int fd) {
    const char *when = getenv("FULL_WHEN"), *below = getenv("FULL_BELOW");
    if (!when || !below || access(when, F_OK) != 0) return 0;
    char link[64], path[4096];
    struct stat status;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    path[length] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

/* Records that a write hit the end of the disk. */
static ssize_t no_space(void) {
    char met[4096];
    snprintf(met, sizeof met, "%s.met", getenv("FULL_WHEN"));
    int mark = open(met, O_CREAT | O_WRONLY, 0666);
    if (mark >= 0) close(mark);
    errno = ENOSPC;
    return -1;
}

/* How many of so many bytes still fit. */
static size_t fits(size_t count) { return atomic_fetch_add(&refused, 1) % 2 ? 0 : count / 2; }

#define REAL(name, ...) ((ssize_t (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *bytes, size_t count) {
    if (is_full(fd) && (count = fits(count)) == 0) return no_space();
    return REAL(write, int, const void *, size_t)(fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    if (is_full(fd) && (count = fits(count)) == 0) return no_space();
    return REAL(pwrite64, int, const void *, size_t, off64_t)(fd, bytes, count, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite64(fd, bytes, count, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (is_full(fd)) return no_space();
    return REAL(writev, int, const struct iovec *, int)(fd, parts, count);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    if (is_full(fd)) return no_space();
    return REAL(pwritev64, int, const struct iovec *, int, off64_t)(fd, parts, count, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev64(fd, parts, count, at); }

int ftruncate64(int fd, off64_t length) {
    struct stat status;
    if (is_full(fd) && fstat(fd, &status) == 0 && length > status.st_size) return (int)no_space();
    return ((int (*)(int, off64_t))dlsym(RTLD_NEXT, "ftruncate64"))(fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int posix_fallocate64(int fd, off64_t at, off64_t length) {
    if (is_full(fd)) return no_space(), ENOSPC;
    return ((int (*)(int, off64_t, off64_t))dlsym(RTLD_NEXT, "posix_fallocate64"))(fd, at, length);
}

int posix_fallocate(int fd, off_t at, off_t length) { return posix_fallocate64(fd, at, length); }

int fallocate64(int fd, int mode, off64_t at, off64_t length) {
    if (is_full(fd)) return (int)no_space();
    return ((int (*)(int, int, off64_t, off64_t))dlsym(RTLD_NEXT, "fallocate64"))(fd, mode, at, length);
}

int fallocate(int fd, int mode, off_t at, off_t length) { return fallocate64(fd, mode, at, length); }
