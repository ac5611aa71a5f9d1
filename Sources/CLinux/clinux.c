#define _GNU_SOURCE
#include "clinux.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

struct clinux_origin clinux_origin(int descriptor) {
    struct clinux_origin origin = {0, 0};
    struct statx found;
    if (statx(descriptor, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &found) != 0) return origin;
    if (found.stx_mask & STATX_INO) origin.number = found.stx_ino;
    if (found.stx_mask & STATX_BTIME)
        origin.made = (uint64_t)found.stx_btime.tv_sec * 1000000000 + found.stx_btime.tv_nsec;
    return origin;
}

int clinux_accept(int listener) {
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int clinux_epoll_wait(int epoll, struct clinux_event *events, int count, int64_t nanoseconds) {
    struct epoll_event raw[CLINUX_MAX_EVENTS];
    struct timespec span = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    if (count > CLINUX_MAX_EVENTS) count = CLINUX_MAX_EVENTS;
    int found = epoll_pwait2(epoll, raw, count, nanoseconds < 0 ? NULL : &span, NULL);
    for (int i = 0; i < found; i++) {
        events[i].token = raw[i].data.u64;
        events[i].mask = raw[i].events;
    }
    return found;
}

int clinux_epoll_control(int epoll, int operation, int descriptor, uint32_t mask, uint64_t token) {
    struct epoll_event event = {.events = mask, .data.u64 = token};
    return epoll_ctl(epoll, operation, descriptor, &event);
}
