/* crypto/key and what is below it: messages and checksums under the enctypes with ciphertext
 * stealing. */
#include "tests/support/crypto.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/cipher.h"

/* clang-format off */
static const struct known {
    int32_t etype;
    uint32_t usage;
    const char *key, *confounder, *plain, *cipher;
} known[] = {
    /* RFC 6803 10; the usages are MIT t_decrypt.c's */
    {KB_ENCTYPE_CAMELLIA128, 0, "1dc46a8d763f4f93742bcba3387576c3", "b69822a19a6b09c0ebc8557d1f1b6c0a",
     "",
     "c466f1871069921edb7c6fde244a52db0ba10edc197bdb8006658ca3ccce6eb8"},
    {KB_ENCTYPE_CAMELLIA128, 1, "5027bc231d0f3a9d23333f1ca6fdbe7c", "6f2fc3c2a166fd8898967a83de9596d9",
     "31",
     "842d21fd950311c0dd464a3f4be8d6da88a56d559c9b47d3f9a85067af661559b8"},
    {KB_ENCTYPE_CAMELLIA128, 2, "a1bb61e805f9ba6dde8fdbddc05cdea0", "a5b4a71e077aeef93c8763c18fdb1f10",
     "392062797465737373",
     "619ff072e36286ff0a28deb3a352ec0d0edf5c5160d663c901758ccf9d1ed33d71db8f23aabf8348a0"},
    {KB_ENCTYPE_CAMELLIA128, 3, "2ca27a5faf5532244506434e1cef6676", "19fee40d810c524b5b22f01874c693da",
     "31332062797465732062797465",
     "b8eca3167ae6315512e59f98a7c500205e5f63ff3bb389af1c41a21d640d8615c9ed3fbeb05ab6acb67689b5ea"},
    {KB_ENCTYPE_CAMELLIA128, 4, "7824f8c16f83ff354c6bf7515b973f43", "ca7a7ab4be192dabd603506db19c39e2",
     "333020627974657320627974657320627974657320627974657320627974",
     "a26a3905a4ffd5816b7b1e27380d08090c8ec1f304496e1abdcd2bdcd1dffc660989e117a713ddbb57a4146c1587cba4356665591d2240282f5842b105a5"},
    {KB_ENCTYPE_CAMELLIA256, 0, "b61c86cc4e5d2757545ad423399fb7031ecab913cbb900bd7a3c6dd8bf92015b", "3cbbd2b45917941067f96599bb98926c",
     "",
     "03886d03310b47a6d8f06d7b94d1dd837ecce315ef652aff620859d94a259266"},
    {KB_ENCTYPE_CAMELLIA256, 1, "1b97fe0a190e2021eb30753e1b6e1e77b0754b1d684610355864104963463833", "def487fcebe6de6346d4da4521bba2d2",
     "31",
     "2c9c1570133c99bf6a34bc1b0212002fd194338749db4135497a347cfcd9d18a12"},
    {KB_ENCTYPE_CAMELLIA256, 2, "32164c5b434d1d1538e4cfd9be8040fe8c4ac7acc4b93d3314d2133668147a05", "ad4ff904d34e555384b14100fc465f88",
     "392062797465737373",
     "9c6de75f812de7ed0d28b2963557a115640998275b0af5152709913ff52a2a9c8e63b872f92e64c839"},
    {KB_ENCTYPE_CAMELLIA256, 3, "b038b132cd8e06612267fab7170066d88aeccba0b744bfc60dc89bca182d0715", "cf9bca6df1144e0c0af9b8f34c90d514",
     "31332062797465732062797465",
     "eeec85a9813cdc536772ab9b42defc5706f726e975dde05a87eb5406ea324ca185c9986b42aabe794b84821bee"},
    {KB_ENCTYPE_CAMELLIA256, 4, "ccfcd349bf4c6677e86e4b02b8eab924a546ac731cf9bf6989b996e7d6bfbba7", "644def38da35007275878d216855e228",
     "333020627974657320627974657320627974657320627974657320627974",
     "0e44680985855f2d1f1812529ca83bfd8e349de6fd9ada0baaa048d68e265febf34ad1255a344999ad37146887a6c6845731ac7f46376a0504cd06571474"},
    /* RFC 8009 A */
    {KB_ENCTYPE_AES128_SHA256, 2, "3705D96080C17728A0E800EAB6E0D23C", "7E5895EAF2672435BAD817F545A37148",
     "",
     "EF85FB890BB8472F4DAB20394DCA781DAD877EDA39D50C870C0D5A0A8E48C718"},
    {KB_ENCTYPE_AES128_SHA256, 2, "3705D96080C17728A0E800EAB6E0D23C", "7BCA285E2FD4130FB55B1A5C83BC5B24",
     "000102030405",
     "84D7F30754ED987BAB0BF3506BEB09CFB55402CEF7E6877CE99E247E52D16ED4421DFDF8976C"},
    {KB_ENCTYPE_AES128_SHA256, 2, "3705D96080C17728A0E800EAB6E0D23C", "56AB21713FF62C0A1457200F6FA9948F",
     "000102030405060708090A0B0C0D0E0F",
     "3517D640F50DDC8AD3628722B3569D2AE07493FA8263254080EA65C1008E8FC295FB4852E7D83E1E7C48C37EEBE6B0D3"},
    {KB_ENCTYPE_AES128_SHA256, 2, "3705D96080C17728A0E800EAB6E0D23C", "A7A4E29A4728CE10664FB64E49AD3FAC",
     "000102030405060708090A0B0C0D0E0F1011121314",
     "720F73B18D9859CD6CCB4346115CD336C70F58EDC0C4437C5573544C31C813BCE1E6D072C186B39A413C2F92CA9B8334A287FFCBFC"},
    {KB_ENCTYPE_AES256_SHA384, 2, "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52", "F764E9FA15C276478B2C7D0C4E5F58E4",
     "",
     "41F53FA5BFE7026D91FAF9BE959195A058707273A96A40F0A01960621AC612748B9BBFBE7EB4CE3C"},
    {KB_ENCTYPE_AES256_SHA384, 2, "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52", "B80D3251C1F6471494256FFE712D0B9A",
     "000102030405",
     "4ED7B37C2BCAC8F74F23C1CF07E62BC7B75FB3F637B9F559C7F664F69EAB7B6092237526EA0D1F61CB20D69D10F2"},
    {KB_ENCTYPE_AES256_SHA384, 2, "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52", "53BF8A0D105265D4E276428624CE5E63",
     "000102030405060708090A0B0C0D0E0F",
     "BC47FFEC7998EB91E8115CF8D19DAC4BBBE2E163E87DD37F49BECA92027764F68CF51F14D798C2273F35DF574D1F932E40C4FF255B36A266"},
    {KB_ENCTYPE_AES256_SHA384, 2, "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52", "763E65367E864F02F55153C7E3B58AF1",
     "000102030405060708090A0B0C0D0E0F1011121314",
     "40013E2DF58E8751957D2878BCD2D6FE101CCFD556CB1EAE79DB3C3EE86429F2B2A602AC86FEF6ECB647D6295FAE077A1FEB517508D2C16B4192E01F62"},
};

