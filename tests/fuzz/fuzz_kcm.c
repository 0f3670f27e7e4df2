/* The input is the answer of a KCM daemon, behind a byte that tells to what. Tickets that it holds
 * make contents, which hold as many; put behind others, they are found there too. */
#include "mech/store/kcm_format.h"
#include "tests/fuzz/fuzz.h"

static void make_contents(struct kb_kcm_pile *pile)
{
    static const int32_t offset = -7;
    struct kb_cc_contents *contents, *more;
    struct kb_principal *owner;
    size_t num = pile->num;

    FUZZ_MUST(kb_principal_parse(KB_LIT("alice@R"), KB_NT_PRINCIPAL, KB_NONE, &owner) == KB_OK);
    FUZZ_MUST(kb_kcm_contents(pile, owner, &offset, &contents) == KB_OK);
    FUZZ_MUST(contents->num == num && contents->offset == -7000000);
    FUZZ_MUST(kb_principal_equal(contents->owner, owner));
    FUZZ_MUST(kb_kcm_contents_more(pile, contents, &more) == KB_OK);
    FUZZ_MUST(more->num == 2 * num);
    for (size_t i = 0; i < num; i++) {
        struct kb_buf request;

        FUZZ_MUST(kb_equal(kb_cc_record_at(more, i)->raw, kb_cc_record_at(more, num + i)->raw));
        kb_buf_init(&request, KB_CC_MAX);
        kb_kcm_start(&request, KB_KCM_REMOVE_CRED, "x");
        kb_kcm_put_match(&request, kb_cc_record_at(more, i));
        kb_kcm_finish(&request);
        FUZZ_MUST(request.status == KB_OK);
        kb_buf_wipe(&request);
    }
    kb_cc_contents_put(contents);
    kb_cc_contents_put(more);
    kb_principal_free(owner);
}

static void read_body(uint8_t what, kb_bytes body)
{
    char name[KB_KCM_NAME_MAX];
    struct kb_principal *principal = NULL;
    struct kb_kcm_pile pile;
    int32_t seconds;
    size_t num;

    kb_kcm_pile_init(&pile);
    switch (what % 6) {
    case 0:
        FUZZ_MUST(kb_kcm_get_name(body, name) != KB_OK || strlen(name) > 0);
        break;
    case 1:
        FUZZ_MUST(kb_kcm_get_uuids(body, &num) != KB_OK || num * KB_KCM_UUID == body.len);
        break;
    case 2:
        FUZZ_MUST((kb_kcm_get_principal(body, &principal) == KB_OK) == (principal != NULL));
        break;
    case 3:
        FUZZ_MUST((kb_kcm_get_seconds(body, &seconds) == KB_OK) == (body.len >= 4));
        break;
    case 4:
        if (kb_kcm_pile_add(&pile, body) == KB_OK) {
            make_contents(&pile);
        }
        break;
    default:
        if (kb_kcm_pile_list(&pile, body) == KB_OK) {
            make_contents(&pile);
        }
        break;
    }
    kb_kcm_pile_wipe(&pile);
    kb_principal_free(principal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct kb_kcm_answer answer;
    size_t rest;
    char buf[40];

    if (len < 1 + KB_KCM_HEAD || kb_kcm_length(data + 1, &rest) != KB_OK ||
        rest != len - 1 - KB_KCM_HEAD) {
        return 0;
    }
    if (kb_kcm_answer(data + 1, kb_bytes_of(data + 1 + KB_KCM_HEAD, rest), &answer) == KB_OK) {
        FUZZ_MUST(strlen(kb_kcm_code_text(answer.code, buf)) > 0);
        read_body(data[0], answer.body);
    }
    return 0;
}
