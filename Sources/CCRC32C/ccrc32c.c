#include "ccrc32c.h"

#include <string.h>

#if defined(__x86_64__)

int ccrc32c_is_available(void) { return __builtin_cpu_supports("sse4.2"); }

__attribute__((target("sse4.2")))
uint32_t ccrc32c_continue(uint32_t state, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    uint64_t wide = state;
    for (; count >= 8; count -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    state = (uint32_t)wide;
    for (; count > 0; count--, at++) state = __builtin_ia32_crc32qi(state, *at);
    return state;
}

#elif defined(__aarch64__) && defined(__LITTLE_ENDIAN__)

#include <sys/auxv.h>

// HWCAP_CRC32 of the kernel's asm/hwcap.h.
int ccrc32c_is_available(void) { return (getauxval(AT_HWCAP) & (1UL << 7)) != 0; }

__attribute__((target("crc")))
uint32_t ccrc32c_continue(uint32_t state, const void *bytes, size_t count) {
    const uint8_t *at = bytes;
    for (; count >= 8; count -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        state = __builtin_arm_crc32cd(state, word);
    }
    for (; count > 0; count--, at++) state = __builtin_arm_crc32cb(state, *at);
    return state;
}

#else

int ccrc32c_is_available(void) { return 0; }

uint32_t ccrc32c_continue(uint32_t state, const void *bytes, size_t count) {
    (void)bytes;
    (void)count;
    return state;
}

#endif
