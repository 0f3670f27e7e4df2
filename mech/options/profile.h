/* profile.h - the syntax of krb5.conf (MIT src/util/profile/prof_parse.c).
 *
 * Bytes in, a list of relations out; including other files is the caller's. What stands deeper than
 * a subsection of a section is checked and left out: clients need none of it. The final marker `*`
 * is read over. */
#ifndef KB_PROFILE_H
#define KB_PROFILE_H

#include "asn1/arena.h"
#include "mech/report/error.h"

struct kb_relation {
    /* sub: NULL directly in the section. The beginning of a subsection is a relation with an empty
     * name. */
    const char *section, *sub, *name, *value;
    const char *file; /* where it stands */
    unsigned line;
    const struct kb_relation *next;
};

struct kb_profile {
    struct kb_arena *arena;
    const struct kb_relation *first, **end; /* in the order of the files; kb_profile_init */
    /* Called for include and includedir; *err names the file that fails. */
    enum kb_status (*include)(void *context, const char *path, bool directory,
                              struct kb_error *err);
    void *context;
};

static inline void kb_profile_init(struct kb_profile *profile, struct kb_arena *arena)
{
    *profile = (struct kb_profile){.arena = arena};
    profile->end = &profile->first;
}

/* kb_profile_parse appends what `text` says; `file` is its name for messages. */
KB_MUST_USE enum kb_status kb_profile_parse(struct kb_profile *profile, kb_bytes text,
                                            const char *file, struct kb_error *err);

#endif
