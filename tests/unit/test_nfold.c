/* crypto/nfold: RFC 3961 A.1. */
#include "tests/support/crypto.h"

#include "crypto/nfold.h"

static const struct {
    const char *in, *out, *source;
} rows[] = {
    /* clang-format off */
    {"012345", "be072631276b1955", "RFC 3961 A.1"},
    {"password", "78a07b6caf85fa", "RFC 3961 A.1"},
    {"Rough Consensus, and Running Code", "bb6ed30870b7f0e0", "RFC 3961 A.1"},
    {"password", "59e4a8ca7c0385c3c37b3f6d2000247cb6e6bd5b3e", "RFC 3961 A.1"},
    {"MASSACHVSETTS INSTITVTE OF TECHNOLOGY", "db3b0d8f0b061e603282b308a50841229ad798fab9540c1b", "RFC 3961 A.1"},
    {"Q", "518a54a215a8452a518a54a215a8452a518a54a215", "RFC 3961 A.1"},
    {"ba", "fb25d531ae8974499f52fd92ea9857c4ba24cf297e", "RFC 3961 A.1"},
    {"kerberos", "6b65726265726f73", "RFC 3961 A.1"},
    {"kerberos", "6b65726265726f737b9b5b2b93132b93", "RFC 3961 A.1"},
    {"kerberos", "8372c236344e5f1550cd0747e15d62ca7a5a3bcea4", "RFC 3961 A.1"},
    {"kerberos", "6b65726265726f737b9b5b2b93132b935c9bdcdad95c9899c4cae4dee6d6cae4", "RFC 3961 A.1"},
    {"basch", "1aab6b42964b98b21f8cde2d2448ba3455d7862c9731643f", "MIT t_nfold.c"},
    {"eichin", "65696368696e4b732b4b1b43da1a5b995a58d2c6d0d2dcca", "MIT t_nfold.c"},
    {"sommerfeld", "2f7a98557c6ee4abadf4e71192dd442bd4ff5325a5def75c", "MIT t_nfold.c"},
    {"assar@NADA.KTH.SE", "5c06c34d2c8905be7a51836cd6f81c4b7a9349165ab3faa9", "Heimdal n-fold-test.c"},
    {"testKRBTEST.MIT.EDUtestkey", "502cf82978e5fb1a2906bd22289156c006a0dcf5b6c2da6c", "Heimdal n-fold-test.c"},
    /* clang-format on */
};

static void vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(rows); i++) {
        kb_bytes wanted = unhex(rows[i].out);
        uint8_t out[64];

        kb_nfold(kb_str(rows[i].in), out, wanted.len);
        assert_bytes(kb_bytes_of(out, wanted.len), wanted, rows[i].in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
