#define _GNU_SOURCE
#include "clinux.h"

#include <time.h>

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
