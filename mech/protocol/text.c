#include "mech/protocol/text.h"

#include <string.h>

#define LONGEST 1000 /* bytes of a name or text that are looked at */

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Cuts at a character's beginning, so that no half of one reaches a terminal. */
static const char *take(struct kb_text *out, struct kb_buf *buf)
{
    const char *text = buf->status == KB_OK ? kb_buf_str(buf) : "(too long to show)";
    size_t len = strlen(text), room = sizeof(out->text) - 1;

    if (len > room) {
        room -= 3;
        while (room > 0 && is_continuation(text[room])) {
            room--;
        }
        memcpy(out->text, text, room);
        memcpy(out->text + room, "...", 4);
    } else {
        memcpy(out->text, text, len + 1);
    }
    kb_buf_wipe(buf);
    return out->text;
}

const char *kb_text_principal(struct kb_text *out, const struct kb_principal *principal)
{
    return kb_text_name(out, &principal->name, principal->realm);
}

const char *kb_text_name(struct kb_text *out, const kb_principal_name *name, kb_bytes realm)
{
    struct kb_buf buf;

    kb_buf_init(&buf, 4 * LONGEST);
    kb_name_print(name, realm, &buf);
    return take(out, &buf);
}

const char *kb_text_escaped(struct kb_text *out, kb_bytes foreign)
{
    struct kb_buf buf;

    kb_buf_init(&buf, 4 * LONGEST);
    kb_buf_add_escaped(&buf,
                       kb_bytes_of(foreign.ptr, foreign.len < LONGEST ? foreign.len : LONGEST));
    return take(out, &buf);
}