static const struct {
    int32_t etype;
    uint32_t usage;
    const char *key, *plain, *cipher;
} decrypt_only[] = {
    /* MIT t_decrypt.c: 0, 1, 9, 13, 30 bytes; RFC 8009 A's again */
    {KB_ENCTYPE_AES128_SHA1, 0, "5a5c0f0ba54f3828b2195e66ca24a289",
     "",
     "49ff8e11c173d9583a3254fbe7b1f1df36c538e8416784a1672e6676"},
    {KB_ENCTYPE_AES128_SHA1, 1, "98450e3f3baa13f5c99beb936981b06f",
     "31",
     "f86742f537b35dc2174a4dbaa920faf9042090b065e1ebb1cad9a65394"},
    {KB_ENCTYPE_AES128_SHA1, 2, "9062430c8cda3388922e6d6a509f5b7a",
     "392062797465737373",
     "68fb9679601f45c78857b2bf820fd6e53eca8d42fd4b1d7024a09205abb7cd2ec26c355d2f"},
    {KB_ENCTYPE_AES128_SHA1, 3, "033ee6502c54fd23e27791e987983827",
     "31332062797465732062797465",
     "ec366d0327a933bf49330e650e49bc6b974637fe80bf532fe51795b4809718e6194724db948d1fd637"},
    {KB_ENCTYPE_AES128_SHA1, 4, "dceeb70b3de76562e689226c76429148",
     "333020627974657320627974657320627974657320627974657320627974",
     "c96081032d5d8eeb7e32b4089f789d0faa481dea74c0f97cbf3146ddfcf8e800156ecb532fc203e30ff600b63b350939fece510f02d7ff1e7bac"},
    {KB_ENCTYPE_AES256_SHA1, 0, "17f275f2954f2ed1f90c377ba7f4d6a369aa0136e0bf0c927ad6133c693759a9",
     "",
     "e5094c55ee7b38262e2b044280b069379a95bf95bd8376fb3281b435"},
    {KB_ENCTYPE_AES256_SHA1, 1, "b9477e1ff0329c0050e20ce6c72d2dff27e8fe541ab0954429a9cb5b4f7b1e2a",
     "31",
     "406150b97aeb76d43b36b62cc1ecdfbe6f40e95755e0beb5c27825f3a4"},
    {KB_ENCTYPE_AES256_SHA1, 2, "b1ae4cd8462aff1677053cc9279aac30b796fb81ce21474dd3ddbcfea4ec76d7",
     "392062797465737373",
     "09957aa25fcaf88f7b39e4406e633012d5fea21853f6478da7065caef41fd454a40824eec5"},
    {KB_ENCTYPE_AES256_SHA1, 3, "e5a72be9b7926c1225bafef9c1872e7ba4cdb2b17893d84abd90acdd8764d966",
     "31332062797465732062797465",
     "d8f1aafeec84587cc3e700a774e56651a6d693e174ec4473b5e6d96f80297a653fb818ad893e719f96"},
    {KB_ENCTYPE_AES256_SHA1, 4, "f1c795e9248a09338d82c3f8d5b567040b0110736845041347235b1404231398",
     "333020627974657320627974657320627974657320627974657320627974",
     "d1137a4d634cfece924dbc3bf6790648bd5cff7de0e7b99460211d0daef3d79a295c688858f3b34b9cbd6eebae81daf6b734d4d498b6714f1c1d"},
    {KB_ENCTYPE_AES128_SHA256, 2, "3705d96080c17728a0e800eab6e0d23c",
     "",
     "ef85fb890bb8472f4dab20394dca781dad877eda39d50c870c0d5a0a8e48c718"},
    {KB_ENCTYPE_AES128_SHA256, 2, "3705d96080c17728a0e800eab6e0d23c",
     "000102030405",
     "84d7f30754ed987bab0bf3506beb09cfb55402cef7e6877ce99e247e52d16ed4421dfdf8976c"},
    {KB_ENCTYPE_AES128_SHA256, 2, "3705d96080c17728a0e800eab6e0d23c",
     "000102030405060708090a0b0c0d0e0f",
     "3517d640f50ddc8ad3628722b3569d2ae07493fa8263254080ea65c1008e8fc295fb4852e7d83e1e7c48c37eebe6b0d3"},
    {KB_ENCTYPE_AES128_SHA256, 2, "3705d96080c17728a0e800eab6e0d23c",
     "000102030405060708090a0b0c0d0e0f1011121314",
     "720f73b18d9859cd6ccb4346115cd336c70f58edc0c4437c5573544c31c813bce1e6d072c186b39a413c2f92ca9b8334a287ffcbfc"},
    {KB_ENCTYPE_AES256_SHA384, 2, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52",
     "",
     "41f53fa5bfe7026d91faf9be959195a058707273a96a40f0a01960621ac612748b9bbfbe7eb4ce3c"},
    {KB_ENCTYPE_AES256_SHA384, 2, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52",
     "000102030405",
     "4ed7b37c2bcac8f74f23c1cf07e62bc7b75fb3f637b9f559c7f664f69eab7b6092237526ea0d1f61cb20d69d10f2"},
    {KB_ENCTYPE_AES256_SHA384, 2, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52",
     "000102030405060708090a0b0c0d0e0f",
     "bc47ffec7998eb91e8115cf8d19dac4bbbe2e163e87dd37f49beca92027764f68cf51f14d798c2273f35df574d1f932e40c4ff255b36a266"},
    {KB_ENCTYPE_AES256_SHA384, 2, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52",
     "000102030405060708090a0b0c0d0e0f1011121314",
     "40013e2df58e8751957d2878bcd2d6fe101ccfd556cb1eae79db3c3ee86429f2b2a602ac86fef6ecb647d6295fae077a1feb517508d2c16b4192e01f62"},
    /* Heimdal aes-test.c: krbencs */
    {KB_ENCTYPE_AES256_SHA1, 7, "47756964656c696e657320746f20417574686f7273206f6620496e7465726e65",
     "54686973206973206120746573742e0a",
     "cf798f0d76f3e0be8e669470facc9e91a9ec1c5c21fb6eef1a7ac8c1cc5a95246f9ff4d5be5d599744d847cd"},
};

