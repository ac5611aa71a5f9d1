#pragma once

// CRC-32C by the instructions that processors have for it, which Swift does not show.
#include <stddef.h>
#include <stdint.h>

/// Whether this processor has them. Without them, `ccrc32c_continue` must not be called.
int ccrc32c_is_available(void);

/// What `count` more bytes make of a CRC's state, which is neither inverted at the start nor at the end.
uint32_t ccrc32c_continue(uint32_t state, const void *bytes, size_t count);
