/* reading.h - the option file and the lines of options, read into units. Private to layers. */
#ifndef KB_READING_H
#define KB_READING_H

#include "mech/options/layers.h"

/* For who wants to hear of every mistake: it is told, and reading goes on behind it. *err is the
 * callee's to use until it returns. */
struct kb_findings {
    void (*found)(void *context, const struct kb_origin *place, struct kb_error *err);
    void *context;
};

struct kb_reading {
    const struct kb_findings *findings; /* NULL: the first mistake ends the reading */
    struct kb_arena *arena;
    struct kb_watch **watched;
    struct kb_unit *first, **end; /* kb_reading_init */
    unsigned num;                 /* of units */
    uid_t euid;                   /* for whom paths are expanded */
};

/* The condition of a section whose brackets are wrong, while reading goes on: it never holds. */
extern const struct kb_condition kb_never;

void kb_reading_init(struct kb_reading *reading, struct kb_arena *arena, struct kb_watch **watched,
                     uid_t euid);

/* kb_reading_add appends a copy of a unit that was made elsewhere; its settings are shared. false:
 * no memory. */
bool kb_reading_add(struct kb_reading *reading, const struct kb_unit *unit);

/* kb_read_items reads `Name=value …` into a unit of its own. In a mech.d line (layer MECHD)
 * ForUser= is a condition. `like` says where it stands; its file must live as long as the arena. */
KB_MUST_USE enum kb_status kb_read_items(struct kb_reading *reading, enum kb_layer layer,
                                         kb_bytes text, const struct kb_setting *like,
                                         struct kb_error *err);

/* kb_read_config reads an option file and what it includes. KB_NOT_FOUND, with *err: there is none.
 */
KB_MUST_USE enum kb_status kb_read_config(struct kb_reading *reading, enum kb_layer layer,
                                          const char *path, struct kb_error *err);

/* kb_read_config_text reads the bytes of one; `include` lines are errors if `watched` is NULL. */
KB_MUST_USE enum kb_status kb_read_config_text(struct kb_reading *reading, enum kb_layer layer,
                                               kb_bytes text, const char *file, bool exposed,
                                               struct kb_error *err);

#endif
