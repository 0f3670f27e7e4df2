/* The input is what a DNS server answers; the first byte says what was asked for. */
#include <stdlib.h>
#include <string.h>

#include "mech/net/dns.h"
#include "tests/fuzz/fuzz.h"

static uint32_t none(uint32_t most)
{
    (void)most;
    return 0;
}

/* Every record can be put in order, and none is lost by that. */
static void check(const struct kb_dns_records *records, enum kb_dns_type type)
{
    struct kb_dns_rank ranks[KB_DNS_MAX_RECORDS];
    size_t sum = 0;

    FUZZ_MUST(records->num <= KB_DNS_MAX_RECORDS);
    for (size_t i = 0; i < records->num; i++) {
        const struct kb_dns_record *record = &records->list[i];

        FUZZ_MUST(memchr(record->text, '\0', sizeof(record->text)) != NULL);
        FUZZ_MUST(type == KB_DNS_SRV || record->port == 0);
        for (const char *c = type == KB_DNS_SRV ? record->text : ""; *c != '\0'; c++) {
            FUZZ_MUST(*c > ' ' && *c <= 'z');
        }
        ranks[i] = (struct kb_dns_rank){record->priority, record->weight, i};
    }
    kb_dns_order(ranks, records->num, none);
    for (size_t i = 0; i < records->num; i++) {
        FUZZ_MUST(i == 0 || ranks[i - 1].priority <= ranks[i].priority);
        sum += ranks[i].index + 1;
    }
    FUZZ_MUST(sum == records->num * (records->num + 1) / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const enum kb_dns_type types[] = {KB_DNS_TXT, KB_DNS_SRV, KB_DNS_URI};
    enum kb_dns_type type = types[len > 0 ? data[0] % 3 : 0];
    struct kb_dns_records *records;

    if (len > 0 && kb_dns_parse(kb_bytes_of(data + 1, len - 1), type, &records) == KB_OK) {
        check(records, type);
        kb_dns_put(records);
    }
    return 0;
}