static const struct sum {
    int32_t etype;
    uint32_t usage;
    const char *key, *data, *sum;
} sums[] = {
    /* RFC 6803 10 */
    {KB_ENCTYPE_CAMELLIA128, 7, "1dc46a8d763f4f93742bcba3387576c3",
     "6162636465666768696a6b", "1178e6c5c47a8c1ae0c4b9c7d4eb7b6b"},
    {KB_ENCTYPE_CAMELLIA128, 8, "5027bc231d0f3a9d23333f1ca6fdbe7c",
     "4142434445464748494a4b4c4d4e4f505152535455565758595a", "d1b34f7004a731f23a0c00bf6c3f753a"},
    {KB_ENCTYPE_CAMELLIA256, 9, "b61c86cc4e5d2757545ad423399fb7031ecab913cbb900bd7a3c6dd8bf92015b",
     "313233343536373839", "87a12cfd2b96214810f01c826e7744b1"},
    {KB_ENCTYPE_CAMELLIA256, 10, "32164c5b434d1d1538e4cfd9be8040fe8c4ac7acc4b93d3314d2133668147a05",
     "21402324255e262a282921402324255e262a282921402324255e262a2829", "3fa0b42355e52b189187294aa252ab64"},
    /* MIT t_cksums.c; those of aes-sha2 are RFC 8009 A */
    {KB_ENCTYPE_AES128_SHA1, 3, "9062430c8cda3388922e6d6a509f5b7a",
     "6569676874206e696e652074656e20656c6576656e207477656c766520746869727465656e", "01a4b088d45628f6946614e3"},
    {KB_ENCTYPE_AES256_SHA1, 4, "b1ae4cd8462aff1677053cc9279aac30b796fb81ce21474dd3ddbcfea4ec76d7",
     "666f75727465656e", "e08739e3279e2903ec8e3836"},
    {KB_ENCTYPE_AES128_SHA256, 2, "3705d96080c17728a0e800eab6e0d23c",
     "000102030405060708090a0b0c0d0e0f1011121314", "d78367186643d67b411cba9139fc1dee"},
    {KB_ENCTYPE_AES256_SHA384, 2, "6d404d37faf79f9df0d33568d320669800eb4836472ea8a026d16b7182460c52",
     "000102030405060708090a0b0c0d0e0f1011121314", "45ee791567eefca37f4ac1e0222de80d43c3bfa06699672a"},
};

