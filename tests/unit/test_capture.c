/* mech/report/capture: what a dissector sees in the file, who may share it, and what is left alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mech/report/capture.h"
#include "mech/report/pcapng.h"
#include "mech/report/sink.h"
#include "tests/support/wire.h"

static char dir[] = "test_capture.XXXXXX";
static bool have_tshark;

static const char *in_dir(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static struct kb_events *events_to(const char *name)
{
    struct kb_events_config config = {.packet_capture = in_dir(name)};
    struct kb_events *events = kb_events_new(&config);

    assert_non_null(events);
    assert_true(kb_capture_wanted(events));
    return events;
}

static const struct sockaddr *ipv4(struct sockaddr_in *out, const char *address, uint16_t port)
{
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, address, &out->sin_addr), 1);
    return (const struct sockaddr *)out;
}

static const struct sockaddr *ipv6(struct sockaddr_in6 *out, const char *address, uint16_t port)
{
    *out = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET6, address, &out->sin6_addr), 1);
    return (const struct sockaddr *)out;
}

/* What tshark prints for these fields, a packet a line; its checks of checksums are on. */
static char *tshark(const char *name, const char *arguments)
{
    char command[700];
    char *text = calloc(1, 1 << 16);
    FILE *pipe;

    snprintf(command, sizeof(command),
             "tshark -r %s -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE "
             "-o tcp.check_checksum:TRUE %s 2>%s/stderr",
             in_dir(name), arguments, dir);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    (void)!fread(text, 1, (1 << 16) - 1, pipe);
    assert_int_equal(pclose(pipe), 0);
    unlink(in_dir("stderr"));
    return text;
}

#define FIELDS(fields) "-T fields -E separator='|' " fields
#define WRONG                                                                                      \
    "-Y 'ip.checksum.status==0 || udp.checksum.status==0 || tcp.checksum.status==0 || "            \
    "tcp.analysis.flags || _ws.malformed || kerberos.error_code && !kerberos.msg_type'"

static void expect_tshark(const char *name, const char *arguments, const char *expected)
{
    char *text = tshark(name, arguments);

    assert_string_equal(text, expected);
    free(text);
}

static void needs_tshark(void)
{
    if (!have_tshark) {
        skip();
    }
}

static void datagrams_decode(void **state)
{
    struct wire *wire;
    struct kb_events *events;
    struct sockaddr_in local, peer;
    struct sockaddr_in6 local6, peer6;

    (void)state;
    needs_tshark();
    wire = wire_load("exchanges/mit-aes256-sha1-client-mit.json");
    events = events_to("udp.pcapng");
    ipv4(&local, "192.0.2.7", 40001);
    ipv4(&peer, "192.0.2.1", 88);
    ipv6(&local6, "2001:db8::7", 40002);
    ipv6(&peer6, "2001:db8::1", 88);
    errno = 42;
    kb_capture(events, (struct sockaddr *)&local, (struct sockaddr *)&peer, true, false,
               wire_hex(wire, "messages[0].hex"));
    kb_capture(events, (struct sockaddr *)&local, (struct sockaddr *)&peer, false, false,
               wire_hex(wire, "messages[1].hex"));
    kb_capture(events, (struct sockaddr *)&local6, (struct sockaddr *)&peer6, true, false,
               wire_hex(wire, "messages[0].hex"));
    kb_capture(events, (struct sockaddr *)&local6, (struct sockaddr *)&peer6, false, false,
               wire_hex(wire, "messages[1].hex"));
    assert_int_equal(errno, 42);
    expect_tshark("udp.pcapng",
                  FIELDS("-e ip.src -e ipv6.src -e udp.srcport -e udp.dstport "
                         "-e kerberos.msg_type -e kerberos.error_code"),
                  "192.0.2.7||40001|88|10|\n192.0.2.1||88|40001|30|25\n"
                  "|2001:db8::7|40002|88|10|\n|2001:db8::1|88|40002|30|25\n");
    expect_tshark("udp.pcapng", WRONG, "");
    unlink(in_dir("udp.pcapng"));
    kb_events_free(events);
    wire_free(wire);
}

static void streams_decode(void **state)
{
    struct wire *wire;
    struct kb_events *events;
    struct sockaddr_in local, peer;

    (void)state;
    needs_tshark();
    wire = wire_load("exchanges/mit-aes256-sha1-client-mit.json");
    events = events_to("tcp.pcapng");
    ipv4(&local, "192.0.2.7", 40001);
    ipv4(&peer, "192.0.2.1", 88);
    for (int i = 0; i < 2; i++) { /* the second over the same ports */
        kb_capture(events, (struct sockaddr *)&local, (struct sockaddr *)&peer, true, true,
                   wire_hex(wire, "messages[2].hex"));
        kb_capture(events, (struct sockaddr *)&local, (struct sockaddr *)&peer, false, true,
                   wire_hex(wire, "messages[3].hex"));
    }
    expect_tshark("tcp.pcapng",
                  "-Y kerberos " FIELDS("-e tcp.stream -e tcp.srcport -e tcp.seq -e tcp.ack "
                                        "-e kerberos.msg_type"),
                  "0|40001|1|1|10\n0|88|1|271|11\n1|40001|1|1|10\n1|88|1|271|11\n");
    expect_tshark("tcp.pcapng", WRONG " -T fields -e frame.number", "6\n"); /* ports used again */
    unlink(in_dir("tcp.pcapng"));
    kb_events_free(events);
    wire_free(wire);
}

