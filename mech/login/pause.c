#include "mech/login/pause.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "mech/login/beside_pause.h"
#include "mech/login/clock.h"
#include "mech/protocol/krberror.h"

#define MAX_REFUSALS 64
#define SHORT_PAUSE 30 /* seconds, the first time */

struct refusal {
    struct refusal *next;
    const struct kb_principal *client;
    uint8_t digest[KB_IDENTITY_DIGEST_LEN];
    int64_t at_ms, until_ms;
    int64_t length; /* of the pause, in seconds */
    struct kb_error error;
};

/* Guards the list, newest first. Nothing else is locked under it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct refusal *refusals;

static void refusal_free(struct refusal *refusal)
{
    if (refusal != NULL) {
        kb_principal_free(refusal->client);
        free(refusal);
    }
}

/* --- the list; under the lock --- */

static struct refusal **find(const struct kb_principal *client, const uint8_t *digest)
{
    struct refusal **slot = &refusals;

    while (*slot != NULL && !(kb_principal_equal((*slot)->client, client) &&
                              kb_equal_secret(kb_bytes_of((*slot)->digest, KB_IDENTITY_DIGEST_LEN),
                                              kb_bytes_of(digest, KB_IDENTITY_DIGEST_LEN)))) {
        slot = &(*slot)->next;
    }
    return slot;
}

static struct refusal *take(struct refusal **slot)
{
    struct refusal *taken = *slot;

    if (taken != NULL) {
        *slot = taken->next;
        taken->next = NULL;
    }
    return taken;
}

static struct refusal *take_surplus(void)
{
    struct refusal **slot = &refusals;

    for (unsigned i = 0; i < MAX_REFUSALS && *slot != NULL; i++) {
        slot = &(*slot)->next;
    }
    return take(slot);
}

/* --- digests --- */

/* Where nothing was refused to this principal, its secret costs no string-to-key. */
static bool was_refused(const struct kb_principal *client)
{
    bool found = false;

    pthread_mutex_lock(&lock);
    for (const struct refusal *r = refusals; r != NULL && !found; r = r->next) {
        found = kb_principal_equal(r->client, client);
    }
    pthread_mutex_unlock(&lock);
    return found;
}

/* --- saying it --- */

/* "12 minutes". No seconds: a loop would fill the system log, which takes the same sentence once a
 * minute. */
static void say_time(char out[32], int64_t ms)
{
    long long minutes = (ms + 30000) / 60000;

    if (ms < 60000) {
        snprintf(out, 32, "less than a minute");
    } else {
        snprintf(out, 32, "%lld minute%s", minutes, minutes == 1 ? "" : "s");
    }
}

static enum kb_status still_paused(const struct refusal *refusal, bool keytab, int64_t now_ms,
                                   struct kb_error *err)
{
    char since[32], left[32];

    say_time(since, now_ms - refusal->at_ms);
    say_time(left, refusal->until_ms - now_ms);
    (void)kb_error_set(err, refusal->error.code,
                       "%.700s. That was %s ago; the KDC is asked again in %s, or at once with "
                       "another %s (BadSecretPause)",
                       refusal->error.text, since, left, keytab ? "key" : "password");
    err->kdc_code = refusal->error.kdc_code;
    err->ntstatus = refusal->error.ntstatus;
    return KB_ERROR;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What another process was told, or this one; the system's clock. */
static enum kb_status check_file(struct kb_identity *identity, int64_t seconds, bool keytab,
                                 struct kb_error *err)
{
    int64_t now = kb_clock_now();
    struct kb_beside_pause pause;
    struct refusal refusal;

    if (kb_beside_pause_find(identity, now, &pause) != KB_OK || pause.until <= now) {
        return KB_OK;
    }
    refusal = (struct refusal){.at_ms = least(pause.at, now) * 1000,
                               .until_ms = least(pause.until, now + seconds) * 1000,
                               .error = pause.error};
    return still_paused(&refusal, keytab, now * 1000, err);
}

enum kb_status kb_pause_check(struct kb_identity *identity, int64_t seconds, int64_t now_ms,
                              struct kb_error *err)
{
    const struct kb_principal *client = kb_identity_principal(identity);
    bool keytab = !kb_identity_keys(identity).salted;
    uint8_t digest[KB_IDENTITY_DIGEST_LEN];
    enum kb_status st = KB_OK;
    struct refusal *refusal;

