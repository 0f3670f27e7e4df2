#include "crypto/affinity.h"

#include <stdatomic.h>

unsigned kb_thread_number(void)
{
    static atomic_uint count;
    static _Thread_local unsigned number; /* from 1; 0: not yet */

    if (number == 0) {
        number = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) + 1;
    }
    return number - 1;
}