static const struct {
    const char *in, *out;
} cts[] = {
    /* RFC 3962 B: under the key "chicken teriyaki", the IV zero */
    {"4920776f756c64206c696b652074686520",
     "c6353568f2bf8cb4d8a580362da7ff7f97"},
    {"4920776f756c64206c696b65207468652047656e6572616c20476175277320",
     "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5"},
    {"4920776f756c64206c696b65207468652047656e6572616c2047617527732043",
     "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584"},
    {"4920776f756c64206c696b65207468652047656e6572616c20476175277320436869636b656e2c20706c656173652c",
     "97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e39312523a78662d5be7fcbcc98ebf5"},
    {"4920776f756c64206c696b65207468652047656e6572616c20476175277320436869636b656e2c20706c656173652c20",
     "97687268d6ecccc0c07b25e25ecfe5849dad8bbb96c4cdc03bc103e1a194bbd839312523a78662d5be7fcbcc98ebf5a8"},
    {"4920776f756c64206c696b65207468652047656e6572616c20476175277320436869636b656e2c20706c656173652c20616e6420776f6e746f6e20736f75702e",
     "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a84807efe836ee89a526730dbc2f7bc8409dad8bbb96c4cdc03bc103e1a194bbd8"},
};
/* clang-format on */

static const int32_t etypes[] = {KB_ENCTYPE_AES128_SHA1,   KB_ENCTYPE_AES256_SHA1,
                                 KB_ENCTYPE_AES128_SHA256, KB_ENCTYPE_AES256_SHA384,
                                 KB_ENCTYPE_CAMELLIA128,   KB_ENCTYPE_CAMELLIA256};

/* How many of them there are: in the FIPS mode not the last two. */
static size_t num_etypes(void)
{
    return lacks(KB_ENCTYPE_CAMELLIA128) ? NUM(etypes) - 2 : NUM(etypes);
}

static struct kb_key *some_key(int32_t etype)
{
    uint8_t raw[KB_MAX_KEY_LEN];
    struct kb_key *key;

