/* crypto/prf: PRF of RFC 3961, 6803 and 8009, PRF+ of RFC 6113 and 7802, and the derivations below.
 */
#include "tests/support/crypto.h"

#include "crypto/family.h"
#include "crypto/s2k.h"

static const struct derived {
    int32_t etype;
    const char *key, *constant, *out;
} derive_rows[] = {
    /* clang-format off */
    /* RFC 3961 A.3, MIT t_derive.c, and of "combine" Heimdal's derived-key-test.c */
    {KB_ENCTYPE_DES3_CBC_SHA1, "850bb51358548cd05e86768c313e3bfef7511937dcf72c3e",
     "0000000299", "f78c496d16e6c2dae0e0b6c24057a84c0426aeef26fd6dce"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "850bb51358548cd05e86768c313e3bfef7511937dcf72c3e",
     "00000002aa", "5b5723d0b634cb684c3eba5264e9a70d52e683231ad3c4ce"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "850bb51358548cd05e86768c313e3bfef7511937dcf72c3e",
     "0000000255", "a77c94980e9b7345a81525c423a737ce67f4cd91b6b3da45"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "dce06b1f64c857a11c3db57c51899b2cc1791008ce973b92",
     "0000000155", "925179d04591a79b5d3192c4a7e9c289b049c71f6ee604cd"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "5e13d31c70ef765746578531cb51c15bf11ca82c97cee9f2",
     "00000001aa", "9e58e5a146d9942a101c469845d67a20e3c4259ed913f207"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "98e6fd8a04a4b6859b75a176540b9752bad3ecd610a252bc",
     "0000000155", "13fef80d763e94ec6d13fd2ca1d085070249dad39808eabf"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "622aec25a2fe2cad7094680b7c64940280084c1a7cec92b5",
     "00000001aa", "f8dfbf04b097e6d9dc0702686bcb3489d91fd9a4516b703e"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "d3f8298ccb166438dcb9b93ee5a7629286a491f838f802fb",
     "6b65726265726f73", "2370da575d2a3da864cebfdc5204d56df779a7df43d9da43"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "c1081649ada74362e6a1459d01dfd30d67c2234c940704da",
     "0000000155", "348057ec98fdc48016161c2a4c7a943e92ae492c989175f7"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "5d154af238f46713155719d55e2f1f790dd661f279a7917c",
     "00000001aa", "a8808ac267dada3dcbe9a7c84626fbc761c294b01315e5c1"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "798562e049852f57dc8c343ba17f2ca1d97394efc8adc443",
     "0000000155", "c813f88a3be3b334f75425ce9175fbe3c8493b89c8703b49"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "26dce334b545292f2feab9a8701a89a4b99eb9942cecd016",
     "00000001aa", "f48ffd6e83f83e7354e694fd252cf83bfe58f7d5ba37ec5d"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "b55e983467e551b3e5d0e5b6c80d45769423a873dc62b30e",
     "636f6d62696e65", "0126388aadc81a1f2a62bc45f8d5c19151bacdd5cb798a3e"},
    /* RFC 6803 10 */
    {KB_ENCTYPE_CAMELLIA128, "57d0297298ffd9d35de5a47fb4bde24b",
     "0000000299", "d155775a209d05f02b38d42a389e5a56"},
    {KB_ENCTYPE_CAMELLIA128, "57d0297298ffd9d35de5a47fb4bde24b",
     "00000002aa", "64df83f85a532f17577d8c37035796ab"},
    {KB_ENCTYPE_CAMELLIA128, "57d0297298ffd9d35de5a47fb4bde24b",
     "0000000255", "3e4fbdf30fb8259c425cb6c96f1f4635"},
    {KB_ENCTYPE_CAMELLIA256, "b9d6828b2056b7be656d88a123b1fac68214ac2b727ecf5f69afe0c4df2a6d2c",
     "0000000299", "e467f9a9552bc7d3155a6220af9c19220eeed4ff78b0d1e6a1544991461a9e50"},
    {KB_ENCTYPE_CAMELLIA256, "b9d6828b2056b7be656d88a123b1fac68214ac2b727ecf5f69afe0c4df2a6d2c",
     "00000002aa", "412aefc362a7285fc3966c6a5181e7605ae675235b6d549fbfc9ab6630a4c604"},
    {KB_ENCTYPE_CAMELLIA256, "b9d6828b2056b7be656d88a123b1fac68214ac2b727ecf5f69afe0c4df2a6d2c",
     "0000000255", "fa624fa0e523993fa388aefdc67e67ebcd8c08e8a0246b1d73b0d1dd9fc582b0"},
    /* Kc, Ke, Ki of usage 2: MIT t_derive.c; those of aes-sha2 are RFC 8009 A */
    {KB_ENCTYPE_AES128_SHA1, "42263c6e89f4fc28b8df68ee09799f15",
     "0000000299", "34280a382bc92769b2da2f9ef066854b"},
    {KB_ENCTYPE_AES128_SHA1, "42263c6e89f4fc28b8df68ee09799f15",
     "00000002aa", "5b14fc4e250e14ddf9dccf1af6674f53"},
    {KB_ENCTYPE_AES128_SHA1, "42263c6e89f4fc28b8df68ee09799f15",
     "0000000255", "4ed31063621684f09ae8d89991af3e8f"},
    {KB_ENCTYPE_AES256_SHA1, "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161",
     "0000000299", "bfab388bdcb238e9f9c98d6a878304f04d30c82556375ac507a7a852790f4674"},
    {KB_ENCTYPE_AES256_SHA1, "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161",
     "00000002aa", "c7cfd9cd75fe793a586a542d87e0d1396f1134a104bb1a9190b8c90ada3ddf37"},
    {KB_ENCTYPE_AES256_SHA1, "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161",
     "0000000255", "97151b4c76945063e2eb0529dc067d97d7bba90776d8126d91f34f3101aea8ba"},
    {KB_ENCTYPE_AES128_SHA256, "3705d96080c17728a0e800eab6e0d23c",
     "0000000299", "b31a018a48f54776f403e9a396325dc3"},
    {KB_ENCTYPE_AES128_SHA256, "3705d96080c17728a0e800eab6e0d23c",
     "00000002aa", "9b197dd1e8c5609d6e67c3e37c62c72e"},
    {KB_ENCTYPE_AES128_SHA256, "3705d96080c17728a0e800eab6e0d23c",
     "0000000255", "9fda0e56ab2d85e1569a688696c26a6c"},
    {KB_ENCTYPE_AES256_SHA384, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52",
     "0000000299", "ef5718be86cc84963d8bbb5031e9f5c4ba41f28faf69e73d"},
    {KB_ENCTYPE_AES256_SHA384, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52",
     "00000002aa", "56ab22bee63d82d7bc5227f6773f8ea7a5eb1c825160c38312980c442e5c7e49"},
    {KB_ENCTYPE_AES256_SHA384, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52",
     "0000000255", "69b16514e3cd8e56b82010d5c73012b622c4d00ffc23ed1f"},
    /* clang-format on */
};

