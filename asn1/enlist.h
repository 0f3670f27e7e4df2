/* enlist.h - macros by which a list of types becomes an array of pointers to them. No include guard:
 * includers read their list between this and undefine.h. */

/* clang-format off */
#define KB_SEQUENCE(type, rfc_name, FIELDS)           &kb_type_##type,
#define KB_LIST(type, rfc_name, element)              &kb_type_##type,
#define KB_APPLICATION(type, rfc_name, t1, t2, inner) &kb_type_##type,
#define KB_CONTEXT(type, rfc_name, t, inner)          &kb_type_##type,
#define KB_RAW(type, rfc_name, inner)                 &kb_type_##type,
/* clang-format on */
