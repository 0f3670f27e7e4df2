#include "mech/report/old.h"

#include <stdatomic.h>

/* Not single DES: RFC 6649 is older. */
#define LAST_DES 3

bool kb_old_is(int32_t etype)
{
    const struct kb_enctype *enctype = kb_enctype_find(etype);

    return enctype != NULL && enctype->old;
}

const char *kb_old_rfc(int32_t etype)
{
    return etype <= LAST_DES ? "RFC 6649" : "RFC 8429";
}

/* Numbers of enctypes that have one are below 64. */
static bool is_first(int32_t etype)
{
    static _Atomic uint64_t told;
    uint64_t bit = (uint64_t)1 << (etype & 63);

    return (atomic_fetch_or_explicit(&told, bit, memory_order_relaxed) & bit) == 0;
}

void kb_old_named(struct kb_events *events, const char *where, const int32_t *etypes, size_t num)
{
    for (size_t i = 0; i < num; i++) {
        if (kb_old_is(etypes[i]) && kb_events_wanted(events, KB_LOG_INFO) && is_first(etypes[i])) {
            kb_event_old_named(events, where, kb_enctype_find(etypes[i])->name,
                               kb_old_rfc(etypes[i]));
        }
    }
}

void kb_old_used(struct kb_events *events, enum kb_old_key which, const char *whose, int32_t etype)
{
    static const struct {
        const char *key, *cure;
    } words[] = {
        [KB_OLD_CLIENT] = {"The key of", "give the account AES keys at the KDC (a new password or "
                                         "keytab brings them)"},
        [KB_OLD_TGT] = {"The session key of the TGT for", "let the KDC issue AES session keys"},
        [KB_OLD_TICKET] = {"The session key of the ticket for",
                           "give the service's account AES keys at the KDC"},
        [KB_OLD_MESSAGES] = {"The key of the messages with",
                             "let the service accept AES, and give its account AES keys"},
    };

    if (kb_old_is(etype)) {
        kb_event_old_used(events, words[which].key, whose, kb_enctype_find(etype)->name,
                          kb_old_rfc(etype), words[which].cure);
    }
}