static const struct {
    int32_t etype;
    const char *key, *in, *out;
} prf_rows[] = {
    /* clang-format off */
    /* MIT t_prf.c; those of aes-sha2 are RFC 8009 A */
    {KB_ENCTYPE_AES128_SHA1, "ae272e7cdec86ac5138cdb196d8e297d",
     "0161", "77b39a37a868920f2a51f9dd150c5717"},
    {KB_ENCTYPE_AES128_SHA1, "67ab1cfef35e4c27ffdeac60385a3e9c",
     "0162", "e06c0dd31ff02091994f2ef5178bfe3d"},
    {KB_ENCTYPE_AES256_SHA1, "c01f157211f7b77eaaf457c3e156690127ee127d810ba6392e97baa243eb0616",
     "0161", "b2628c788e2e9c4a9bb4644678c29f2f"},
    {KB_ENCTYPE_AES256_SHA1, "c01f157211f7b77eaaf457c3e156690127ee127d810ba6392e97baa243eb0616",
     "0261", "b406373350cee8a6126f4a9b65a0cd21"},
    {KB_ENCTYPE_AES256_SHA1, "9d520d2d980aa7cb6b693682b62da258b333867951642ce647ae62b1e5e0b5e9",
     "0162", "ff0e289ea756c0559a0e911856961a49"},
    {KB_ENCTYPE_AES256_SHA1, "9d520d2d980aa7cb6b693682b62da258b333867951642ce647ae62b1e5e0b5e9",
     "0262", "0d674dd0f9a6806525a4d92e828bd15a"},
    {KB_ENCTYPE_AES128_SHA256, "3705d96080c17728a0e800eab6e0d23c",
     "74657374", "9d188616f63852fe86915bb840b4a886ff3e6bb0f819b49b893393d393854295"},
    {KB_ENCTYPE_AES256_SHA384, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52",
     "74657374", "9801f69a368c2bf675e59521e177d9a07f67efe1cfde8d3c8d6f6a0256e3b17db3c1b62ad1b8553360d17367eb1514d2"},
    /* clang-format on */
};

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz123456789"