    for (size_t i = 0; i < sizeof(raw); i++) {
        raw[i] = (uint8_t)(i * 7 + (unsigned)etype);
    }
    assert_int_equal(kb_key_new(etype, kb_bytes_of(raw, kb_enctype_find(etype)->key_len), &key),
                     KB_OK);
    return key;
}

static void fill_pattern(uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(i * 31 + len);
    }
}

static void ciphertext_stealing(void **state)
{
    (void)state;
    assert_int_equal(kb_provider_load(), KB_OK);
    for (size_t i = 0; i < NUM(cts); i++) {
        kb_bytes in = unhex(cts[i].in), out = unhex(cts[i].out);

        /* forth and back; a second time with a context that has another message behind it */
        for (int back = 0; back < 2; back++) {
            struct kb_cipher *cipher = kb_cipher_new(KB_AES, KB_LIT("chicken teriyaki"), !back);

            assert_non_null(cipher);
            for (int again = 0; again < 3; again++) {
                uint8_t buf[64];
                struct kb_piece piece = kb_piece_data(buf + 16, in.len - 16);
                struct kb_cts walk;

                memcpy(buf, back ? out.ptr : in.ptr, in.len);
                kb_cts_init(&walk, cipher, buf, &piece, 1);
                assert_int_equal(kb_cts_to(&walk, walk.bulk), KB_OK);
                assert_int_equal(kb_cts_end(&walk), KB_OK);
                assert_bytes(kb_bytes_of(buf, in.len), back ? in : out, cts[i].in);
            }
            kb_cipher_free(cipher);
        }
    }
}

static void known_ciphertext(const struct known *row)
{
    kb_bytes confounder = unhex(row->confounder), plain = unhex(row->plain);
    struct kb_key *key = new_key(row->etype, row->key);
    struct kb_rng rng = {fixed_fill, &confounder};
    size_t len = kb_encrypted_len(key, plain.len), out_len;
    uint8_t out[128];

    assert_int_equal(kb_encrypt(key, row->usage, &rng, plain, out), KB_OK);
    assert_bytes(kb_bytes_of(out, len), unhex(row->cipher), row->cipher);
    assert_int_equal(kb_decrypt(key, row->usage, kb_bytes_of(out, len), out, &out_len), KB_OK);
    assert_bytes(kb_bytes_of(out, out_len), plain, row->plain);
    kb_key_free(key);
}

static void known_ciphertexts(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(known); i++) {
        if (!lacks(known[i].etype)) {
            known_ciphertext(&known[i]);
        }
    }
}

static void known_plaintexts(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(decrypt_only); i++) {
        struct kb_key *key = new_key(decrypt_only[i].etype, decrypt_only[i].key);
        uint8_t out[128];
        size_t out_len;

        assert_int_equal(
            kb_decrypt(key, decrypt_only[i].usage, unhex(decrypt_only[i].cipher), out, &out_len),
            KB_OK);
        assert_bytes(kb_bytes_of(out, out_len), unhex(decrypt_only[i].plain),
                     decrypt_only[i].cipher);
        kb_key_free(key);
    }
}

static void checksum(const struct sum *row)
{
    struct kb_key *key = new_key(row->etype, row->key);
    const struct kb_enctype *enctype = kb_key_enctype(key);
    kb_bytes data = unhex(row->data), sum = unhex(row->sum);
    uint8_t out[KB_MAX_CHECKSUM_LEN];

    assert_int_equal(kb_checksum_make(key, row->usage, data, out), KB_OK);
    assert_bytes(kb_bytes_of(out, enctype->mac_len), sum, row->sum);
    assert_int_equal(kb_checksum_verify(key, row->usage, enctype->cksumtype, data, sum), KB_OK);
    assert_int_equal(kb_checksum_verify(key, row->usage + 1, enctype->cksumtype, data, sum),
                     KB_BAD_INTEGRITY);
    assert_int_equal(kb_checksum_verify(key, row->usage, 7, data, sum), KB_NO_ENCTYPE);
    for (size_t n = 0; n < sum.len; n++) {
        assert_int_equal(
            kb_checksum_verify(key, row->usage, enctype->cksumtype, data, kb_bytes_of(sum.ptr, n)),
            KB_BAD_INTEGRITY);
        out[n] ^= 1;
        assert_int_equal(kb_checksum_verify(key, row->usage, enctype->cksumtype, data,
                                            kb_bytes_of(out, sum.len)),
                         KB_BAD_INTEGRITY);
        out[n] ^= 1;
    }
    kb_key_free(key);
}

