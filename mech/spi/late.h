/* late.h - libgssapi's functions, found when they are first called.
 *
 * libgssapi opens us with RTLD_NOW. Linked as usual, all that a pass-through may ever need would be
 * looked up in every program that touches GSS-API, at 900 instructions a name, and more in programs
 * of many libraries. So only what gss_indicate_mechs needs is linked as usual (forward.c,
 * plugin.c); a call of one of the functions below is looked up once, where it stands. Any thread.
 */
#ifndef KB_LATE_H
#define KB_LATE_H

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdatomic.h>

/* kb_late_find finds a function and keeps it in *at. Never NULL: what a libgssapi lacks (1.20 has
 * them all) fails with GSS_S_UNAVAILABLE. */
void *kb_late_find(_Atomic(void *) *at, const char *name);

/* KB_LATE is the function of that name, as libgssapi's headers declare it. */
#define KB_LATE(name)                                                                              \
    __extension__({                                                                                \
        static _Atomic(void *) at_;                                                                \
        void *found_ = atomic_load_explicit(&at_, memory_order_acquire);                           \
        (__typeof__(&(name)))(found_ != NULL ? found_ : kb_late_find(&at_, #name));                \
    })

/* clang-format off */
#define gss_accept_sec_context(...) KB_LATE(gss_accept_sec_context)(__VA_ARGS__)
#define gss_acquire_cred(...) KB_LATE(gss_acquire_cred)(__VA_ARGS__)
#define gss_acquire_cred_from(...) KB_LATE(gss_acquire_cred_from)(__VA_ARGS__)
#define gss_acquire_cred_impersonate_name(...) KB_LATE(gss_acquire_cred_impersonate_name)(__VA_ARGS__)
#define gss_acquire_cred_with_password(...) KB_LATE(gss_acquire_cred_with_password)(__VA_ARGS__)
#define gss_add_buffer_set_member(...) KB_LATE(gss_add_buffer_set_member)(__VA_ARGS__)
#define gss_authorize_localname(...) KB_LATE(gss_authorize_localname)(__VA_ARGS__)
#define gss_canonicalize_name(...) KB_LATE(gss_canonicalize_name)(__VA_ARGS__)
#define gss_compare_name(...) KB_LATE(gss_compare_name)(__VA_ARGS__)
#define gss_complete_auth_token(...) KB_LATE(gss_complete_auth_token)(__VA_ARGS__)
#define gss_context_time(...) KB_LATE(gss_context_time)(__VA_ARGS__)
#define gss_create_empty_buffer_set(...) KB_LATE(gss_create_empty_buffer_set)(__VA_ARGS__)
#define gss_delete_name_attribute(...) KB_LATE(gss_delete_name_attribute)(__VA_ARGS__)
#define gss_delete_sec_context(...) KB_LATE(gss_delete_sec_context)(__VA_ARGS__)
#define gss_display_name(...) KB_LATE(gss_display_name)(__VA_ARGS__)
#define gss_display_name_ext(...) KB_LATE(gss_display_name_ext)(__VA_ARGS__)
#define gss_display_status(...) KB_LATE(gss_display_status)(__VA_ARGS__)
#define gss_duplicate_name(...) KB_LATE(gss_duplicate_name)(__VA_ARGS__)
#define gss_export_cred(...) KB_LATE(gss_export_cred)(__VA_ARGS__)
#define gss_export_name(...) KB_LATE(gss_export_name)(__VA_ARGS__)
#define gss_export_name_composite(...) KB_LATE(gss_export_name_composite)(__VA_ARGS__)
#define gss_export_sec_context(...) KB_LATE(gss_export_sec_context)(__VA_ARGS__)
#define gss_get_mic(...) KB_LATE(gss_get_mic)(__VA_ARGS__)
#define gss_get_mic_iov(...) KB_LATE(gss_get_mic_iov)(__VA_ARGS__)
#define gss_get_mic_iov_length(...) KB_LATE(gss_get_mic_iov_length)(__VA_ARGS__)
#define gss_get_name_attribute(...) KB_LATE(gss_get_name_attribute)(__VA_ARGS__)
#define gss_import_cred(...) KB_LATE(gss_import_cred)(__VA_ARGS__)
#define gss_import_name(...) KB_LATE(gss_import_name)(__VA_ARGS__)
#define gss_import_sec_context(...) KB_LATE(gss_import_sec_context)(__VA_ARGS__)
#define gss_init_sec_context(...) KB_LATE(gss_init_sec_context)(__VA_ARGS__)
#define gss_inquire_context(...) KB_LATE(gss_inquire_context)(__VA_ARGS__)
#define gss_inquire_cred(...) KB_LATE(gss_inquire_cred)(__VA_ARGS__)
#define gss_inquire_cred_by_mech(...) KB_LATE(gss_inquire_cred_by_mech)(__VA_ARGS__)
#define gss_inquire_cred_by_oid(...) KB_LATE(gss_inquire_cred_by_oid)(__VA_ARGS__)
#define gss_inquire_name(...) KB_LATE(gss_inquire_name)(__VA_ARGS__)
#define gss_inquire_names_for_mech(...) KB_LATE(gss_inquire_names_for_mech)(__VA_ARGS__)
#define gss_inquire_sec_context_by_oid(...) KB_LATE(gss_inquire_sec_context_by_oid)(__VA_ARGS__)
#define gss_localname(...) KB_LATE(gss_localname)(__VA_ARGS__)
#define gss_map_name_to_any(...) KB_LATE(gss_map_name_to_any)(__VA_ARGS__)
#define gss_process_context_token(...) KB_LATE(gss_process_context_token)(__VA_ARGS__)
#define gss_pseudo_random(...) KB_LATE(gss_pseudo_random)(__VA_ARGS__)
#define gss_release_any_name_mapping(...) KB_LATE(gss_release_any_name_mapping)(__VA_ARGS__)
#define gss_release_buffer_set(...) KB_LATE(gss_release_buffer_set)(__VA_ARGS__)
#define gss_release_cred(...) KB_LATE(gss_release_cred)(__VA_ARGS__)
#define gss_release_name(...) KB_LATE(gss_release_name)(__VA_ARGS__)
#define gss_set_cred_option(...) KB_LATE(gss_set_cred_option)(__VA_ARGS__)
#define gss_set_name_attribute(...) KB_LATE(gss_set_name_attribute)(__VA_ARGS__)
#define gss_set_neg_mechs(...) KB_LATE(gss_set_neg_mechs)(__VA_ARGS__)
#define gss_set_sec_context_option(...) KB_LATE(gss_set_sec_context_option)(__VA_ARGS__)
#define gss_store_cred_into(...) KB_LATE(gss_store_cred_into)(__VA_ARGS__)
#define gss_unwrap(...) KB_LATE(gss_unwrap)(__VA_ARGS__)
#define gss_unwrap_aead(...) KB_LATE(gss_unwrap_aead)(__VA_ARGS__)
#define gss_unwrap_iov(...) KB_LATE(gss_unwrap_iov)(__VA_ARGS__)
#define gss_verify_mic(...) KB_LATE(gss_verify_mic)(__VA_ARGS__)
#define gss_verify_mic_iov(...) KB_LATE(gss_verify_mic_iov)(__VA_ARGS__)
#define gss_wrap(...) KB_LATE(gss_wrap)(__VA_ARGS__)
#define gss_wrap_aead(...) KB_LATE(gss_wrap_aead)(__VA_ARGS__)
#define gss_wrap_iov(...) KB_LATE(gss_wrap_iov)(__VA_ARGS__)
#define gss_wrap_iov_length(...) KB_LATE(gss_wrap_iov_length)(__VA_ARGS__)
#define gss_wrap_size_limit(...) KB_LATE(gss_wrap_size_limit)(__VA_ARGS__)
#define gssspi_mech_invoke(...) KB_LATE(gssspi_mech_invoke)(__VA_ARGS__)
/* clang-format on */

#endif