static const struct gss {
    int32_t etype;
    const char *key, *in, *out;
} gss_rows[] = {
    /* clang-format off */
    /* gss_pseudo_random, MIT src/tests/gssapi/t_prf.c */
    {KB_ENCTYPE_DES3_CBC_SHA1, "70378A19CD64134580C27C0115D6B34A1CF2FEECEF9886A2", "",
     "9F8D127C520BB826BFF3E0FE5EF352389C17E0C073D9AC4A333D644D21BA3EF24F4A886D143F85AC9F6377FB"},
    {KB_ENCTYPE_DES3_CBC_SHA1, "3452A167DF1094BA1089E0A20E9E51ABEF1525922558B69E", LETTERS,
     "6BF24FABC858F8DD9752E4FCD331BB831F238B5BE1904EEA42E38F7A60C588F075C5C96A67E7F8B7BD0AECF4"},
    {KB_ENCTYPE_CAMELLIA128, "866E0466A178279A32AC0BDA92B72AEB", "",
     "97FBB354BF341C3A160DCC86A7A910FDA824601DF67768797BACEEBF5D250AE929DEC9760772084267F50A54"},
    {KB_ENCTYPE_CAMELLIA128, "D4893FD37DA1A211E12DD1E03E0F03B7", LETTERS,
     "1DEE2FF126CA563A2A2326B9DD3F0095013257414C83FAD4398901013D55F367C82681186B7B2FE62F746BA4"},
    {KB_ENCTYPE_CAMELLIA256, "203071B1AE77BD3D6FCE70174AF95C225B1CED46B35CF52B6479EFEB47E6B063", "",
     "9B30020634C10FDA28420CEE7B96B70A90A771CED43AD8346554163E5949CBAE2FB8EF36AFB6B32CE75116A0"},
    {KB_ENCTYPE_CAMELLIA256, "A171AD582C1AFBBAD52ABD622EE6B6A14D19BF95C6914B2BA40FFD99A88EC660", LETTERS,
     "A47CBB6E104DCC77E4DB48A7A474B977F2FB6A7A1AB652317D50508AE72B7BE2E4E4BA24164E029CBACF786B"},
    {KB_ENCTYPE_RC4_HMAC, "3BB3AE288C12B3B9D06B208A4151B3B6", "",
     "9AEA11A3BCF3C53F1F91F5A0BA2132E2501ADF5F3C283C8A983AB88757CE865A22132D6100EAD63E9E291AFA"},
    {KB_ENCTYPE_RC4_HMAC, "6DB7B33A01BD2B72F7655CB7B3D5FA0B", LETTERS,
     "CDA9A544869FC84873B692663A82AFDA101C8611498BA46138B01E927C9B95EEC953B562807434037837DDDF"},
    {KB_ENCTYPE_AES128_SHA1, "6C742096EB896230312B73972FA28B5D", "",
     "94208D982FC1BB7778128BDD77904420B45C9DA699F3117BCE66E39602128EF0296611A6D191A5828530F20F"},
    {KB_ENCTYPE_AES128_SHA1, "FA61138C109D834A477D24C7311BE6DA", LETTERS,
     "0FAEDF0F842CC834FEE750487E1B622739286B975FE5B7F45AB053143C75CA0DF5D3D4BBB80F6A616C7C9027"},
    {KB_ENCTYPE_AES256_SHA1, "08FCDAFD5832611B73BA7B497FEBFF8C954B4B58031CAD9B977C3B8C25192FD6", "",
     "E627EFC14EF5B6D629F830C7109DEA0D3D7D36E8CD57A1F301C5452494A1928F05AFFBEE3360232209D3BE0D"},
    {KB_ENCTYPE_AES256_SHA1, "F5B68B7823D8944F33F41541B4E4D38C9B2934F8D16334A796645B066152B4BE", LETTERS,
     "112F2B2D878590653CCC7DE278E9F0AA46FA5A380B6259F774CB7C134FCD37F61A50FD0D9F89BF8FE1A6B593"},
    {KB_ENCTYPE_AES128_SHA256, "089BCA48B105EA6EA77CA5D2F39DC5E7", "",
     "ED1736209B7C59C9F6A3AE8CCC8A7C97ADFDD11688ADF304F2F74252CBACD311A2D9253211FDA49745CE4F62"},
    {KB_ENCTYPE_AES128_SHA256, "3705D96080C17728A0E800EAB6E0D23C", LETTERS,
     "2BB41B183D76D8D5B30CBB049A7EFE9F350EFA058DC2C4D868308D354A7B199BE6FD1F22B53C038BC6036581"},
    {KB_ENCTYPE_AES256_SHA384, "45BD806DBF6A833A9CFFC1C94589A222367A79BC21C413718906E9F578A78467", "",
     "1C613AE8B77A3B4D783F3DCE6C9178FC025E87F48A44784A69CB5FC697FE266A6141905067EF78566D309085"},
    {KB_ENCTYPE_AES256_SHA384, "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52", LETTERS,
     "D15944B0A44508D1E61213F6455F292A02298F870C01A3F74AD0345A4A6651EBE101976E933F32D44F0B5947"},
    /* clang-format on */
};

