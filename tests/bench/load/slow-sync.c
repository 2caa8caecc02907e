/* Makes every sync of a file take as long as one of a store that answers only when its replicas have it, and counts them.
 * Preloaded into the Workers runtime and into Postgres alike. SLOW_SYNC_US says how long; SLOW_SYNC_COUNT names a file of eight
 * bytes that all processes count in. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long pause_us;
static long *count;

__attribute__((constructor)) static void set_up(void) {
    const char *pause = getenv("SLOW_SYNC_US");
    const char *path = getenv("SLOW_SYNC_COUNT");
    pause_us = pause == NULL ? 0 : atol(pause);
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) count = mapped;
}

static void wait_for_replicas(void) {
    if (count != NULL) __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
    struct timespec pause = {pause_us / 1000000, (pause_us % 1000000) * 1000};
    while (pause_us > 0 && nanosleep(&pause, &pause) != 0) {
    }
}

int fdatasync(int file) {
    wait_for_replicas();
    return (int)syscall(SYS_fdatasync, file);
}

int fsync(int file) {
    wait_for_replicas();
    return (int)syscall(SYS_fsync, file);
}
