/* From a real ledger to the bus: one message per entry that calls for one, whatever dies when; identities and
 * signatures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "gate/base/json.h"
#include "gate/base/text.h"
#include "gate/courier/bus.h"
#include "gate/courier/courier.h"
#include "gate/courier/follower.h"
#include "gate/courier/identity.h"
#include "gate/ipc/channel.h"
#include "gate/ipc/process.h"
#include "gate/ledger/ledger.h"
#include "tests/unit/folder_fixture.h"

#define NOW 1795162584206

struct fixture {
    char *folder;
    char *ledger_path;
    char *bus_path;
    char *identities;
    struct aegis_ledger *ledger;
    struct aegis_courier_identity *identity;
    struct aegis_bus *bus;
    struct aegis_follower *follower;
};

static void start(struct fixture *fixture)
{
    struct aegis_error error = {""};
    const struct aegis_follower_options options = {.ledger = fixture->ledger_path, .operator_id = "operator"};
    fixture->identity = aegis_courier_identity_open(fixture->identities, "aegis-gate", &error);
    fixture->bus = aegis_bus_open(fixture->bus_path, &error);
    if (fixture->identity == NULL || fixture->bus == NULL)
        fail_msg("%s", error.text);
    fixture->follower = aegis_follower_new(&options, fixture->bus, fixture->identity);
}

static void stop(struct fixture *fixture)
{
    aegis_follower_free(&fixture->follower);
    aegis_bus_close(&fixture->bus);
    aegis_courier_identity_free(&fixture->identity);
}

static void open_ledger(struct fixture *fixture)
{
    struct aegis_error error = {""};
    fixture->ledger = aegis_ledger_open(fixture->ledger_path, &error);
    if (fixture->ledger == NULL)
        fail_msg("%s", error.text);
}

static struct fixture setup(void)
{
    struct fixture fixture = {.folder = folder_make()};
    fixture.ledger_path = folder_path(fixture.folder, "ledger.db");
    fixture.bus_path = folder_path(fixture.folder, "messages.db");
    fixture.identities = folder_path(fixture.folder, "identities");
    start(&fixture);
    return fixture;
}

static void teardown(struct fixture *fixture)
{
    stop(fixture);
    aegis_ledger_close(&fixture->ledger);
    free(fixture->ledger_path);
    free(fixture->bus_path);
    free(fixture->identities);
    folder_remove(fixture->folder);
}

/* `count` notices or heartbeats in one transaction. */
static void write_entries(struct fixture *fixture, enum aegis_entry_kind kind, int count)
{
    struct aegis_error error = {""};
    bool good = aegis_ledger_begin(fixture->ledger, &error);
    for (int i = 0; good && i < count; i++) {
        json_t *body = kind == AEGIS_ENTRY_NOTICE
                           ? json_pack("{s:s, s:s, s:s, s:s, s:{s:i}}", "kind", "budget_alert", "severity",
                                       "warning", "title", "t", "message", "m", "metadata", "number", i)
                           : json_object();
        good = aegis_ledger_append(fixture->ledger, kind, NOW, "key-1", NULL, body, &error);
        json_decref(body);
    }
    if (!good || aegis_ledger_commit(fixture->ledger, &error) != AEGIS_LEDGER_OK)
        fail_msg("%s", error.text);
}

static void follow(struct fixture *fixture)
{
    struct aegis_error error = {""};
    bool more = true;
    while (more)
        if (!aegis_follower_step(fixture->follower, &more, &error))
            fail_msg("%s", error.text);
}

static bool check_row(const struct aegis_bus_message *message, void *context)
{
    struct aegis_error error = {""};
    json_t *body = json_loads(message->body, 0, NULL);
    if (!aegis_courier_identity_verify(body, &error))
        fail_msg("%s", error.text);
    assert_string_equal(message->source, "ledger");
    assert_string_equal(message->sender, "aegis-gate");
    assert_string_equal(message->recipient, "operator");
    json_decref(body);
    ++*(int *)context;
    return true;
}