/* KRB-FX-CF2 (RFC 6113 5.1) of the keys of "key1" and "key2" with "a" and "b", each key with its
 * own name as the salt: MIT t_cf2.in, t_cf2.expected. */
static const struct {
    int32_t etype;
    const char *out;
} cf2_rows[] = {
    /* clang-format off */
    {KB_ENCTYPE_AES128_SHA1,   "97df97e4b798b29eb31ed7280287a92a"},
    {KB_ENCTYPE_AES256_SHA1,   "4d6ca4e629785c1f01baf55e2e548566b9617ae3a96868c337cb93b5e72b1c7b"},
    {KB_ENCTYPE_AES128_SHA256, "edd02a39d2dbde31611c16e610be062c"},
    {KB_ENCTYPE_AES256_SHA384, "67f6ea530aea85a37dcbb23349ea52dcc61ca8493ff557252327fd8304341584"},
    /* clang-format on */
};

static void derived_key(const struct derived *row)
{
    const struct kb_enctype *enctype = kb_enctype_find(row->etype);
    kb_bytes key = unhex(row->key), constant = unhex(row->constant);
    kb_bytes wanted = unhex(row->out);
    uint8_t out[KB_MAX_KEY_LEN];

    if (enctype->ops == &kb_aes_sha1) {
        assert_int_equal(kb_aes_sha1_dk(key, constant, out), KB_OK);
    } else if (enctype->ops == &kb_des3) {
        assert_int_equal(kb_des3_dk(key.ptr, constant, out), KB_OK);
    } else if (enctype->ops->cmac) {
        assert_int_equal(kb_camellia_kdf(enctype, key.ptr, constant, out), KB_OK);
    } else {
        assert_int_equal(kb_aes_sha2_kdf(enctype->ops->hash, key, constant, out, wanted.len),
                         KB_OK);
    }
    assert_bytes(kb_bytes_of(out, wanted.len), wanted, row->out);
}

