#include "mech/protocol/expiry.h"

#include <stdio.h>

#include "asn1/date.h"

#define DAY 86400

/* lr-type; negative where it is known to the answering KDC only. */
enum { PASSWORD = 6, ACCOUNT = 7 };

/* The earliest time that last-req has of this type; 0: none. */
static int64_t find(const kb_last_req *list, int32_t lr_type)
{
    int64_t found = 0;

    for (size_t i = 0; i < list->num; i++) {
        const kb_last_req_entry *entry = &list->items[i];

        if ((entry->lr_type == lr_type || entry->lr_type == -lr_type) && entry->lr_value > 0 &&
            (found == 0 || entry->lr_value < found)) {
            found = entry->lr_value;
        }
    }
    return found;
}

/* What has passed already, the KDC did not mean. */
static bool is_soon(int64_t time, int64_t now)
{
    return time > now && time - now <= KB_EXPIRY_SOON;
}

static void tell(struct kb_events *events, const char *what, const char *client, int64_t time,
                 int64_t now, const char *cure)
{
    struct kb_date date = kb_date_of(time);
    char text[64];

    snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d UTC", date.year, date.month, date.day,
             date.hour, date.minute);
    kb_event_expires_soon(events, what, client, text, (long long)((time - now) / DAY), cure);
}

static const char *cure_of_key(const struct kb_key_source *keys)
{
    return keys->salted ? "Change the password (kpasswd), and put the new one where Password points"
                        : "Have the key changed at the KDC, and export the keytab again";
}

void kb_expiry_tell(struct kb_events *events, const char *client, const struct kb_key_source *keys,
                    const kb_enc_kdc_rep_part *part)
{
    int64_t now = part->authtime;
    int64_t password = find(&part->last_req, PASSWORD), account = find(&part->last_req, ACCOUNT);
    int64_t key = part->has_key_expiration ? part->key_expiration : 0;

    if (is_soon(password, now)) {
        tell(events, keys->salted ? "The password" : "The key", client, password, now,
             cure_of_key(keys));
    }
    if (is_soon(account, now)) {
        tell(events, "The account", client, account, now,
             "Ask the realm's administrator to extend it");
    }
    if (is_soon(key, now) && key != password && key != account) {
        tell(events, keys->salted ? "The password or the account" : "The key or the account",
             client, key, now, cure_of_key(keys));
    } else if (key > now + KB_EXPIRY_SOON) {
        kb_event_key_expires(events, client, (long long)((key - now) / DAY));
    }
}
