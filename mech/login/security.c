#include "mech/login/security.h"

#include "crypto/provider.h"

static enum kb_crypto_mode mode_of(const struct kb_options *options)
{
    return options->use_fips_compliant_api      ? KB_CRYPTO_FIPS
           : options->use_internal_security_api ? KB_CRYPTO_INTERNAL
                                                : KB_CRYPTO_SYSTEM;
}

enum kb_status kb_security_choose(const struct kb_options *options, struct kb_error *err)
{
    static const char *const words[] = {
        [KB_CRYPTO_INTERNAL] = "the built-in kind (UseInternalSecurityAPI=True)",
        [KB_CRYPTO_SYSTEM] = "the system's kind (UseInternalSecurityAPI=False)",
        [KB_CRYPTO_FIPS] = "the FIPS provider (UseFIPSCompliantAPI=True)",
    };
    enum kb_crypto_mode mode = mode_of(options);

    if (!kb_provider_choose(mode)) {
        return kb_error_set(err, KB_E_SECURITY_FIXED, "%s is asked for, but this process uses %s",
                            words[mode], words[kb_provider_mode()]);
    }
    if (mode != KB_CRYPTO_INTERNAL && kb_provider_load() != KB_OK) {
        return kb_error_set(err, KB_E_NO_CRYPTO, "%s", kb_provider_error());
    }
    return KB_OK;
}

void kb_security_explain(struct kb_error *err)
{
    if (err->code == KB_E_NO_CRYPTO && kb_provider_error()[0] != '\0' &&
        strstr(err->text, kb_provider_error()) == NULL) {
        kb_error_context(err, "%s", kb_provider_error());
    }
}
