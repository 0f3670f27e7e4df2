#include "cli/doctor_probe.h"

#include <stdio.h>

#include "mech/login/clock.h"
#include "mech/login/login.h"

const struct kb_principal *kb_probe_client(const struct kb_doctor *doctor)
{
    return doctor->identity != NULL ? kb_identity_principal(doctor->identity)
                                    : doctor->options->user;
}

static size_t the_one(void *ctx, kb_bytes realm, bool primary, struct kb_kdc *out, size_t max,
                      struct kb_error *err)
{
    struct kb_probe *probe = ctx;

    (void)realm;
    (void)primary;
    (void)err;
    if (max > 0) {
        out[0] = probe->kdc;
    }
    return max > 0 ? 1 : 0;
}

static enum kb_verdict any_answer(void *machine, kb_bytes message)
{
    (void)machine;
    return message.len > 0 ? KB_VERDICT_FINAL : KB_VERDICT_IGNORE;
}

bool kb_probe_start(struct kb_probe *probe, struct kb_doctor *doctor, const int32_t *etypes,
                    size_t num_etypes)
{
    const struct kb_options *options = doctor->options;
    struct kb_key_source none = {.what = "nothing"};
    struct kb_as_request request = {.client = kb_probe_client(doctor), .keys = &none};

    *probe =
        (struct kb_probe){.doctor = doctor,
                          .policy = {.etypes = etypes,
                                     .num_etypes = num_etypes,
                                     .min_iterations_sha1 = (uint32_t)options->min_iterations_sha1,
                                     .min_iterations_sha2 = (uint32_t)options->min_iterations_sha2,
                                     .max_iterations = (uint32_t)options->max_iterations,
                                     .clock_skew = (uint32_t)options->clock_skew,
                                     .ticket_life = (uint32_t)options->ticket_life}};
    request.policy = &probe->policy;
    kb_arena_init(&probe->arena, NULL, 0, 1 << 20);
    kb_clock_env(&probe->env, NULL);
    probe->as = kb_as_new(&probe->env, &request);
    return probe->as != NULL && kb_as_step(probe->as, KB_NONE, "", &probe->send) == KB_SEND;
}

void kb_probe_end(struct kb_probe *probe)
{
    kb_as_free(probe->as);
    kb_arena_wipe(&probe->arena);
}

enum kb_status kb_probe_ask(struct kb_probe *probe, kb_bytes *out_reply, char peer[160],
                            int64_t *out_ms, struct kb_error *err)
{
    struct kb_net_config config = {
        .use_tcp = probe->kdc.transport == KB_TCP, .udp_limit = 65535, .max_packet_size = 65535};
    struct kb_net_session *net;
    enum kb_status st = KB_NO_MEMORY;
    struct kb_wait wait;
    int64_t start = kb_now_ms();

    config.sockets = kb_login_socket_options(probe->doctor->options);
    kb_wait_start(&wait, KB_PROBE_PATIENCE_MS, true);
    net = kb_net_new(&config, the_one, probe, &wait);
    if (net != NULL) {
        st = kb_net_exchange(net, &probe->send, any_answer, NULL, &probe->arena, out_reply, NULL,
                             err);
        snprintf(peer, 160, "%s", kb_net_peer(net));
        kb_net_free(net);
    }
    kb_wait_stop(&wait);
    *out_ms = kb_now_ms() - start;
    return st;
}
