/* fuzz.h - what the fuzz targets share.
 *
 * A target is tests/fuzz/fuzz_NAME.c with LLVMFuzzerTestOneInput, its line in Makefile.am and a
 * function in seeds.py. `make fuzz` runs them all, FUZZ_SECONDS each. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* FUZZ_MUST ends the run as a finding. */
#define FUZZ_MUST(holds)                                                                           \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