static int messages(struct fixture *fixture)
{
    struct aegis_error error;
    int count = 0;
    assert_true(aegis_bus_follow(fixture->bus, 0, check_row, &count, &error));
    return count;
}

static void every_entry_becomes_one_message(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    follow(&fixture); /* no ledger yet */
    open_ledger(&fixture);
    follow(&fixture); /* an empty one */
    write_entries(&fixture, AEGIS_ENTRY_NOTICE, 3);
    write_entries(&fixture, AEGIS_ENTRY_HEARTBEAT, 10);
    follow(&fixture);
    assert_int_equal(messages(&fixture), 3);
    for (int i = 0; i < 3; i++) {
        stop(&fixture);
        start(&fixture);
        write_entries(&fixture, AEGIS_ENTRY_HEARTBEAT, 2);
        follow(&fixture);
        assert_int_equal(messages(&fixture), 3);
    }
    write_entries(&fixture, AEGIS_ENTRY_NOTICE, 1200);
    follow(&fixture);
    assert_int_equal(messages(&fixture), 1203);
    teardown(&fixture);
}

/* The cursor is stored now and then even when nothing is to be said, so that a restart is quick. */
static void the_cursor_keeps_up_with_silence(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    struct aegis_error error;
    struct aegis_bus_cursor cursor;
    open_ledger(&fixture);
    write_entries(&fixture, AEGIS_ENTRY_HEARTBEAT, 12000);
    follow(&fixture);
    assert_true(aegis_bus_cursor_get(fixture.bus, &cursor, &error));
    assert_true(cursor.seq >= 7000);
    teardown(&fixture);
}