static void checksums(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM(sums); i++) {
        if (!lacks(sums[i].etype)) {
            checksum(&sums[i]);
        }
    }
}

static void every_length(void **state)
{
    static uint8_t plain[20000], cipher[20100], back[20100];

    (void)state;
    for (size_t e = 0; e < num_etypes(); e++) {
        struct kb_key *key = some_key(etypes[e]);

        for (size_t n = 0; n < sizeof(plain); n = next_len(n)) {
            size_t len = kb_encrypted_len(key, n), out_len;

            fill_pattern(plain, n);
            assert_int_equal(kb_encrypt(key, 3, &kb_rng_system, kb_bytes_of(plain, n), cipher),
                             KB_OK);
            assert_int_equal(kb_decrypt(key, 3, kb_bytes_of(cipher, len), back, &out_len), KB_OK);
            assert_int_equal(out_len, n);
            assert_memory_equal(back, plain, n);
            assert_int_equal(kb_decrypt(key, 3, kb_bytes_of(cipher, len), cipher, &out_len), KB_OK);
            assert_int_equal(out_len, n);
            assert_memory_equal(cipher, plain, n);
        }
        kb_key_free(key);
    }
}

/* Cuts `n` bytes into pieces of `size`, every other apart from the one before, empty ones between.
 * In place, or out of `from`, whose pieces lie in another way. */
static size_t cut(struct kb_piece *list, const uint8_t *bytes, size_t n, size_t size, uint8_t *gaps,
                  uint8_t *from)
{
    size_t num = 0;

    for (size_t at = 0, to = 1, source = 0; at < n; num++) {
        size_t len = size < n - at ? size : n - at;

        to += num % 3 == 0 ? 2 : 0;
        source += num % 5 == 0 ? 3 : 0;
        list[num] = kb_piece_data(gaps + to, len);
        if (from != NULL) {
            list[num] = kb_piece_from(kb_bytes_of(from + source, len), gaps + to);
        }
        memcpy(from != NULL ? from + source : gaps + to, bytes + at, len);
        at += len;
        to += len;
        source += len;
        if (num % 2 == 0) {
            list[++num] = kb_piece_sign(KB_NONE);
        }
    }
    return num;
}

static void assert_pieces(const struct kb_piece *list, size_t num, const uint8_t *whole)
{
    for (size_t i = 0; i < num; whole += list[i++].len) {
        if (list[i].len > 0) {
            assert_memory_equal(list[i].ptr, whole, list[i].len);
        }
    }
}

/* The pieces of a message, however cut, give the bytes of the whole; what they are made of stays as
 * it was. */
static void pieces_of(struct kb_key *key, size_t n, size_t size, bool apart)
{
    uint8_t whole[800], buf[700], gaps[1400], from[1400], before[1400], confounder[16], mac[64];
    uint8_t raw[16] = {9};
    size_t mac_len = kb_key_enctype(key)->mac_len, num;
    struct kb_piece list[1400];
    kb_bytes fixed = kb_bytes_of(raw, 16);
    struct kb_rng rng = {fixed_fill, &fixed};

    fill_pattern(buf, n);
    assert_int_equal(kb_encrypt(key, 24, &rng, kb_bytes_of(buf, n), whole), KB_OK);
    memset(gaps, 0xee, sizeof(gaps));
    memset(from, 0xdd, sizeof(from));
    num = cut(list, buf, n, size, gaps, apart ? from : NULL);
    memcpy(before, from, sizeof(from));
    fixed = kb_bytes_of(raw, 16);
    assert_int_equal(kb_encrypt_pieces(key, 24, &rng, confounder, list, num, mac), KB_OK);
    assert_memory_equal(confounder, whole, 16);
    assert_memory_equal(mac, whole + 16 + n, mac_len);
    assert_pieces(list, num, whole + 16);
    assert_memory_equal(from, before, sizeof(from));
    num = cut(list, whole + 16, n, size, gaps, apart ? from : NULL);
    memcpy(before, from, sizeof(from));
    assert_int_equal(kb_decrypt_pieces(key, 24, confounder, list, num, mac), KB_OK);
    assert_memory_equal(confounder, raw, 16);
    assert_pieces(list, num, buf);
    assert_memory_equal(from, before, sizeof(from));
}

