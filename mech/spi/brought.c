#include "mech/spi/brought.h"

#include <stdio.h>
#include <stdlib.h>

#include "mech/login/tell.h"
#include "mech/store/ccache.h"

#define SHORTEST_LIFE 60 /* that TicketLife can be */

/* MIT's keys. Their case counts; `password` is a secret itself, not our option's way to one. */
enum mit_key { NO_KEY, KEY_PASSWORD, KEY_CLIENT_KEYTAB, KEY_CCACHE, KEY_VERIFY, KEY_ACCEPTORS };

static enum mit_key mit_key_of(const char *key)
{
    static const struct {
        const char *name;
        enum mit_key key;
    } rows[] = {
        {"password", KEY_PASSWORD}, {"client_keytab", KEY_CLIENT_KEYTAB},
        {"ccache", KEY_CCACHE},     {"verify", KEY_VERIFY},
        {"keytab", KEY_ACCEPTORS},  {"rcache", KEY_ACCEPTORS},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, key) == 0) {
            return rows[i].key;
        }
    }
    return NO_KEY;
}

static bool make_settings(struct kb_brought *brought)
{
    if (brought->own == NULL) {
        brought->own = kb_settings_new();
    }
    return brought->own != NULL;
}

static enum kb_status no_memory(struct kb_error *err)
{
    return kb_error_set(err, KB_E_NO_MEMORY, "No memory for a credential");
}

static enum kb_status set(struct kb_brought *brought, const char *name, kb_bytes value,
                          struct kb_error *err)
{
    return make_settings(brought) ? kb_settings_set(brought->own, kb_str(name), value, err)
                                  : no_memory(err);
}

static enum kb_status set_password(struct kb_brought *brought, kb_bytes password,
                                   struct kb_error *err)
{
    brought->log_in_now = true;
    return make_settings(brought) ? kb_settings_set_password(brought->own, password, err)
                                  : no_memory(err);
}

static bool is_memory(const char *name)
{
    return strncmp(name, "MEMORY:", 7) == 0;
}

static enum kb_status take_mit_key(struct kb_brought *brought, enum mit_key key, const char *value,
                                   struct kb_error *err)
{
    switch (key) {
    case KEY_PASSWORD:
        return set_password(brought, kb_str(value), err);
    case KEY_CLIENT_KEYTAB:
        /* A keytab in libkrb5's memory cannot be seen from here. */
        if (is_memory(value)) {
            brought->platforms = true;
            return KB_OK;
        }
        return set(brought, "KeytabFile", kb_str(value), err);
    case KEY_CCACHE:
        /* What is of a type that we have not, and libkrb5's memory, cannot be read from here. */
        if (!kb_ccache_is_shared(value)) {
            brought->platforms = true;
            return KB_OK;
        }
        return set(brought, "CredentialsCacheFile", kb_str(value), err);
    case KEY_VERIFY:
        brought->verify = true;
        return KB_OK;
    default:
        return KB_OK;
    }
}

/* The store's part that is not ours. Its strings stay the caller's. */
static bool keep_for_platform(struct kb_brought *brought, const gss_key_value_element_desc *element,
                              OM_uint32 room)
{
    if (brought->rest_elements == NULL) {
        brought->rest_elements = calloc(room, sizeof(*brought->rest_elements));
        brought->rest.elements = brought->rest_elements;
    }
    if (brought->rest_elements == NULL) {
        return false;
    }
    brought->rest_elements[brought->rest.count++] = *element;
    return true;
}

/* One store goes to all mechanisms, so a key that nobody knows is no error; a misspelt one of ours
 * should not vanish all the same. */
static void tell_near_miss(const char *key)
{
    const char *meant = kb_option_near_miss(kb_str(key));
    struct kb_events *events = meant != NULL ? kb_tell_events(NULL, NULL) : NULL;
    struct kb_buf shown;

    if (events != NULL) {
        kb_buf_init(&shown, 256);
        kb_buf_add_escaped(&shown, kb_str(key));
        kb_event_near_miss(events, kb_buf_str(&shown), meant);
        kb_buf_wipe(&shown);
        kb_events_free(events);
    }
}

