/* forged.c - tokens that nobody sends: valid, made with the acceptor's keys, but for one thing. */
#include <stdio.h>

#include "tests/spi/take.h"

static void show(const char *what, OM_uint32 major)
{
    printf("%s:\n", what);
    note(major);
    end_notes();
}

static gss_krb5_lucid_context_v1_t *acceptor;
static uint64_t first; /* the number that is expected when forging begins */
static uint8_t forged[FORGE_MAX];

static OM_uint32 take_forged(const struct forge *f)
{
    size_t len = forge_make(f, forged);

    return take(l.init, f->kind, f->message, forged, len);
}

static struct forge begin(enum forge_kind kind, size_t len)
{
    gss_buffer_desc message = message_of(len);
    struct forge f;

    forge_begin(&f, kind, acceptor, &message, acceptor->send_seq++);
    f.ec = kind == FORGE_SIGN ? (uint16_t)mac_len : f.ec;
    return f;
}

static void every_rrc(enum forge_kind kind)
{
    struct forge f = begin(kind, 50);
    size_t len;

    printf("%s: every RRC, rotated so\n", kind_names[kind]);
    for (unsigned rrc = 0; rrc < 65536; rrc = next_of(65535, rrc)) {
        f.rrc = (uint16_t)rrc;
        f.rotate = f.rrc;
        note(take_forged(&f));
    }
    end_notes();
    printf("%s: every RRC, not rotated\n", kind_names[kind]);
    f = begin(kind, 50);
    len = forge_make(&f, forged);
    for (unsigned rrc = 0; rrc < 65536; rrc = next_of(65535, rrc)) {
        forged[6] = (uint8_t)(rrc >> 8);
        forged[7] = (uint8_t)rrc;
        note(take(l.init, kind, f.message, forged, len));
    }
    end_notes();
}

static void every_ec(enum forge_kind kind)
{
    struct forge f;
    size_t len;

    printf("%s: every EC, altered\n", kind_names[kind]);
    f = begin(kind, 50);
    len = forge_make(&f, forged);
    for (unsigned ec = 0; ec < 65536; ec = next_of(65535, ec)) {
        forged[4] = (uint8_t)(ec >> 8);
        forged[5] = (uint8_t)ec;
        note(take(l.init, kind, f.message, forged, len));
    }
    end_notes();
}

/* In brackets, and not compared: in DCE style Windows and Heimdal rotate by EC as well, and we with
 * them; MIT's gss_unwrap does not. */
static void every_filler(void)
{
    int dce = (l.flags & GSS_C_DCE_STYLE) != 0;
    struct forge f;

    printf("sealed: every EC, with a filler of that length, rotated or not\n");
    for (unsigned ec = 0; ec < 65536; ec += ec < 100 ? 1 : 1009) {
        for (unsigned rrc = 0; rrc < (dce ? 1 : 60); rrc += 28) {
            f = begin(FORGE_SEAL, 50);
            f.fill = f.ec = f.inner_ec = (uint16_t)ec;
            f.rotate = f.rrc = (uint16_t)rrc;
            note(take_forged(&f));
        }
    }
    end_notes();
    f = begin(FORGE_SEAL, 50);
    f.fill = f.ec = f.inner_ec = 16;
    f.rrc = 28;
    f.rotate = 28 + 16;
    printf("(rotated by EC too: %08x)\n", take_forged(&f));
    printf("sealed: every EC, more than all data\n");
    for (unsigned ec = 1; ec < 65536; ec += ec < 100 ? 1 : 1009) {
        f = begin(FORGE_SEAL, 0);
        f.ec = f.inner_ec = (uint16_t)ec;
        f.fill = ec - 1;
        note(take_forged(&f));
    }
    end_notes();
}

/* In brackets, and not compared: flags that do not tell the key that there is (RFC 4121 4.2.2), and
 * Sealed in a MIC token, which are all right for MIT. */