/* --- the file --- */

/* Walks the blocks: how many sections and packets there are, and that nothing stands between. */
static void count_blocks(const char *name, unsigned *out_sections, unsigned *out_packets)
{
    int fd = open(in_dir(name), O_RDONLY);
    uint32_t head[2], tail;
    off_t at = 0;

    assert_true(fd >= 0);
    *out_sections = *out_packets = 0;
    while (pread(fd, head, sizeof(head), at) == (ssize_t)sizeof(head)) {
        assert_true(head[1] % 4 == 0 && head[1] >= 12);
        assert_int_equal(pread(fd, &tail, 4, at + (off_t)head[1] - 4), 4);
        assert_int_equal(tail, head[1]);
        *out_sections += head[0] == 0x0a0d0d0a;
        *out_packets += head[0] == 6;
        at += (off_t)head[1];
    }
    assert_int_equal(lseek(fd, 0, SEEK_END), at);
    close(fd);
}

static void long_messages_are_cut_into_segments(void **state)
{
    struct kb_events *events = events_to("long.pcapng");
    size_t len = 200000;
    uint8_t *bytes = calloc(1, len);
    struct sockaddr_in6 local, peer;
    unsigned sections, packets;

    (void)state;
    ipv6(&local, "::1", 40001);
    ipv6(&peer, "::1", 88);
    kb_capture(events, (struct sockaddr *)&local, (struct sockaddr *)&peer, true, true,
               KB_LIT("question"));
    kb_capture(events, (struct sockaddr *)&local, (struct sockaddr *)&peer, false, true,
               kb_bytes_of(bytes, len));
    kb_capture(events, (struct sockaddr *)&local, (struct sockaddr *)&peer, false, false,
               kb_bytes_of(bytes, len)); /* what no datagram holds */
    count_blocks("long.pcapng", &sections, &packets);
    assert_int_equal(sections, 1);
    assert_int_equal(packets, 4 + 7 + 1);
    if (have_tshark) {
        expect_tshark("long.pcapng", WRONG, "");
        expect_tshark("long.pcapng", "-Y 'tcp.srcport==88 && tcp.len>0' " FIELDS("-e tcp.len"),
                      "32772\n32768\n32768\n32768\n32768\n32768\n3392\n");
        expect_tshark("long.pcapng", "-Y 'tcp.analysis.flags' -T fields -e frame.number", "");
    }
    unlink(in_dir("long.pcapng"));
    free(bytes);
    kb_events_free(events);
}

/* A UNIX socket has no addresses: loopback's stand for them. */
static void unix_sockets_are_loopback(void **state)
{
    struct wire *wire;
    struct kb_events *events;
    const struct sockaddr_un peer = {.sun_family = AF_UNIX, .sun_path = "/run/kdc"};

    (void)state;
    needs_tshark();
    wire = wire_load("exchanges/mit-aes256-sha1-client-mit.json");
    events = events_to("unix.pcapng");
    kb_capture(events, NULL, (const struct sockaddr *)&peer, true, true,
               wire_hex(wire, "messages[2].hex"));
    kb_capture(events, NULL, (const struct sockaddr *)&peer, false, true,
               wire_hex(wire, "messages[3].hex"));
    expect_tshark("unix.pcapng", "-Y kerberos " FIELDS("-e ip.src -e kerberos.msg_type"),
                  "127.0.0.1|10\n127.0.0.1|11\n");
    expect_tshark("unix.pcapng", WRONG, "");
    unlink(in_dir("unix.pcapng"));
    kb_events_free(events);
    wire_free(wire);
}

static void *write_some(void *ctx)
{
    for (int i = 0; i < 50; i++) {
        kb_capture(ctx, NULL, NULL, true, false, KB_LIT("one message"));
    }
    return NULL;
}

/* Threads of several processes, all of which may find the file empty: whole blocks only, and a
 * header first. */
