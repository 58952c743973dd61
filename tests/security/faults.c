/* Makes the n-th call that writes below one folder fail, or ends the process there as kill -9 does.
   Preloaded; armed by the process itself: fault_arm(folder, n, errno), where 0 stands for kill -9. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[PATH_MAX];
static int left = -1, number;

void fault_arm(const char *where, int n, int error) {
    snprintf(folder, sizeof folder, "%s", where);
    left = n;
    number = error;
}

/* Whether the fault has happened. */
int fault_left(void) { return left; }

static int hit(const char *path) {
    if (left <= 0 || path == NULL || strncmp(path, folder, strlen(folder)) != 0 || --left > 0) return 0;
    left = 0;
    if (number == 0) kill(getpid(), SIGKILL);
    errno = number;
    return 1;
}

static int hit_open(int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int saved = errno;
    ssize_t size = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (size < 0) return 0;
    path[size] = 0;
    return hit(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                               \
    int name(const char *path, int flags, ...) {                 \
        va_list more;                                            \
        va_start(more, flags);                                   \
        mode_t mode = va_arg(more, mode_t);                      \
        va_end(more);                                            \
        if ((flags & (O_CREAT | O_WRONLY | O_RDWR)) && hit(path)) return -1; \
        return REAL(name)(path, flags, mode);                    \
    }
OPEN(open)
OPEN(open64)

ssize_t write(int file, const void *data, size_t size) { return hit_open(file) ? -1 : REAL(write)(file, data, size); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
    return hit_open(file) ? -1 : REAL(pwrite64)(file, data, size, at);
}
ssize_t sendfile64(int file, int from, off64_t *at, size_t size) {
    return hit_open(file) ? -1 : REAL(sendfile64)(file, from, at, size);
}
ssize_t copy_file_range(int from, off64_t *at, int file, off64_t *to, size_t size, unsigned flags) {
    return hit_open(file) ? -1 : REAL(copy_file_range)(from, at, file, to, size, flags);
}
int fsync(int file) { return hit_open(file) ? -1 : REAL(fsync)(file); }
int fchmod(int file, mode_t mode) { return hit_open(file) ? -1 : REAL(fchmod)(file, mode); }
int ftruncate64(int file, off64_t size) { return hit_open(file) ? -1 : REAL(ftruncate64)(file, size); }
int chmod(const char *path, mode_t mode) { return hit(path) ? -1 : REAL(chmod)(path, mode); }
int mkdir(const char *path, mode_t mode) { return hit(path) ? -1 : REAL(mkdir)(path, mode); }
int rename(const char *from, const char *to) { return hit(to) ? -1 : REAL(rename)(from, to); }
int link(const char *from, const char *to) { return hit(to) ? -1 : REAL(link)(from, to); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    return hit(to) ? -1 : REAL(renameat2)(a, from, b, to, flags);
}
