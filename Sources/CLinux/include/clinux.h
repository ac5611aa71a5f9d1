#pragma once

// The Linux calls that Swift's Glibc module does not show. Feature macros stay as Glibc's module
// has them, or the two would see different layouts of the same structs; calls that need
// _GNU_SOURCE are wrapped in clinux.c.
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

/// accept4 without the peer's address, non-blocking and close-on-exec; -1 and errno on failure.
int clinux_accept(int listener);

/// What epoll tells, without the pointer that its union could be.
struct clinux_event {
    uint64_t token;
    uint32_t mask;
};

/// Events told by one wait, at most.
enum { CLINUX_MAX_EVENTS = 512 };

/// Waits as epoll_pwait2 does, for up to `count` events (no more than CLINUX_MAX_EVENTS); a
/// negative number of nanoseconds waits for ever.
int clinux_epoll_wait(int epoll, struct clinux_event *events, int count, int64_t nanoseconds);

/// Which file on its file system this is, and when it was made, in nanoseconds since 1970; 0 for what
/// its file system does not say.
struct clinux_origin {
    uint64_t number;
    uint64_t made;
};
struct clinux_origin clinux_origin(int descriptor);

/// epoll_ctl with a 64-bit token.
int clinux_epoll_control(int epoll, int operation, int descriptor, uint32_t mask, uint64_t token);
