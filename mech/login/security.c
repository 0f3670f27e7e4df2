#include "mech/login/security.h"

#include "crypto/key.h"
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

/* Nothing of an enctype is left out in an encryption and its reversal. */
static enum kb_status try_out(int32_t etype)
{
    uint8_t bytes[KB_MAX_OVERHEAD + 16];
    struct kb_key *key;
    enum kb_status st = kb_key_random(etype, &kb_rng_system, &key);
    size_t len;

    if (st != KB_OK) {
        return st;
    }
    len = kb_encrypted_len(key, 1);
    st = kb_encrypt(key, KB_USAGE_AS_REP, &kb_rng_system, KB_LIT("x"), bytes);
    if (st == KB_OK) {
        st = kb_decrypt(key, KB_USAGE_AS_REP, kb_bytes_of(bytes, len), bytes, &len);
    }
    kb_key_free(key);
    return st;
}

enum kb_status kb_security_has(int32_t etype, struct kb_error *err)
{
    enum kb_status st = try_out(etype);
    char name[24];

    if (st != KB_OK) {
        (void)kb_error_status(err, KB_E_INTERNAL, st, "Encryption type %s",
                              kb_enctype_name(etype, name));
        kb_security_explain(err);
        return KB_ERROR;
    }
    return KB_OK;
}

/* OpenSSL that is there, and lacks one primitive, is another matter than none. */
void kb_security_explain(struct kb_error *err)
{
    if (err->code == KB_E_NO_CRYPTO && kb_provider_error()[0] != '\0' &&
        strstr(err->text, kb_provider_error()) == NULL) {
        kb_error_context(err, "%s", kb_provider_error());
        if (kb_provider_loaded()) {
            err->code = KB_E_NO_PRIMITIVE;
        }
    }
}
