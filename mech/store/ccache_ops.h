/* ccache_ops.h - what each type of cache does, for ccache.c alone. The functions are those of
 * ccache.h, which checks and explains; a `rest` is the name behind the type. */
#ifndef KB_CCACHE_OPS_H
#define KB_CCACHE_OPS_H

#include "mech/store/ccache_format.h"

struct kb_ccache {
    const struct kb_ccache_ops *ops;
    _Atomic unsigned refs;
    char *shown; /* for messages: TYPE:REST, nothing in it that a terminal would obey */
    const char *rest;
    char name[];
};

struct kb_ccache_ops {
    char type[8];
    struct kb_cc_stamp (*look)(const struct kb_ccache *cache);
    enum kb_status (*load)(const struct kb_ccache *cache, struct kb_wait *wait,
                           struct kb_cc_contents **out, struct kb_error *err);
    enum kb_status (*store)(const struct kb_ccache *cache, const struct kb_cc_store *what,
                            struct kb_wait *wait, struct kb_cc_stamp *out_stamp,
                            struct kb_error *err);
    enum kb_status (*remove)(const struct kb_ccache *cache, const struct kb_principal *owner,
                             const struct kb_principal *server, struct kb_wait *wait,
                             size_t *out_num, struct kb_error *err);
};

extern const struct kb_ccache_ops kb_cc_file_ops;
extern const struct kb_ccache_ops kb_cc_memory_ops;

/* kb_cc_explain makes a sentence of what kb_cc_parse said. */
enum kb_status kb_cc_explain(const struct kb_ccache *cache, enum kb_status st,
                             struct kb_error *err);

#endif
