/* iov.h - the parts of the program tests/spi/iov. */
#ifndef KB_TEST_IOV_H
#define KB_TEST_IOV_H

#include "tests/spi/say.h"

/* edges writes down what comes of lists that are not as they should be, and what the lengths and
 * flags of the others become: the same with and without the plugin. */
void edges(gss_ctx_id_t from, gss_ctx_id_t to, int dce);

#endif
