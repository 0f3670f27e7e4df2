/* lsan.c - for builds with ASan: what the platform's own libraries lose (1.20: eight bytes for each
 * plugin; names in gss_acquire_cred). */
__attribute__((visibility("default"))) const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}

__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:krb5int_open_plugin\nleak:krb5_build_principal\nleak:krb5_copy_principal\n";
}
