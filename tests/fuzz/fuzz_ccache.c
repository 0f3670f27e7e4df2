/* The input is read as a credentials cache; each ticket is looked up, and all is written again.
 * Then its first part is read and the rest behind it, as when others append: that holds the same.
 */
#include "mech/store/ccache_format.h"
#include "tests/fuzz/fuzz.h"

static const int32_t etypes[] = {17, 18, 19, 20, 23, 25, 26};

static void look_up(const struct kb_cc_contents *contents, const struct kb_principal *server)
{
    struct kb_cc_wanted wanted = {
        .server = server, .any_realm = true, .etypes = etypes, .num_etypes = 7};
    struct kb_credential *credential;

    if (kb_cc_find(contents, &wanted, &credential, NULL) == KB_OK) {
        FUZZ_MUST(credential->endtime > 0);
        kb_credential_free(credential);
    }
}

/* What is written holds the same tickets. */
static void write_again(const struct kb_cc_contents *contents)
{
    struct kb_cc_contents *again;
    struct kb_buf buf;
    size_t removed = 0;

    for (size_t i = 0; i < contents->num; i++) {
        removed += kb_cc_record_at(contents, i)->kind == KB_CC_REMOVED;
    }
    kb_buf_init(&buf, KB_CC_MAX);
    FUZZ_MUST(kb_cc_put_all(&buf, contents, NULL, NULL, NULL) == KB_OK);
    again = kb_cc_contents_new(buf.len);
    FUZZ_MUST(again != NULL);
    memcpy(again->image, buf.data, buf.len);
    FUZZ_MUST(kb_cc_parse(again) == KB_OK);
    FUZZ_MUST(again->num == contents->num - removed && again->whole == again->len);
    kb_cc_contents_put(again);
    kb_buf_wipe(&buf);
}

static struct kb_cc_contents *first_part(const uint8_t *data, size_t len)
{
    struct kb_cc_contents *contents = kb_cc_contents_new(len);

    FUZZ_MUST(contents != NULL);
    if (len > 0) {
        memcpy(contents->image, data, len);
    }
    if (kb_cc_parse(contents) != KB_OK) {
        kb_cc_contents_put(contents);
        contents = NULL;
    }
    return contents;
}

static struct kb_cc_contents *read_on(struct kb_cc_contents *old, const uint8_t *data, size_t len)
{
    struct kb_cc_contents *contents = kb_cc_contents_grown(old, len);

    FUZZ_MUST(contents != NULL && contents->at <= len);
    memcpy(contents->image, data + contents->at, len - contents->at);
    FUZZ_MUST(kb_cc_parse(contents) == KB_OK);
    kb_cc_contents_put(old);
    return contents;
}

static void hold_the_same(const struct kb_cc_contents *a, const struct kb_cc_contents *b)
{
    FUZZ_MUST(a->num == b->num && a->whole == b->whole && a->len == b->len);
    for (size_t i = 0; i < a->num; i++) {
        const struct kb_cc_record *x = kb_cc_record_at(a, i), *y = kb_cc_record_at(b, i);

        FUZZ_MUST(kb_equal(x->raw, y->raw) && x->hash == y->hash && x->kind == y->kind);
    }
}

/* In three parts, cut where the last two bytes say. */
static void grow(const struct kb_cc_contents *whole, const uint8_t *data, size_t len)
{
    size_t first = len * data[len - 1] / 256, second = first + (len - first) * data[len - 2] / 256;
    struct kb_cc_contents *contents = first_part(data, first);
    struct kb_cc_ticket ticket;
    size_t position = 0;

    if (contents == NULL) {
        return;
    }
    contents = read_on(contents, data, second);
    contents = read_on(contents, data, len);
    hold_the_same(contents, whole);
    while (kb_cc_next(contents, &position, &ticket) == KB_OK) {
        look_up(contents, ticket.server);
        kb_cc_ticket_wipe(&ticket);
    }
    kb_cc_contents_put(contents);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kb_cc_contents *contents = kb_cc_contents_new(len);
    struct kb_cc_ticket ticket;
    size_t position = 0;

    FUZZ_MUST(contents != NULL);
    if (len > 0) {
        memcpy(contents->image, data, len);
    }
    if (kb_cc_parse(contents) == KB_OK) {
        while (kb_cc_next(contents, &position, &ticket) == KB_OK) {
            look_up(contents, ticket.server);
            kb_cc_ticket_wipe(&ticket);
        }
        write_again(contents);
        grow(contents, data, len);
    }
    kb_cc_contents_put(contents);
    return 0;
}
