/* profile.h - the syntax of krb5.conf (MIT src/util/profile/prof_parse.c).
 *
 * Bytes in, a list of relations out; including other files is the caller's. What stands deeper than
 * a subsection of a section is checked and left out: clients need none of it. */
#ifndef KB_PROFILE_H
#define KB_PROFILE_H

#include "asn1/arena.h"
#include "mech/report/error.h"

#define KB_PROFILE_MARK "*"
#define KB_PROFILE_FINAL "*"
#define KB_PROFILE_BEGIN "{"

struct kb_relation {
    /* sub: NULL directly in the section. A name KB_PROFILE_MARK, which no relation can have, marks
     * with the value "{" that a subsection begins, with "*" that the section or subsection is
     * final. */
    const char *section, *sub, *name, *value;
    const char *file; /* where it stands */
    unsigned line;
    unsigned number; /* of the file in KRB5_CONFIG's list; what it includes has the same */
    const struct kb_relation *next;
};

struct kb_profile {
    struct kb_arena *arena;
    const struct kb_relation *first, **end; /* in the order of the files; kb_profile_init */
    unsigned number;                        /* of the file that is read; the caller counts */
    const char *module; /* a module directive that was read over: "PATH:RESIDUAL"; NULL: none */
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