static void a_kill_at_any_moment_loses_and_doubles_nothing(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    open_ledger(&fixture);
    write_entries(&fixture, AEGIS_ENTRY_NOTICE, 4000);
    stop(&fixture);
    for (int round = 0; round < 12; round++) {
        pid_t child = fork();
        if (child == 0) {
            struct aegis_error error;
            bool more = true;
            start(&fixture);
            while (aegis_follower_step(fixture.follower, &more, &error) && more)
                continue;
            _exit(0);
        }
        usleep((useconds_t)(1500 * round));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    start(&fixture);
    follow(&fixture);
    assert_int_equal(messages(&fixture), 4000);
    teardown(&fixture);
}

static void a_lost_bus_is_made_again_the_same(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    open_ledger(&fixture);
    write_entries(&fixture, AEGIS_ENTRY_NOTICE, 5);
    follow(&fixture);
    stop(&fixture);
    char *kept = folder_path(fixture.folder, "kept.db");
    assert_int_equal(rename(fixture.bus_path, kept), 0);
    start(&fixture);
    follow(&fixture);
    assert_int_equal(messages(&fixture), 5);
    free(kept);
    teardown(&fixture);
}

static void another_ledger_is_followed_from_its_beginning(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    open_ledger(&fixture);
    write_entries(&fixture, AEGIS_ENTRY_NOTICE, 5);
    follow(&fixture);
    stop(&fixture);
    aegis_ledger_close(&fixture.ledger);
    assert_int_equal(unlink(fixture.ledger_path), 0);
    open_ledger(&fixture);
    write_entries(&fixture, AEGIS_ENTRY_HEARTBEAT, 1);
    write_entries(&fixture, AEGIS_ENTRY_NOTICE, 2);
    start(&fixture);
    follow(&fixture);
    assert_int_equal(messages(&fixture), 7);
    teardown(&fixture);
}

static void an_identity_lasts_and_is_private(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    struct aegis_error error = {""};
    char *path = folder_path(fixture.folder, "identities/aegis-gate.key");
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    json_t *one = json_pack("{s:s}", "type", "x");
    json_t *other = json_pack("{s:s}", "type", "x");
    assert_true(aegis_courier_identity_sign(fixture.identity, one));
    stop(&fixture);
    start(&fixture);
    assert_true(aegis_courier_identity_sign(fixture.identity, other));
    assert_true(json_equal(one, other));

    assert_true(aegis_courier_identity_verify(one, &error));
    json_object_set_new(one, "type", json_string("y"));
    assert_false(aegis_courier_identity_verify(one, &error));
    json_object_set_new(one, "type", json_string("x"));
    json_object_set_new(one, "added", json_true());
    assert_false(aegis_courier_identity_verify(one, &error));
    json_object_del(one, "added");
    json_object_set_new(one, "signature", json_string("00"));
    assert_false(aegis_courier_identity_verify(one, &error));
    json_object_set_new(one, "huge", json_integer((json_int_t)1 << 60));
    assert_false(aegis_courier_identity_sign(fixture.identity, one));
    json_decref(one);
    json_decref(other);

    assert_int_equal(chmod(path, 0640), 0);
    assert_null(aegis_courier_identity_open(fixture.identities, "aegis-gate", &error));
    assert_non_null(strstr(error.text, path));
    assert_int_equal(chmod(path, 0600), 0);
    file_put(path, "no key\n", 7);
    assert_null(aegis_courier_identity_open(fixture.identities, "aegis-gate", &error));
    static const char *const wrong[] = {"", ".", "..", "../x", "a/b", ".hidden", "with space", "n\303\244me"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_null(aegis_courier_identity_open(fixture.identities, wrong[i], &error));
    free(path);
    teardown(&fixture);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    struct aegis_error error = {""};
    open_ledger(&fixture);
    assert_null(aegis_bus_open(fixture.ledger_path, &error));
    assert_non_null(strstr(error.text, "not a store of messages"));
    char *path = folder_path(fixture.folder, "text");
    file_put(path, "this is a text that is no database at all", 41);
    assert_int_equal(chmod(path, 0600), 0);
    assert_null(aegis_bus_open(path, &error));
    free(path);
    teardown(&fixture);
}

/* The courier as a process of its own, with us as its supervisor on the other end of `*control`. */
static pid_t run_process(struct fixture *fixture, int *control)
{
    struct aegis_error error = {""};
    int ends[2];
    char *mirror = folder_path(fixture->folder, "messages.json");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pid_t child = fork();
    if (child == 0) {
        if (ends[1] != AEGIS_PROCESS_CONTROL)
            dup2(ends[1], AEGIS_PROCESS_CONTROL);
        _exit(aegis_courier_run());
    }
    close(ends[1]);
    json_t *config = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "ledger", fixture->ledger_path, "messages",
                               fixture->bus_path, "mirror", mirror, "identities", fixture->identities,
                               "agent_id", "aegis-gate", "operator", "operator");
    assert_true(aegis_channel_write_blocking(ends[0], &aegis_message_configure,
                                             json_pack("{s:i, s:o}", "generation", 1, "config", config),
                                             &error));
    json_t *ready = aegis_channel_read_blocking(ends[0], &aegis_message_ready, 4096, 5000, &error);
    if (ready == NULL)
        fail_msg("%s", error.text);
    json_decref(ready);
    free(mirror);
    *control = ends[0];
    return child;
}

static void the_process_tells_everything_before_it_stops(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    struct aegis_error error = {""};
    stop(&fixture);
    int control = -1;
    int status = -1;
    pid_t child = run_process(&fixture, &control);
    open_ledger(&fixture);
    write_entries(&fixture, AEGIS_ENTRY_NOTICE, 700);
    assert_true(aegis_channel_write_blocking(control, &aegis_message_stop,
                                             json_pack("{s:i}", "deadline_ms", 5000), &error));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(control);
    start(&fixture);
    assert_int_equal(messages(&fixture), 700);
    char *path = folder_path(fixture.folder, "messages.json");
    json_t *file = json_load_file(path, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(file, "messages")), 700);
    json_decref(file);
    free(path);
    teardown(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_becomes_one_message),
        cmocka_unit_test(the_cursor_keeps_up_with_silence),
        cmocka_unit_test(a_kill_at_any_moment_loses_and_doubles_nothing),
        cmocka_unit_test(a_lost_bus_is_made_again_the_same),
        cmocka_unit_test(another_ledger_is_followed_from_its_beginning),
        cmocka_unit_test(an_identity_lasts_and_is_private),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(the_process_tells_everything_before_it_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