static void many_write_at_once(void **state)
{
    unsigned sections, packets;
    struct stat st;
    pid_t pids[4];
    int status;

    (void)state;
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            struct kb_events *events = events_to("shared.pcapng");
            pthread_t threads[2];

            for (int j = 0; j < 2; j++) {
                if (pthread_create(&threads[j], NULL, write_some, events) != 0) {
                    _exit(1);
                }
            }
            for (int j = 0; j < 2; j++) {
                pthread_join(threads[j], NULL);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    count_blocks("shared.pcapng", &sections, &packets);
    assert_true(sections >= 1);
    assert_int_equal(packets, 400);
    assert_int_equal(stat(in_dir("shared.pcapng"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    if (have_tshark) {
        char *text = tshark("shared.pcapng", "-Y udp -T fields -e udp.length | sort | uniq -c");

        assert_non_null(strstr(text, "400 19\n"));
        free(text);
    }
    unlink(in_dir("shared.pcapng"));
}

/* --- what cannot be written --- */

static int system_log_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/devlog", dir);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    kb_sink_system_log_at(address.sun_path);
    return fd;
}

static void expect_told(int fd, const char *name, const char *why)
{
    char got[1000], expected[300];
    ssize_t len = recv(fd, got, sizeof(got) - 1, 0);

    assert_true(len > 0);
    got[len] = '\0';
    snprintf(expected, sizeof(expected), "PacketCapture %s cannot be written: %s", in_dir(name),
             why);
    assert_non_null(strstr(got, expected));
    assert_int_equal(recv(fd, got, sizeof(got), 0), -1); /* once */
}

static void fails_to(int fd, const char *name, const char *why)
{
    struct kb_events *events = events_to(name);

    kb_capture(events, NULL, NULL, true, false, KB_LIT("x"));
    kb_capture(events, NULL, NULL, true, false, KB_LIT("x"));
    expect_told(fd, name, why);
    kb_events_free(events);
    unlink(in_dir(name));
}

static void what_is_no_capture_is_left_alone(void **state)
{
    int fd = system_log_open(), file = open(in_dir("text"), O_WRONLY | O_CREAT, 0600);
    struct stat st;

    (void)state;
    assert_int_equal(write(file, "#!/bin/sh\n", 10), 10);
    fails_to(fd, "text", "it is a file of another kind");
    assert_int_equal(fstat(file, &st), 0);
    assert_int_equal(st.st_size, 10);
    close(file);
    assert_int_equal(symlink("target", in_dir("link")), 0);
    fails_to(fd, "link", "it is a symbolic link");
    assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
    fails_to(fd, "fifo", "it is no regular file");
    fails_to(fd, "missing/file", "No such file or directory");
    close(fd);
    unlink(in_dir("devlog"));
}

/* The room ends in the middle of a packet: what is there stays readable. */
static void a_full_disk_leaves_whole_packets(void **state)
{
    int fd = system_log_open();
    struct kb_events *events = events_to("full.pcapng");
    struct rlimit old, low;
    unsigned sections, packets;

    (void)state;
    getrlimit(RLIMIT_FSIZE, &old);
    low = (struct rlimit){1000, old.rlim_max};
    setrlimit(RLIMIT_FSIZE, &low);
    for (int i = 0; i < 20; i++) {
        kb_capture(events, NULL, NULL, true, false, KB_LIT("some message"));
    }
    setrlimit(RLIMIT_FSIZE, &old);
    count_blocks("full.pcapng", &sections, &packets);
    assert_int_equal(sections, 1);
    assert_true(packets > 5 && packets < 20);
    expect_told(fd, "full.pcapng", "there is no room for all of it");
    kb_capture(events, NULL, NULL, true, false, KB_LIT("some message"));
    count_blocks("full.pcapng", &sections, &packets);
    unlink(in_dir("full.pcapng"));
    kb_events_free(events);
    close(fd);
    unlink(in_dir("devlog"));
}

static void nobody_wants_it(void **state)
{
    struct kb_events_config config = {.log_level = KB_LOG_INFO};
    struct kb_events *events = kb_events_new(&config);

    (void)state;
    assert_false(kb_capture_wanted(NULL));
    assert_false(kb_capture_wanted(events));
    kb_capture(events, NULL, NULL, true, false, KB_LIT("x"));
    kb_capture(NULL, NULL, NULL, true, false, KB_LIT("x"));
    kb_events_free(events);
}

static int start(void **state)
{
    (void)state;
    have_tshark = system("tshark --version >/dev/null 2>&1") == 0;
    return mkdtemp(dir) == NULL;
}

static int end(void **state)
{
    (void)state;
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_decode),
        cmocka_unit_test(streams_decode),
        cmocka_unit_test(long_messages_are_cut_into_segments),
        cmocka_unit_test(unix_sockets_are_loopback),
        cmocka_unit_test(many_write_at_once),
        cmocka_unit_test(what_is_no_capture_is_left_alone),
        cmocka_unit_test(a_full_disk_leaves_whole_packets),
        cmocka_unit_test(nobody_wants_it),
    };

    return cmocka_run_group_tests(tests, start, end);
}