static void add_to_key(struct kb_buf *key, kb_bytes part)
{
    kb_buf_printf(key, "%zu:", part.len);
    kb_buf_add(key, part);
}

static enum kb_status take_element(struct kb_brought *brought, bool ours,
                                   const gss_key_value_element_desc *element, OM_uint32 room,
                                   struct kb_error *err)
{
    enum mit_key key = mit_key_of(element->key);

    add_to_key(&brought->key, kb_str(element->key));
    add_to_key(&brought->key, kb_str(element->value));
    if (key == NO_KEY && kb_option_is_name(kb_str(element->key))) {
        return set(brought, element->key, kb_str(element->value), err);
    }
    if (!keep_for_platform(brought, element, room)) {
        return no_memory(err);
    }
    return ours ? take_mit_key(brought, key, element->value, err) : KB_OK;
}

static void tell_near_misses(gss_const_key_value_set_t store)
{
    for (OM_uint32 i = 0; store != NULL && i < store->count; i++) {
        const char *key = store->elements[i].key;

        if (key != NULL && mit_key_of(key) == NO_KEY) {
            tell_near_miss(key);
        }
    }
}

static bool names(gss_const_key_value_set_t store, const char *option)
{
    for (OM_uint32 i = 0; store != NULL && i < store->count; i++) {
        if (store->elements[i].key != NULL &&
            kb_equal_nocase(kb_str(store->elements[i].key), kb_str(option))) {
            return true;
        }
    }
    return false;
}

enum kb_status kb_brought_init(struct kb_brought *brought, bool ours, kb_bytes client,
                               const gss_buffer_desc *password, gss_const_key_value_set_t store,
                               struct kb_error *err)
{
    enum kb_status st = KB_OK;

    memset(brought, 0, sizeof(*brought));
    kb_buf_init(&brought->key, 1u << 20);
    add_to_key(&brought->key, client);
    for (OM_uint32 i = 0; store != NULL && i < store->count && st == KB_OK; i++) {
        if (store->elements[i].key != NULL && store->elements[i].value != NULL) {
            st = take_element(brought, ours, &store->elements[i], store->count, err);
        }
    }
    if (st == KB_OK && (ours || brought->own != NULL)) {
        tell_near_misses(store);
    }
    if (st == KB_OK && password != NULL && ours) {
        add_to_key(&brought->key, kb_bytes_of_buffer(password));
        st = set_password(brought, kb_bytes_of_buffer(password), err);
    }
    if (st == KB_OK && brought->own != NULL && kb_settings_has_identity(brought->own)) {
        brought->own_identity = true;
        /* A secret belongs to the name that was given with it. */
        if (client.len > 0 && !names(store, "User")) {
            st = set(brought, "User", client, err);
        }
    }
    return st;
}

enum kb_status kb_brought_life(struct kb_brought *brought, bool ours, OM_uint32 time_req,
                               gss_const_key_value_set_t store, struct kb_error *err)
{
    char text[16];

    if (time_req == 0 || time_req == GSS_C_INDEFINITE || brought->platforms ||
        (!ours && !brought->own_identity) || names(store, "TicketLife")) {
        return KB_OK;
    }
    brought->life = time_req;
    brought->only_life = brought->own == NULL;
    snprintf(text, sizeof(text), "%lu",
             (unsigned long)(time_req < SHORTEST_LIFE ? SHORTEST_LIFE
                             : time_req > INT32_MAX   ? INT32_MAX
                                                      : time_req));
    add_to_key(&brought->key, kb_str(text));
    return set(brought, "TicketLife", kb_str(text), err);
}

void kb_brought_wipe(struct kb_brought *brought)
{
    kb_settings_free(brought->own);
    kb_buf_wipe(&brought->key);
    free(brought->rest_elements);
    *brought = (struct kb_brought){0};
}
