// Keeps the target a C target; everything lives in the header.
#include "clinux.h"
