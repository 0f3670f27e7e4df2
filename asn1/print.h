/* print.h - shows decoded messages, field by field, by the tables of types.def.
 *
 * SECRET fields are shown as their length only; what octets are known to hold is shown in their
 * place. Whoever knows more (a key that fits, the format of a checksum) adds it by a hook.
 * The readable dump of a whole message is kb_print of engine.h. One thread at a time. */
#ifndef KB_ASN1_PRINT_H
#define KB_ASN1_PRINT_H

#include "asn1/engine.h"
#include "asn1/show.h"

struct kb_print_how {
    bool show_secrets;
    /* Called behind the fields of each SEQUENCE, while its group is open; NULL: nobody. */
    void (*beside)(void *arg, struct kb_show *show, const struct kb_type *type, const void *value);
    void *arg;
};

/* kb_print_value shows a decoded value under `name` (kb_show_open's). */
void kb_print_value(struct kb_show *show, const char *name, const struct kb_type *type,
                    const void *value, const struct kb_print_how *how);

/* kb_message_type is the type of a whole message, which its outermost tag tells; NULL: none. */
const struct kb_type *kb_message_type(kb_bytes message);

#endif
