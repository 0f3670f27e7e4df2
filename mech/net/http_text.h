/* http_text.h - inside net: the lines of HTTP/1.1, as far as a client of ours writes and reads
 * them. RFC 9110 5.5, 5.6.2, 7.2, RFC 9112 3.2.3, 4, 5.
 *
 * Slices in, yes or no out. Strict: what a proxy sends is never repaired. Any thread. */
#ifndef KB_HTTP_TEXT_H
#define KB_HTTP_TEXT_H

#include "asn1/buf.h"

#define KB_HTTP_REASON 64

/* kb_http_name_len is the length of the field name in front of a colon; 0: the line is no field. */
size_t kb_http_name_len(kb_bytes line);

/* kb_http_is_value: VCHAR, obs-text, blanks and tabs only. */
bool kb_http_is_value(kb_bytes text);

/* kb_http_is_field: a field; or, unless it is the `first` line, the continuation of one. */
bool kb_http_is_field(kb_bytes line, bool first);
bool kb_http_is_folded(kb_bytes line);

/* kb_http_read_status reads a status line; `reason` becomes printable ASCII. */
KB_MUST_USE bool kb_http_read_status(kb_bytes line, unsigned *code, char reason[KB_HTTP_REASON]);

/* kb_http_may_be_status: could this become a status line? What speaks something else is found out
 * at once. */
bool kb_http_may_be_status(kb_bytes in);

/* kb_http_keep copies foreign text, what is not printable ASCII as `?`, what does not fit cut. */
void kb_http_keep(kb_bytes text, char *out, size_t size);

/* kb_http_add_authority appends "host", "[address]", with `port` (0: none) behind a colon. False:
 * no such host can stand in a request. */
KB_MUST_USE bool kb_http_add_authority(struct kb_buf *out, const char *host, uint16_t port);

/* kb_http_next_line takes the next line off *data (FirewallData) that is not empty: parted by CR
 * LF, LF, or these written as \r and \n. KB_NONE: there is none. */
kb_bytes kb_http_next_line(const char **data, unsigned *number);

/* kb_http_add_lines appends all of them, each with CR LF. NULL is accepted. */
void kb_http_add_lines(struct kb_buf *out, const char *data);

#endif
