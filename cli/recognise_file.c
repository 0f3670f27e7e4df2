/* Files of keys and tickets: listed, their keys never shown. */
#include <stdio.h>

#include "asn1/names.h"
#include "cli/recognise.h"
#include "mech/store/ccache_format.h"

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

static void show_keytab(struct kb_recogniser *r, const struct kb_keytab *keytab)
{
    kb_recognise_begin(r, "keytab");
    kb_show_open(r->show, "keytab", KB_SHOW_ITEMS);
    for (size_t i = 0; i < keytab->num && r->show->out->status == KB_OK; i++) {
        show_entry(r, &keytab->entries[i]);
    }
    kb_show_close(r->show);
}

/* 05 01 and 05 02 begin keytabs, and old caches too: which then reads to its end. */
enum kb_status kb_recognise_keytab(struct kb_recogniser *r, kb_bytes bytes)
{
    struct kb_keytab *keytab;
    enum kb_status status;

    if (!begins(bytes, 1) && !begins(bytes, 2)) {
        return KB_WRONG_TYPE;
    }
    status = kb_keytab_parse(bytes, &keytab);
    if (status == KB_OK) {
        show_keytab(r, keytab);
        kb_keytab_free(keytab);
        return KB_OK;
    }
    if (status != KB_NO_MEMORY && kb_recognise_ccache(r, bytes) == KB_OK) {
        return KB_OK;
    }
    snprintf(r->why->text, sizeof(r->why->text), "keytab: %s", kb_status_text(status));
    return status;
}

void kb_show_cc_ticket(struct kb_show *show, const struct kb_cc_ticket *ticket)
{
    kb_show_principal(show, "client", ticket->client);
    kb_show_principal(show, "server", ticket->server);
    kb_show_flags(show, "flags", ticket->flags);
    kb_show_time(show, "authtime", ticket->authtime);
    if (ticket->starttime != 0 && ticket->starttime != ticket->authtime) {
        kb_show_time(show, "starttime", ticket->starttime);
    }
    kb_show_time(show, "endtime", ticket->endtime);
    if (ticket->renew_till != 0) {
        kb_show_time(show, "renew-till", ticket->renew_till);
    }
    if (ticket->ticket_etype != 0) {
        kb_show_number(show, "ticket-etype", ticket->ticket_etype,
                       kb_number_name("etype", ticket->ticket_etype));
    }
    kb_show_number(show, "session-etype", ticket->etype, kb_number_name("etype", ticket->etype));
}

static enum kb_status show_tickets(struct kb_recogniser *r, const struct kb_cc_contents *contents)
{
    enum kb_status status = KB_OK;
    size_t position = 0;

    kb_show_open(r->show, "tickets", KB_SHOW_ITEMS);
    while (status == KB_OK && r->show->out->status == KB_OK) {
        struct kb_cc_ticket ticket;

        status = kb_cc_next(contents, &position, &ticket);
        if (status == KB_OK) {
            kb_show_open(r->show, NULL, KB_SHOW_FIELDS);
            kb_show_cc_ticket(r->show, &ticket);
            kb_show_close(r->show);
            kb_cc_ticket_wipe(&ticket);
        }
    }
    kb_show_close(r->show);
    return status == KB_NOT_FOUND ? KB_OK : status;
}

static enum kb_status show_ccache(struct kb_recogniser *r, const struct kb_cc_contents *contents)
{
    enum kb_status status;

    kb_recognise_begin(r, "ccache");
    kb_show_open(r->show, "ccache", KB_SHOW_FIELDS);
    kb_show_number(r->show, "version", contents->version, NULL);
    kb_show_principal(r->show, "principal", kb_cc_owner(contents));
    status = show_tickets(r, contents);
    kb_show_close(r->show);
    return status;
}

enum kb_status kb_recognise_ccache(struct kb_recogniser *r, kb_bytes bytes)
{
    struct kb_cc_contents *contents;
    enum kb_status status;

    if (bytes.len < 2 || bytes.ptr[0] != 5 || bytes.ptr[1] < 1 || bytes.ptr[1] > 4) {
        return KB_WRONG_TYPE;
    }
    contents = kb_cc_contents_new(bytes.len);
    if (contents == NULL) {
        return KB_NO_MEMORY;
    }
    memcpy(contents->image, bytes.ptr, bytes.len);
    status = kb_cc_parse(contents);
    if (status == KB_OK) {
        status = show_ccache(r, contents);
    } else {
        snprintf(r->why->text, sizeof(r->why->text), "credential cache: %s",
                 status == KB_NOT_FOUND ? "it has no principal" : kb_status_text(status));
        status = status == KB_NO_MEMORY ? status : KB_MALFORMED;
    }
    kb_cc_contents_put(contents);
    return status;
}
