#include "cli/ticket.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#include "asn1/names.h"
#include "asn1/types.h"

/* The session key's enctype is the last arc of an OID beside it. RFC 4757 has no number for it;
 * this is MIT's. */
static void show_session_etype(struct kb_cli *cli, const struct kb_cli_context *context)
{
    struct kb_buf oid;

    kb_buf_init(&oid, 64);
    if (kb_cli_context_ask(context, GSS_C_INQ_SSPI_SESSION_KEY, 1, &oid) && oid.len > 0) {
        int32_t etype = oid.data[oid.len - 1];

        kb_show_number(&cli->show, "session-etype", etype, kb_number_name("etype", etype));
    }
    kb_buf_wipe(&oid);
}

/* What the ticket in the token itself says: who issued it, and for which key. */
static void show_ticket(struct kb_cli *cli, const struct kb_cli_context *context)
{
    struct kb_arena arena;
    kb_bytes message;
    kb_ap_req ap_req;
    kb_ticket ticket;

    kb_arena_init(&arena, NULL, 0, 1 << 20);
    if (kb_cli_context_ap_req(context, &message) == KB_OK &&
        kb_decode_ap_req(message, &arena, &ap_req, NULL) == KB_OK &&
        kb_decode_ticket(ap_req.ticket, &arena, &ticket, NULL) == KB_OK) {
        const kb_encrypted_data *part = &ticket.enc_part;

        kb_show_number(&cli->show, "ticket-etype", part->etype,
                       kb_number_name("etype", part->etype));
        if (part->has_kvno) {
            kb_show_number(&cli->show, "ticket-kvno", part->kvno, NULL);
        }
    }
    kb_arena_wipe(&arena);
}

void kb_cli_show_context(struct kb_cli *cli, const struct kb_cli_context *context)
{
    struct kb_show *show = &cli->show;
    OM_uint32 minor;
    krb5_flags flags = 0;
    krb5_timestamp authtime = 0;

    kb_show_word(show, "by", context->ours ? "kerbside" : "platform");
    kb_show_name(show, "client", kb_str(context->client));
    kb_show_name(show, "server", kb_str(context->server));
    if (gss_krb5_get_tkt_flags(&minor, context->handle, &flags) == GSS_S_COMPLETE) {
        kb_show_flags(show, "flags", (uint32_t)flags);
    }
    if (gsskrb5_extract_authtime_from_sec_context(&minor, context->handle, &authtime) ==
        GSS_S_COMPLETE) {
        /* MIT: 32 bits, taken as unsigned since 2038 came into sight. */
        kb_show_time(show, "authtime", (uint32_t)authtime);
    }
    if (context->endtime != 0) {
        kb_show_time(show, "endtime", context->endtime);
    }
    show_ticket(cli, context);
    show_session_etype(cli, context);
}