static void derived_keys(void **state)
{
    (void)state;
    assert_int_equal(kb_provider_load(), KB_OK);
    for (size_t i = 0; i < NUM(derive_rows); i++) {
        if (!lacks(derive_rows[i].etype)) {
            derived_key(&derive_rows[i]);
        }
    }
}

static void prf_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(prf_rows); i++) {
        struct kb_key *key = new_key(prf_rows[i].etype, prf_rows[i].key);
        uint8_t out[64];

        assert_int_equal(kb_prf(key, unhex(prf_rows[i].in), out), KB_OK);
        assert_bytes(kb_bytes_of(out, kb_prf_len(key)), unhex(prf_rows[i].out), prf_rows[i].out);
        kb_key_free(key);
    }
}

static void gss_vector(const struct gss *row)
{
    struct kb_key *key = new_key(row->etype, row->key);
    uint8_t out[44];

    assert_int_equal(kb_prf_plus(key, KB_PRF_GSS, kb_str(row->in), out, sizeof(out)), KB_OK);
    assert_bytes(kb_bytes_of(out, sizeof(out)), unhex(row->out), row->out);
    kb_key_free(key);
}

static void gss_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(gss_rows); i++) {
        if (!lacks(gss_rows[i].etype)) {
            gss_vector(&gss_rows[i]);
        }
    }
}

static void cf2_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(cf2_rows); i++) {
        kb_bytes wanted = unhex(cf2_rows[i].out);
        uint8_t a[KB_MAX_KEY_LEN], b[KB_MAX_KEY_LEN];
        struct kb_key *k1, *k2;

        assert_int_equal(
            kb_string_to_key(cf2_rows[i].etype, KB_LIT("key1"), KB_LIT("key1"), KB_NONE, &k1),
            KB_OK);
        assert_int_equal(
            kb_string_to_key(cf2_rows[i].etype, KB_LIT("key2"), KB_LIT("key2"), KB_NONE, &k2),
            KB_OK);
        assert_int_equal(kb_prf_plus(k1, KB_PRF_PLUS, KB_LIT("a"), a, wanted.len), KB_OK);
        assert_int_equal(kb_prf_plus(k2, KB_PRF_PLUS, KB_LIT("b"), b, wanted.len), KB_OK);
        for (size_t j = 0; j < wanted.len; j++) {
            a[j] ^= b[j];
        }
        assert_bytes(kb_bytes_of(a, wanted.len), wanted, cf2_rows[i].out);
        kb_key_free(k1);
        kb_key_free(k2);
    }
}

/* RFC 6113's counter has one octet. */
static void prf_plus_ends(void **state)
{
    struct kb_key *key = new_key(KB_ENCTYPE_AES128_SHA1, "6C742096EB896230312B73972FA28B5D");
    static uint8_t out[255 * 16 + 1];

    (void)state;
    assert_int_equal(kb_prf_plus(key, KB_PRF_PLUS, KB_NONE, out, 0), KB_OK);
    assert_int_equal(kb_prf_plus(key, KB_PRF_PLUS, KB_NONE, out, 255 * 16), KB_OK);
    assert_int_equal(kb_prf_plus(key, KB_PRF_PLUS, KB_NONE, out, 255 * 16 + 1), KB_TOO_BIG);
    assert_int_equal(kb_prf_plus(key, KB_PRF_GSS, KB_NONE, out, 255 * 16 + 1), KB_OK);
    kb_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derived_keys),  cmocka_unit_test(prf_vectors),
        cmocka_unit_test(gss_vectors),   cmocka_unit_test(cf2_vectors),
        cmocka_unit_test(prf_plus_ends),
    };

    use_mode();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
