/* mech/protocol/fetch without memory, and without randomness: each allocation and each draw fails
 * once. The login says so, and leaks nothing (which sanitizers and valgrind see). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mech/protocol/fetch.h"
#include "tests/support/client.h"
#include "tests/support/minikdc.h"
#include "tests/support/oom.h"

/* What fails, and when; counted over the machine's calls only. */
struct failing {
    long allocation, draw; /* the nth; negative: none */
    long allocations, draws;
    struct kb_rng rng; /* the real one */
};

static enum kb_status draw(void *ctx, uint8_t *out, size_t len)
{
    struct failing *f = ctx;

    return f->draws++ == f->draw ? KB_NO_RANDOM : f->rng.fill(f->rng.ctx, out, len);
}

static unsigned long begin(const struct failing *f)
{
    oom_fail_after(f->allocation >= f->allocations ? f->allocation - f->allocations : -1);
    return oom_count();
}

static void end(struct failing *f, unsigned long before)
{
    oom_fail_after(-1);
    f->allocations += (long)(oom_count() - before);
}

struct lab {
    struct client client;
    struct minikdc kdc;
    struct kb_principal *service;
    struct kb_key *session_key;
    struct kb_fetch *fetch;
    struct kb_send send;
};

static kb_bytes answer(struct lab *lab)
{
    struct minikdc_reply reply;

    if (lab->send.message.ptr[0] == 0x6c) {
        minikdc_tgs(&lab->kdc, lab->session_key, lab->send.message, &reply);
    } else if (minikdc_padata(&lab->kdc, lab->send.message, 2).len == 0) {
        return minikdc_error(&lab->kdc, 25, minikdc_method_data(&lab->kdc, 18, MINIKDC_SALT, 2));
    } else {
        minikdc_as(&lab->kdc, lab->send.message, &reply);
        kb_key_free(lab->session_key);
        lab->session_key = kb_key_ref(lab->kdc.session_key);
    }
    return minikdc_seal(&lab->kdc, &reply);
}

static void lab_init(struct lab *lab, struct failing *f)
{
    memset(lab, 0, sizeof(*lab));
    client_init(&lab->client);
    minikdc_init(&lab->kdc, lab->client.now.sec, 18, 2);
    lab->kdc.cookie = KB_LIT("cookie");
    assert_int_equal(
        kb_principal_parse(KB_LIT("HTTP/www.test@TEST"), KB_NT_PRINCIPAL, KB_NONE, &lab->service),
        KB_OK);
    f->rng = lab->client.env.rng;
    lab->client.env.rng = (struct kb_rng){draw, f};
}

static void lab_wipe(struct lab *lab)
{
    kb_fetch_free(lab->fetch);
    kb_principal_free(lab->service);
    kb_key_free(lab->session_key);
    minikdc_wipe(&lab->kdc);
    client_wipe(&lab->client);
}

/* One login; how it ended. */
static enum kb_step log_in(struct lab *lab, struct failing *f)
{
    const struct kb_fetch_request request = {.client = lab->client.principal,
                                             .service = lab->service,
                                             .keys = lab->client.keys,
                                             .policy = &lab->client.policy};
    unsigned long before = begin(f);
    enum kb_step step = KB_STEP_ERROR;

    lab->fetch = kb_fetch_new(&lab->client.env, &request);
    if (lab->fetch != NULL) {
        step = kb_fetch_step(lab->fetch, KB_NONE, "", &lab->send);
    }
    end(f, before);
    while (step == KB_SEND) {
        kb_bytes reply = answer(lab);

        before = begin(f);
        (void)kb_fetch_verdict(lab->fetch, reply);
        step = kb_fetch_step(lab->fetch, reply, "192.0.2.1:88 (udp)", &lab->send);
        end(f, before);
    }
    return step;
}

static void each_allocation_fails(void **state)
{
    struct failing f = {.draw = -1};

    (void)state;
    for (f.allocation = 0;; f.allocation++) {
        enum kb_step step;
        struct lab lab;

        f.allocations = 0;
        lab_init(&lab, &f);
        step = log_in(&lab, &f);
        if (step == KB_STEP_ERROR && lab.fetch != NULL) {
            assert_int_equal(kb_fetch_error(lab.fetch)->code, KB_E_NO_MEMORY);
        }
        if (f.allocation >= f.allocations) {
            assert_int_equal(step, KB_DONE);
            lab_wipe(&lab);
            break;
        }
        lab_wipe(&lab);
    }
    print_message("%ld allocations\n", f.allocations);
}

static void each_draw_fails(void **state)
{
    struct failing f = {.allocation = -1};

    (void)state;
    for (f.draw = 0;; f.draw++) {
        enum kb_step step;
        struct lab lab;

        f.draws = 0;
        lab_init(&lab, &f);
        step = log_in(&lab, &f);
        lab_wipe(&lab);
        if (f.draw >= f.draws) {
            assert_int_equal(step, KB_DONE);
            break;
        }
        assert_int_equal(step, KB_STEP_ERROR);
    }
    assert_true(f.draws >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(each_draw_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
