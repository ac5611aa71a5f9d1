// What stands between a node and the C library in a chaos run, by LD_PRELOAD: a wall clock that is
// wrong, and a disk that is slow, hangs, fails or is full. For tests only: cluster/chaos compiles it
// when it runs, no build of Verdict holds it, and a node without it has no such switch.
//
// The file that VERDICT_FAULTS names is shared with cluster/chaos, a page of 64-bit numbers in the
// order of the enumeration below.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum {
    CLOCK_OFFSET_MS,   // added to the wall clock
    SYNC_MODE,         // 0 as it is, 1 fails with EIO, 2 hangs until it is something else
    SYNC_DELAY_US,     // before each sync
    WRITE_MODE,        // 0 as it is, 1 fails with ENOSPC, 2 fails with EIO, 3 stops half-way for ever
    SYNCS_UNDER_WAY,   // told by the node
    SYNCS_DONE,
    WRITES_TORN,
    FAULTS_DONE,
};

static volatile int64_t none[8];
static volatile int64_t *page = none;

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fallocate)(int, off_t, off_t);

static void find(void) {
    if (real_clock_gettime) return;
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_fallocate = dlsym(RTLD_NEXT, "posix_fallocate");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
}

__attribute__((constructor)) static void begin(void) {
    find();
    // A node does not outlive the run that it is part of, however that ends.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char *path = getenv("VERDICT_FAULTS");
    if (!path) return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared != MAP_FAILED) page = shared;
}

static void pause_for(int64_t microseconds) {
    struct timespec span = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&span, NULL);
}

static void add(int place, int64_t number) {
    __atomic_fetch_add(&page[place], number, __ATOMIC_SEQ_CST);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    find();
    int result = real_clock_gettime(clock, time);
    int64_t offset = page[CLOCK_OFFSET_MS];
    if (result != 0 || offset == 0 || clock != CLOCK_REALTIME) return result;
    int64_t nanoseconds = time->tv_nsec + offset % 1000 * 1000000;
    time->tv_sec += offset / 1000;
    if (nanoseconds < 0) {
        nanoseconds += 1000000000;
        time->tv_sec -= 1;
    } else if (nanoseconds >= 1000000000) {
        nanoseconds -= 1000000000;
        time->tv_sec += 1;
    }
    time->tv_nsec = nanoseconds;
    return result;
}

static int synced(int (*real)(int), int file) {
    add(SYNCS_UNDER_WAY, 1);
    int64_t delay = page[SYNC_DELAY_US];
    if (delay > 0) pause_for(delay);
    if (page[SYNC_MODE] == 2) add(FAULTS_DONE, 1);
    while (page[SYNC_MODE] == 2) pause_for(2000);
    int result = -1;
    if (page[SYNC_MODE] == 1) {
        add(FAULTS_DONE, 1);
        errno = EIO;
    } else {
        result = real(file);
    }
    int code = errno;
    add(SYNCS_UNDER_WAY, -1);
    add(SYNCS_DONE, 1);
    errno = code;
    return result;
}

int fdatasync(int file) {
    find();
    return synced(real_fdatasync, file);
}

int fsync(int file) {
    find();
    return synced(real_fsync, file);
}

// Also the lock file of a data directory is written by it, a few bytes; those pass.
enum { SMALL = 64 };

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
    find();
    int64_t mode = page[WRITE_MODE];
    if (mode == 0 || count < SMALL) return real_pwrite(file, bytes, count, offset);
    add(FAULTS_DONE, 1);
    if (mode == 3) {
        real_pwrite(file, bytes, count / 2, offset);
        add(WRITES_TORN, 1);
        // It is killed here.
        for (;;) pause_for(100000);
    }
    errno = mode == 1 ? ENOSPC : EIO;
    return -1;
}

int posix_fallocate(int file, off_t offset, off_t size) {
    find();
    if (page[WRITE_MODE] == 0) return real_fallocate(file, offset, size);
    add(FAULTS_DONE, 1);
    return page[WRITE_MODE] == 1 ? ENOSPC : EIO;
}
