/* The input is read as a credentials cache; each ticket is looked up, and all is written again. */
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
    }
    kb_cc_contents_put(contents);
    return 0;
}
