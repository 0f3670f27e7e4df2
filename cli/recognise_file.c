/* Files of keys and tickets: listed, their keys never shown. */
#include <stdio.h>

#include "asn1/names.h"
#include "cli/recognise.h"

void kb_show_principal(struct kb_show *show, const char *name, const struct kb_principal *principal)
{
    struct kb_buf text;

    kb_buf_init(&text, 1 << 16);
    kb_principal_unparse(principal, &text);
    kb_show_name(show, name, kb_buf_bytes(&text));
    kb_buf_wipe(&text);
}

static void show_entry(struct kb_recogniser *r, const struct kb_keytab_entry *entry)
{
    kb_show_open(r->show, NULL, KB_SHOW_FIELDS);
    kb_show_principal(r->show, "principal", entry->principal);
    kb_show_number(r->show, "kvno", entry->kvno, NULL);
    kb_show_number(r->show, "etype", entry->etype, kb_number_name("etype", entry->etype));
    kb_show_time(r->show, "timestamp", entry->timestamp);
    kb_show_close(r->show);
}

static bool begins(kb_bytes bytes, uint8_t version)
{
    return bytes.len >= 2 && bytes.ptr[0] == 5 && bytes.ptr[1] == version;
}

/* 05 01 and 05 02 begin keytabs; caches of the versions 1 and 2 too. */
enum kb_status kb_recognise_keytab(struct kb_recogniser *r, kb_bytes bytes)
{
    struct kb_keytab *keytab;
    enum kb_status status;

    if (!begins(bytes, 1) && !begins(bytes, 2)) {
        return KB_WRONG_TYPE;
    }
    status = kb_keytab_parse(bytes, &keytab);
    if (status != KB_OK) {
        snprintf(r->why->text, sizeof(r->why->text), "keytab: %s", kb_status_text(status));
        return status;
    }
    kb_recognise_begin(r, "keytab");
    kb_show_open(r->show, "keytab", KB_SHOW_ITEMS);
    for (size_t i = 0; i < keytab->num && r->show->out->status == KB_OK; i++) {
        show_entry(r, &keytab->entries[i]);
    }
    kb_show_close(r->show);
    kb_keytab_free(keytab);
    return KB_OK;
}
