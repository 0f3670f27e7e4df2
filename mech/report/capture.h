/* capture.h - PacketCapture: the messages to and from KDCs as a pcapng file, which Wireshark opens.
 *
 * No packet is seen here: headers of IP, UDP and TCP are made around each message, with the
 * addresses of the socket that carried it, so that a dissector finds its way. A message to a UNIX
 * socket or to a HTTPS proxy is shown as one between loopback addresses. No descriptor is kept;
 * each message is one write(2) to the end of the file, so processes and threads may share one. Made
 * with mode 0600, never through a symbolic link. Any thread; changes no errno. */
#ifndef KB_CAPTURE_H
#define KB_CAPTURE_H

#include <sys/socket.h>

#include "mech/report/events.h"

/* kb_capture_wanted spares the caller the looking up of addresses. */
bool kb_capture_wanted(const struct kb_events *events);

/* kb_capture appends one bare Kerberos message, `sent` to `peer` or received from it. With `stream`
 * it went over TCP, whose four bytes of length are added here. An address may be NULL: not known.
 */
void kb_capture(struct kb_events *events, const struct sockaddr *local, const struct sockaddr *peer,
                bool sent, bool stream, kb_bytes message);

#endif