    if (seconds == 0) {
        return KB_OK;
    }
    if (check_file(identity, seconds, keytab, err) != KB_OK) {
        return KB_ERROR;
    }
    if (!was_refused(client) || kb_identity_digest(identity, digest) != KB_OK) {
        return KB_OK;
    }
    pthread_mutex_lock(&lock);
    refusal = *find(client, digest);
    if (refusal != NULL && now_ms < refusal->until_ms) {
        st = still_paused(refusal, keytab, now_ms, err);
    }
    pthread_mutex_unlock(&lock);
    return st;
}

/* --- what begins and ends one --- */

enum pause { PAUSE_NONE, PAUSE_SHORT, PAUSE_WHOLE };

static enum pause pause_for(const struct kb_error *err)
{
    switch (err->code) {
    case KB_E_WRONG_PASSWORD:
    case KB_E_KEY_REFUSED:
        /* Not the AS-REP that does not decrypt: for that no proof was counted. */
        return err->kdc_code == KB_KDC_PREAUTH_FAILED || err->kdc_code == KB_KDC_BAD_INTEGRITY
                   ? PAUSE_WHOLE
                   : PAUSE_NONE;
    case KB_E_CLIENT_REVOKED:
    case KB_E_CLIENT_EXPIRED:
    case KB_E_PASSWORD_EXPIRED:
        return err->kdc_code != 0 ? PAUSE_SHORT : PAUSE_NONE;
    default:
        return PAUSE_NONE;
    }
}

/* A pause that ended long ago, by its own length, does not lengthen the next. */
static int64_t length_of(enum pause pause, const struct refusal *before, int64_t seconds,
                         int64_t now_ms)
{
    bool again = before != NULL && now_ms < before->until_ms + before->length * 1000;

    if (pause == PAUSE_WHOLE) {
        return seconds;
    }
    return least(again ? before->length * 2 : SHORT_PAUSE, seconds);
}

/* False: there is no file, or it cannot be written. */
static bool keep_in_file(struct kb_identity *identity, enum pause pause, int64_t seconds,
                         const struct kb_error *err)
{
    int64_t now = kb_clock_now();
    struct kb_beside_pause old, made = {.at = now, .error = *err};
    struct refusal before;
    bool again = kb_beside_pause_find(identity, now, &old) == KB_OK;

    if (again) {
        before = (struct refusal){.until_ms = old.until * 1000, .length = old.length};
    }
    made.length = length_of(pause, again ? &before : NULL, seconds, now * 1000);
    made.until = now + made.length;
    return kb_beside_pause_put(identity, &made);
}

static void keep_in_memory(struct kb_identity *identity, enum pause pause, int64_t seconds,
                           int64_t now_ms, const struct kb_error *err)
{
    const struct kb_principal *client = kb_identity_principal(identity);
    struct refusal *refusal, *before, *surplus;
    uint8_t digest[KB_IDENTITY_DIGEST_LEN];

    if (kb_identity_digest(identity, digest) != KB_OK) {
        return;
    }
    refusal = calloc(1, sizeof(*refusal));
    if (refusal == NULL) {
        return; /* Then the KDC is asked again, as it would be without this. */
    }
    refusal->client = kb_principal_ref(client);
    memcpy(refusal->digest, digest, sizeof(digest));
    refusal->error = *err;
    refusal->at_ms = now_ms;
    pthread_mutex_lock(&lock);
    before = take(find(client, digest));
    refusal->length = length_of(pause, before, seconds, now_ms);
    refusal->until_ms = now_ms + refusal->length * 1000;
    refusal->next = refusals;
    refusals = refusal;
    surplus = take_surplus();
    pthread_mutex_unlock(&lock);
    refusal_free(before);
    refusal_free(surplus);
}

void kb_pause_after(struct kb_identity *identity, int64_t seconds, int64_t now_ms,
                    const struct kb_error *err)
{
    enum pause pause = seconds > 0 ? pause_for(err) : PAUSE_NONE;

    if (pause != PAUSE_NONE && !keep_in_file(identity, pause, seconds, err)) {
        keep_in_memory(identity, pause, seconds, now_ms, err);
    }
}

void kb_pause_end(struct kb_identity *identity)
{
    const struct kb_principal *client = kb_identity_principal(identity);
    uint8_t digest[KB_IDENTITY_DIGEST_LEN];
    struct refusal *ended;

    kb_beside_pause_end(identity);
    if (!was_refused(client) || kb_identity_digest(identity, digest) != KB_OK) {
        return;
    }
    pthread_mutex_lock(&lock);
    ended = take(find(client, digest));
    pthread_mutex_unlock(&lock);
    refusal_free(ended);
}

void kb_pause_fork_prepare(void)
{
    pthread_mutex_lock(&lock);
}

void kb_pause_fork_done(void)
{
    pthread_mutex_unlock(&lock);
}
