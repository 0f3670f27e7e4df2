/* message.c - what is done with an existing context: the KB_CONTEXT_ENTRY rows of entries.def. */
#include "mech/spi/handle.h"
#include "mech/spi/ours.h"

#define KB_ENTRY(name, parameters)
#define KB_NAME_ENTRY(name, parameters, arguments)
#define KB_CONTEXT_ENTRY(name, parameters, arguments, ours)                                        \
    OM_uint32 gssi_##name parameters                                                               \
    {                                                                                              \
        KB_ENTER(minor);                                                                           \
        struct kb_gss_ctx *ctx = kb_ctx_of(handle);                                                \
                                                                                                   \
        if (ctx == NULL) {                                                                         \
            return kb_bad_ctx(minor);                                                              \
        }                                                                                          \
        if (ctx->inner != GSS_C_NO_CONTEXT) {                                                      \
            return gss_##name(minor, ctx->inner KB_ARGS arguments);                                \
        }                                                                                          \
        return ours(minor, ctx KB_ARGS arguments);                                                 \
    }
#include "mech/spi/entries.def"