static void pieces(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 5, 15, 16, 17, 33, 64, 100, 677};
    static const size_t lens[] = {1, 15, 16, 17, 48, 277, 677};

    (void)state;
    for (size_t e = 0; e < num_etypes(); e++) {
        struct kb_key *key = some_key(etypes[e]);

        for (size_t s = 0; s < NUM(sizes); s++) {
            for (size_t n = 0; n < NUM(lens); n++) {
                pieces_of(key, lens[n], sizes[s], false);
                pieces_of(key, lens[n], sizes[s], true);
            }
        }
        kb_key_free(key);
    }
}

static void sign_only(void **state)
{
    (void)state;
    for (size_t e = 0; e < num_etypes(); e++) {
        struct kb_key *key = some_key(etypes[e]);
        uint8_t before[] = "before", data[40], after[] = "after", confounder[16], mac[64], sum[64],
                sum2[64];
        struct kb_piece list[] = {kb_piece_sign(kb_bytes_of(before, 6)), kb_piece_data(data, 11),
                                  kb_piece_sign(kb_bytes_of(before, 3)),
                                  kb_piece_data(data + 11, 29),
                                  kb_piece_sign(kb_bytes_of(after, 5))};

        fill_pattern(data, sizeof(data));
        assert_int_equal(kb_encrypt_pieces(key, 24, &kb_rng_system, confounder, list, 5, mac),
                         KB_OK);
        assert_memory_equal(before, "before", 6);
        assert_int_equal(kb_decrypt_pieces(key, 24, confounder, list, 5, mac), KB_OK);
        assert_int_equal(kb_encrypt_pieces(key, 24, &kb_rng_system, confounder, list, 5, mac),
                         KB_OK);
        after[4] ^= 1;
        assert_int_equal(kb_decrypt_pieces(key, 24, confounder, list, 5, mac), KB_BAD_INTEGRITY);
        for (size_t i = 0; i < sizeof(data); i++) {
            assert_int_equal(data[i], 0); /* what did not verify is not left to be read */
        }
        assert_int_equal(kb_checksum_pieces(key, 25, list, 5, sum), KB_OK);
        assert_int_equal(kb_checksum_pieces(key, 25, list, 4, sum2), KB_OK);
        assert_memory_not_equal(sum, sum2, 12);
        kb_key_free(key);
    }
}

static void tampering(void **state)
{
    (void)state;
    for (size_t e = 0; e < num_etypes(); e++) {
        struct kb_key *key = some_key(etypes[e]);
        uint8_t plain[50], cipher[128], bad[128], out[128];
        size_t len = kb_encrypted_len(key, sizeof(plain)), out_len;

        fill_pattern(plain, sizeof(plain));
        assert_int_equal(
            kb_encrypt(key, 7, &kb_rng_system, kb_bytes_of(plain, sizeof(plain)), cipher), KB_OK);
        for (size_t i = 0; i < len * 8; i++) {
            memcpy(bad, cipher, len);
            bad[i / 8] = (uint8_t)(bad[i / 8] ^ 1 << i % 8);
            memset(out, 0xaa, sizeof(out));
            assert_int_equal(kb_decrypt(key, 7, kb_bytes_of(bad, len), out, &out_len),
                             KB_BAD_INTEGRITY);
            assert_int_equal(out_len, 0);
            for (size_t j = 0; j < len; j++) {
                assert_int_equal(out[j], 0);
            }
        }
        for (size_t n = 0; n < len; n++) {
            assert_int_equal(kb_decrypt(key, 7, kb_bytes_of(cipher, n), out, &out_len),
                             KB_BAD_INTEGRITY);
            assert_int_equal(kb_decrypt(key, 7, kb_bytes_of(cipher + len - n, n), out, &out_len),
                             KB_BAD_INTEGRITY);
        }
        assert_int_equal(kb_decrypt(key, 8, kb_bytes_of(cipher, len), out, &out_len),
                         KB_BAD_INTEGRITY);
        assert_int_equal(kb_decrypt(key, 7, kb_bytes_of(cipher, len), out, &out_len), KB_OK);
        kb_key_free(key);
    }
}

static void bad_keys(void **state)
{
    static const uint8_t raw[64];
    struct kb_key *key;

    (void)state;
    for (size_t e = 0; e < num_etypes(); e++) {
        for (size_t n = 0; n < sizeof(raw); n++) {
            enum kb_status st = kb_key_new(etypes[e], kb_bytes_of(raw, n), &key);

            assert_int_equal(st, n == kb_enctype_find(etypes[e])->key_len ? KB_OK : KB_BAD_KEY);
            kb_key_free(key);
        }
    }
    assert_int_equal(kb_key_new(24, kb_bytes_of(raw, 16), &key), KB_NO_ENCTYPE);
    assert_null(key);
    assert_int_equal(kb_key_new(0, KB_NONE, &key), KB_NO_ENCTYPE);
    kb_key_free(NULL);
}

