/* facts.h - what the sockets of an exchange turned out to be: what a program learns that asks for
 * LocalHost, LocalPort, DestinationAddress, InBufferSize, OutBufferSize or KDCHost after a login.
 *
 * A value, copied whole. */
#ifndef KB_NET_FACTS_H
#define KB_NET_FACTS_H

#include "mech/net/address.h"

struct kb_net_facts {
    struct kb_address local;       /* whence it was asked, with the port; len 0: none */
    struct kb_address destination; /* where the answer came to (CaptureIPPacketInfo); len 0: not
                                      captured */
    struct kb_address peer;    /* who answered, with the port: the KDC, or the proxy before it */
    bool tunnelled;            /* it was the proxy */
    int in_buffer, out_buffer; /* bytes, as the system gave them */
};

#endif
