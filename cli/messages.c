#include "cli/messages.h"

#include "asn1/table.h"

#include "asn1/define.h"
#include "cli/messages.def"
#include "asn1/undefine.h"

#include "asn1/enlist.h"
const struct kb_type *const kb_cli_types[] = {
#include "cli/messages.def"
    NULL};
#include "asn1/undefine.h"