static void every_flag(enum forge_kind kind)
{
    int subkey = acceptor->cfx_kd.have_acceptor_subkey;
    struct forge f;

    printf("%s: all flags\n", kind_names[kind]);
    for (unsigned flags = 0; flags < 256; flags++) {
        f = begin(kind, 10);
        if (((flags ^ f.flags) & (2 | 4)) == 0) {
            f.flags = f.inner_flags = (uint8_t)flags;
            note(take_forged(&f));
        }
    }
    end_notes();
    f = begin(kind, 10);
    f.flags = f.inner_flags = f.flags ^ 4;
    printf("(%s, the other key's flag: %08x)\n", kind_names[kind], take_forged(&f));
    f.key = subkey ? &acceptor->cfx_kd.ctx_key : f.key;
    printf("(%s, the initiator's key: %08x)\n", kind_names[kind], take_forged(&f));
    if (kind == FORGE_MIC) {
        f = begin(kind, 10);
        f.flags |= 2;
        printf("(MIC, sealed: %08x)\n", take_forged(&f));
    }
}

/* Numbers on all sides of the one that is expected, far ones too. */
static void numbers(enum forge_kind kind)
{
    static const int64_t steps[] = {5000, 1,   0,          63,         64,        65,
                                    1000, -1,  -63,        -64,        -65,       -66,
                                    500,  -10, 0x7fffffff, 0x80000000, 0xffffffff};
    struct forge f = begin(kind, 10);
    uint64_t number = first + (uint64_t)kind;

    printf("%s: numbers\n", kind_names[kind]);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        number += (uint64_t)steps[i];
        f.seq = f.inner_seq = number;
        note(take_forged(&f));
    }
    for (int shift = 0; shift < 64; shift++) {
        f.seq = f.inner_seq = first + ((uint64_t)1 << shift);
        note(take_forged(&f));
        f.seq = f.inner_seq = first - ((uint64_t)1 << shift);
        note(take_forged(&f));
    }
    end_notes();
}

static void details(enum forge_kind kind)
{
    struct forge f = begin(kind, 10);

    printf("%s: details\n", kind_names[kind]);
    f.filler = f.inner_filler = 0;
    show("filler 0", take_forged(&f));
    for (unsigned usage = 22; usage < 26; usage++) {
        f = begin(kind, 10);
        f.usage = usage;
        show("key usage", take_forged(&f));
    }
    for (unsigned id = 0; id < 0x600; id++) {
        f = begin(kind, 10);
        f.token_id = f.inner_token_id = (uint16_t)id;
        note(take_forged(&f));
    }
    end_notes();
    if (kind == FORGE_SEAL) {
        for (size_t lacks = 1; lacks <= 16; lacks++) {
            f = begin(kind, 0);
            f.lacks = lacks;
            note(take_forged(&f));
        }
        end_notes();
        f = begin(kind, 10);
        f.inner_filler = 0;
        show("inner filler 0", take_forged(&f));
        f = begin(kind, 10);
        f.inner_seq++;
        show("another inner number", take_forged(&f));
        f = begin(kind, 10);
        f.inner_flags ^= 1;
        show("another inner direction", take_forged(&f));
        f = begin(kind, 10);
        f.inner_flags ^= 0x80;
        show("an inner flag", take_forged(&f));
        f = begin(kind, 10);
        f.inner_token_id = 0x0404;
        show("another inner identifier", take_forged(&f));
        f = begin(kind, 10);
        f.inner_rrc = 5;
        show("an inner RRC", take_forged(&f));
        f = begin(kind, 10);
        f.rrc = f.inner_rrc = 5;
        f.rotate = 5;
        show("an inner RRC, the same", take_forged(&f));
        f = begin(kind, 10);
        f.inner_ec = 3;
        show("another inner EC", take_forged(&f));
    } else if (kind == FORGE_MIC) {
        f = begin(kind, 10);
        f.ec = 0xfffe;
        show("an EC", take_forged(&f));
        f = begin(kind, 10);
        f.rrc = 0;
        show("an RRC", take_forged(&f));
    }
}

void forge_all(void)
{
    void *any = NULL;

    if (!tell("export_lucid", gss_krb5_export_lucid_sec_context(&minor, &l.accept, 1, &any))) {
        return;
    }
    acceptor = any;
    first = acceptor->send_seq;
    for (int i = 0; i < FORGE_KINDS; i++) {
        enum forge_kind kind = (enum forge_kind)i;

        every_flag(kind);
        details(kind);
        numbers(kind);
        every_ec(kind);
        if (kind != FORGE_MIC) {
            every_rrc(kind);
        }
    }
    every_filler();
    gss_krb5_free_lucid_sec_context(&ignored, acceptor);
}