static void random_keys(void **state)
{
    kb_bytes nothing = KB_NONE;
    struct kb_rng failing = {fixed_fill, &nothing};
    struct kb_key *a, *b;
    uint8_t out[64];

    (void)state;
    assert_int_equal(kb_key_random(KB_ENCTYPE_AES256_SHA1, &kb_rng_system, &a), KB_OK);
    assert_int_equal(kb_key_random(KB_ENCTYPE_AES256_SHA1, &kb_rng_system, &b), KB_OK);
    assert_false(kb_equal(kb_key_bytes(a), kb_key_bytes(b)));
    assert_int_equal(kb_encrypt(a, 1, &failing, KB_NONE, out), KB_NO_RANDOM);
    assert_ptr_equal(kb_key_ref(a), a);
    kb_key_free(a);
    assert_int_equal(kb_encrypt(a, 1, &kb_rng_system, KB_NONE, out), KB_OK);
    kb_key_free(a);
    kb_key_free(b);
    assert_int_equal(kb_key_random(KB_ENCTYPE_AES256_SHA1, &failing, &a), KB_NO_RANDOM);
    assert_null(a);
    assert_int_equal(kb_key_random(99, &kb_rng_system, &a), KB_NO_ENCTYPE);
}

/* --- threads --- */

#define NUM_THREADS 4

static void *use_key(void *arg)
{
    struct kb_key *key = arg;
    uintptr_t bad = 0;

    for (int i = 0; i < 200; i++) {
        uint8_t plain[100], cipher[200], sum[64];
        uint32_t usage = 20 + (uint32_t)i % 5;
        size_t len = kb_encrypted_len(key, sizeof(plain)), out_len = 0;

        fill_pattern(plain, sizeof(plain));
        bad += kb_encrypt(key, usage, &kb_rng_system, kb_bytes_of(plain, sizeof(plain)), cipher) !=
               KB_OK;
        bad += kb_decrypt(key, usage, kb_bytes_of(cipher, len), cipher, &out_len) != KB_OK;
        bad += !kb_equal(kb_bytes_of(plain, sizeof(plain)), kb_bytes_of(cipher, out_len));
        bad += kb_checksum_make(key, usage, kb_bytes_of(plain, sizeof(plain)), sum) != KB_OK;
    }
    kb_key_free(key);
    return (void *)bad;
}

static void threads_on_one_key(void **state)
{
    (void)state;
    for (size_t e = 0; e < num_etypes(); e++) {
        struct kb_key *key = some_key(etypes[e]);
        pthread_t threads[NUM_THREADS];
        void *bad;

        for (size_t i = 0; i < NUM_THREADS; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, use_key, kb_key_ref(key)), 0);
        }
        kb_key_free(key);
        for (size_t i = 0; i < NUM_THREADS; i++) {
            assert_int_equal(pthread_join(threads[i], &bad), 0);
            assert_null(bad);
        }
    }
}

static void child_uses_key(void **state)
{
    struct kb_key *key = some_key(KB_ENCTYPE_AES256_SHA1);
    uint8_t cipher[64];
    size_t len = kb_encrypted_len(key, 5), out_len;
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(kb_encrypt(key, 1, &kb_rng_system, KB_LIT("hello"), cipher), KB_OK);
    pid = fork();
    if (pid == 0) {
        bool ok =
            kb_decrypt(key, 1, kb_bytes_of(cipher, len), cipher, &out_len) == KB_OK && out_len == 5;

        kb_key_free(key);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(kb_decrypt(key, 1, kb_bytes_of(cipher, len), cipher, &out_len), KB_OK);
    kb_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ciphertext_stealing),
        cmocka_unit_test(known_ciphertexts),
        cmocka_unit_test(known_plaintexts),
        cmocka_unit_test(checksums),
        cmocka_unit_test(every_length),
        cmocka_unit_test(pieces),
        cmocka_unit_test(sign_only),
        cmocka_unit_test(tampering),
        cmocka_unit_test(bad_keys),
        cmocka_unit_test(random_keys),
        cmocka_unit_test(threads_on_one_key),
        cmocka_unit_test(child_uses_key),
    };

    use_mode();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
