#include "mech/process.h"

#include <pthread.h>

#include "crypto/provider.h"
#include "crypto/tls.h"
#include "mech/login/clock.h"
#include "mech/login/identity.h"
#include "mech/login/pause.h"
#include "mech/net/exchange.h"
#include "mech/net/interrupt.h"
#include "mech/options/options.h"
#include "mech/report/listener.h"
#include "mech/store/ccache.h"
#include "mech/store/shared.h"

/* Every module with a lock, in the lock order: who holds one may take only those below it. The
 * provider's is first, since a fork may wait some milliseconds for it: then it holds no other. */
static const struct fork_hooks {
    void (*prepare)(void), (*parent)(void), (*child)(void);
} modules[] = {
    {kb_provider_fork_prepare, kb_provider_fork_done, kb_provider_fork_done},
    {kb_tls_fork_prepare, kb_tls_fork_parent, kb_tls_fork_child},
    {kb_options_fork_prepare, kb_options_fork_parent, kb_options_fork_child},
    {kb_identity_fork_prepare, kb_identity_fork_parent, kb_identity_fork_child},
    {kb_clock_fork_prepare, kb_clock_fork_done, kb_clock_fork_done},
    {kb_pause_fork_prepare, kb_pause_fork_done, kb_pause_fork_done},
    {kb_ccache_fork_prepare, kb_ccache_fork_done, kb_ccache_fork_done},
    {kb_shared_fork_prepare, kb_shared_fork_parent, kb_shared_fork_child},
    {kb_net_fork_prepare, kb_net_fork_parent, kb_net_fork_child},
    {kb_interrupt_fork_prepare, kb_interrupt_fork_parent, kb_interrupt_fork_child},
    {kb_listener_fork_prepare, kb_listener_fork_done, kb_listener_fork_done},
};

#define NUM_MODULES (sizeof(modules) / sizeof(modules[0]))

static void prepare(void)
{
    for (size_t i = 0; i < NUM_MODULES; i++) {
        modules[i].prepare();
    }
}

static void parent(void)
{
    for (size_t i = NUM_MODULES; i > 0; i--) {
        modules[i - 1].parent();
    }
}

static void child(void)
{
    for (size_t i = NUM_MODULES; i > 0; i--) {
        modules[i - 1].child();
    }
}

static void start(void)
{
    static const struct kb_options_hooks hooks = {.keytab_has = kb_identity_keytab_has,
                                                  .ccache_principal = kb_identity_ccache_principal};

    kb_options_set_hooks(&hooks);
    /* Without memory for them a fork is as safe as in most libraries; nothing to be done about it.
     */
    (void)pthread_atfork(prepare, parent, child);
}

void kb_process_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, start);
}
