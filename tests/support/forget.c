/* A disk that forgets: loaded before a program (LD_PRELOAD), it copies every file below $FORGET_FROM to $FORGET_TO when,
   and only when, that file is synced. After a kill -9 the copy is what a power cut would have left in the worst case.
   Renames and removals of synced files take effect at once: journalled file systems keep their order. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int shadow(const char *path, char *out, size_t size) {
    const char *from = getenv("FORGET_FROM"), *to = getenv("FORGET_TO");
    size_t length = from ? strlen(from) : 0;
    if (!from || !to || strncmp(path, from, length) != 0 || path[length] != '/') return 0;
    return (size_t)snprintf(out, size, "%s%s", to, path + length) < size;
}

static void make_folders(char *path) {
    for (char *at = path + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        mkdir(path, 0700);
        *at = '/';
    }
}

/* Copies beside the target first, so that a kill in between leaves the older copy whole. */
static void keep(int fd) {
    char link[64], path[4096], target[4096], part[4110], buffer[1 << 16];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1), got;
    struct stat status;
    if (length < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return;
    path[length] = 0;
    if (!shadow(path, target, sizeof target)) return;
    make_folders(target);
    snprintf(part, sizeof part, "%s.%d.part", target, fd);
    int in = open(path, O_RDONLY), out = open(part, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    int whole = in >= 0 && out >= 0;
    while (whole && (got = read(in, buffer, sizeof buffer)) > 0) whole = write(out, buffer, got) == got;
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    if (whole) {
        int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
        real(part, target);
    }
}

int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    int done = real(fd);
    if (done == 0) keep(fd);
    return done;
}

int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    int done = real(fd);
    if (done == 0) keep(fd);
    return done;
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    char a[4096], b[4096];
    int done = real(from, to);
    if (done == 0 && shadow(from, a, sizeof a) && shadow(to, b, sizeof b)) real(a, b);
    return done;
}

int unlink(const char *path) {
    int (*real)(const char *) = dlsym(RTLD_NEXT, "unlink");
    char a[4096];
    int done = real(path);
    if (done == 0 && shadow(path, a, sizeof a)) real(a);
    return done;
}
