/* messages.json: appending, crashes at every byte, and other tools that write to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "gate/base/text.h"
#include "gate/courier/bus.h"
#include "gate/courier/mirror.h"
#include "tests/unit/folder_fixture.h"

#define NOW 1795162584206

struct fixture {
    char *folder;
    char *path; /* of messages.json */
    struct aegis_bus *bus;
    struct aegis_mirror *mirror;
};

static struct fixture setup(void)
{
    struct aegis_error error = {""};
    struct fixture fixture = {.folder = folder_make()};
    char *db = folder_path(fixture.folder, "messages.db");
    fixture.path = folder_path(fixture.folder, "messages.json");
    fixture.bus = aegis_bus_open(db, &error);
    assert_non_null(fixture.bus);
    fixture.mirror = aegis_mirror_new(fixture.path, fixture.bus);
    free(db);
    return fixture;
}

static void teardown(struct fixture *fixture)
{
    aegis_mirror_free(&fixture->mirror);
    aegis_bus_close(&fixture->bus);
    folder_remove(fixture->folder);
    free(fixture->path);
}

/* A message of the gate's own, number `n`. */
static void put(struct fixture *fixture, int n)
{
    struct aegis_error error = {""};
    char *id = aegis_format("msg_%032d", n);
    char *body = aegis_format(
        "{\"agentId\":\"aegis-gate\",\"id\":\"%s\",\"title\":\"n\303\264 %d \\\"x\\\" ]}\",\"type\":"
        "\"xmtp_notification\"}",
        id, n);
    const struct aegis_bus_message message = {.id = id,
                                              .type = "xmtp_notification",
                                              .sender = "aegis-gate",
                                              .recipient = "operator",
                                              .source = "ledger",
                                              .at = NOW,
                                              .body = body};
    assert_true(aegis_bus_begin(fixture->bus, &error));
    assert_true(aegis_bus_put(fixture->bus, &message, &error));
    assert_true(aegis_bus_commit(fixture->bus, &error));
    free(body);
    free(id);
}

static void sync_it(struct fixture *fixture, bool impatient)
{
    struct aegis_error error = {""};
    if (!aegis_mirror_sync(fixture->mirror, impatient, NOW, &error))
        fail_msg("%s", error.text);
}

/* As after a restart of the process. */
static void reopen(struct fixture *fixture)
{
    aegis_mirror_free(&fixture->mirror);
    fixture->mirror = aegis_mirror_new(fixture->path, fixture->bus);
}

static json_t *messages_of(struct fixture *fixture)
{
    json_error_t problem;
    json_t *file = json_load_file(fixture->path, JSON_REJECT_DUPLICATES, &problem);
    if (file == NULL)
        fail_msg("%s", problem.text);
    json_t *messages = json_incref(json_object_get(file, "messages"));
    assert_true(json_is_array(messages));
    json_decref(file);
    return messages;
}

static size_t count(struct fixture *fixture)
{
    json_t *messages = messages_of(fixture);
    size_t size = json_array_size(messages);
    json_decref(messages);
    return size;
}

static bool count_row(const struct aegis_bus_message *message, void *context)
{
    (void)message;
    ++*(size_t *)context;
    return true;
}

static size_t count_in_bus(struct fixture *fixture)
{
    struct aegis_error error;
    size_t rows = 0;
    assert_true(aegis_bus_follow(fixture->bus, 0, count_row, &rows, &error));
    return rows;
}

static void it_is_appended_in_place(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    sync_it(&fixture, true);
    assert_int_equal(count(&fixture), 0);
    struct stat first;
    assert_int_equal(stat(fixture.path, &first), 0);
    assert_int_equal(first.st_mode & 0777, 0600);
    for (int n = 1; n <= 5; n++) {
        put(&fixture, 2 * n);
        put(&fixture, 2 * n + 1);
        sync_it(&fixture, false);
        assert_int_equal(count(&fixture), 2 * n);
        if (n == 3)
            reopen(&fixture);
    }
    struct stat last;
    assert_int_equal(stat(fixture.path, &last), 0);
    assert_int_equal(first.st_ino, last.st_ino);
    sync_it(&fixture, false);
    struct stat same;
    assert_int_equal(stat(fixture.path, &same), 0);
    assert_int_equal(last.st_mtim.tv_nsec, same.st_mtim.tv_nsec);
    teardown(&fixture);
}

static void many_messages_go_in_several_writes(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    struct aegis_error error = {""};
    char *body = aegis_alloc(5000);
    sync_it(&fixture, true);
    assert_true(aegis_bus_begin(fixture.bus, &error));
    for (int n = 0; n < 300; n++) {
        char id[40];
        snprintf(id, sizeof id, "msg_%032d", n);
        snprintf(body, 5000, "{\"id\":\"%s\",\"pad\":\"%04000d\"}", id, n);
        const struct aegis_bus_message message = {
            .id = id, .type = "t", .sender = "", .recipient = "", .source = "ledger", .body = body};
        assert_true(aegis_bus_put(fixture.bus, &message, &error));
    }
    assert_true(aegis_bus_commit(fixture.bus, &error));
    sync_it(&fixture, false);
    assert_int_equal(count(&fixture), 300);
    reopen(&fixture);
    sync_it(&fixture, true);
    assert_int_equal(count(&fixture), 300);
    free(body);
    teardown(&fixture);
}

/* Every way in which a crash can leave the file: cut at any byte, or with any beginning of the next write
 * over it. */
static void any_crash_is_mended(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    size_t before_size = 0;
    size_t size = 0;
    for (int n = 0; n < 3; n++)
        put(&fixture, n);
    sync_it(&fixture, true);
    char *before = file_get(fixture.path, &before_size);
    put(&fixture, 3);
    put(&fixture, 4);
    sync_it(&fixture, false);
    char *whole = file_get(fixture.path, &size);
    char *torn = aegis_alloc(size + 1);
    for (size_t cut = 0; cut < 2 * size; cut++) {
        size_t torn_size = cut;
        memcpy(torn, whole, cut < size ? cut : 0);
        if (cut >= size) { /* the write got as far as this, with the old closing bracket behind it */
            torn_size = cut - size;
            if (torn_size < before_size)
                torn_size = before_size;
            memcpy(torn, before, before_size);
            memcpy(torn, whole, cut - size);
        }
        file_put(fixture.path, torn, torn_size);
        reopen(&fixture);
        sync_it(&fixture, true);
        size_t mended_size = 0;
        char *mended = file_get(fixture.path, &mended_size);
        assert_int_equal(mended_size, size);
        assert_memory_equal(mended, whole, size);
        free(mended);
    }
    assert_int_equal(count_in_bus(&fixture), 5);
    free(torn);
    free(whole);
    free(before);
    teardown(&fixture);
}

static void a_damaged_file_is_set_aside(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    char *aside = folder_path(fixture.folder, "messages.json.damaged");
    size_t size = 0;
    put(&fixture, 1);
    sync_it(&fixture, true);
    /* Somebody may be writing just now: the first look changes nothing, the second does. */
    file_put(fixture.path, "{\"messages\": [ {\"ty", 19);
    put(&fixture, 2);
    sync_it(&fixture, false);
    char *bytes = file_get(fixture.path, &size);
    assert_int_equal(size, 19);
    free(bytes);
    sync_it(&fixture, false);
    assert_int_equal(count(&fixture), 2);
    bytes = file_get(aside, &size);
    assert_int_equal(size, 19);
    free(bytes);
    /* A hole in the middle, as a lost page leaves it. */
    bytes = file_get(fixture.path, &size);
    memset(bytes + 30, 0, 20);
    file_put(fixture.path, bytes, size);
    free(bytes);
    reopen(&fixture);
    sync_it(&fixture, true);
    assert_int_equal(count(&fixture), 2);
    /* Gone altogether. */
    assert_int_equal(unlink(fixture.path), 0);
    sync_it(&fixture, false);
    assert_int_equal(count(&fixture), 2);
    free(aside);
    teardown(&fixture);
}

static void a_writer_who_was_only_slow_is_let_finish(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    static const char whole[] =
        "{\"messages\":[{\"type\":\"health_ping\",\"agentId\":\"a\",\"targetAgent\":\"b\"}]}";
    sync_it(&fixture, true);
    file_put(fixture.path, "", 0);
    sync_it(&fixture, false);
    file_put(fixture.path, whole, 20);
    sync_it(&fixture, false);
    file_put(fixture.path, whole, strlen(whole));
    put(&fixture, 1);
    sync_it(&fixture, false);
    assert_int_equal(count(&fixture), 2);
    assert_int_equal(count_in_bus(&fixture), 2);
    teardown(&fixture);
}

struct last_row {
    char source[16];
    char type[32];
    char sender[32];
    char recipient[32];
    int64_t at;
};

static bool keep_row(const struct aegis_bus_message *message, void *context)
{
    struct last_row *last = context;
    snprintf(last->source, sizeof last->source, "%s", message->source);
    snprintf(last->type, sizeof last->type, "%s", message->type);
    snprintf(last->sender, sizeof last->sender, "%s", message->sender);
    snprintf(last->recipient, sizeof last->recipient, "%s", message->recipient);
    last->at = message->at;
    return true;
}

/* Another tool reads the file, adds a message and writes it all, in its own layout. */
static void foreign_append(struct fixture *fixture, json_t *message, size_t flags)
{
    json_t *messages = messages_of(fixture);
    json_array_append_new(messages, message);
    json_t *file = json_pack("{s:O}", "messages", messages);
    char *text = json_dumps(file, flags);
    file_put(fixture->path, text, strlen(text));
    free(text);
    json_decref(file);
    json_decref(messages);
}

static void what_others_write_is_kept(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    struct aegis_error error;
    struct last_row last;
    put(&fixture, 1);
    sync_it(&fixture, true);
    foreign_append(&fixture,
                   json_pack("{s:s, s:s, s:s, s:s}", "type", "service_query", "agentId", "bob", "timestamp",
                             "2026-11-20T08:00:00.000Z", "query", "weather"),
                   JSON_INDENT(2));
    put(&fixture, 2);
    sync_it(&fixture, false);
    assert_int_equal(count(&fixture), 3);
    assert_int_equal(count_in_bus(&fixture), 3);
    assert_true(aegis_bus_follow(fixture.bus, 2, keep_row, &last, &error));
    assert_string_equal(last.source, "file");
    assert_string_equal(last.sender, "bob");
    assert_int_equal(last.at, 1795161600000);

    foreign_append(&fixture,
                   json_pack("{s:s, s:s, s:s, s:s}", "type", "health_ping", "agentId", "bob", "targetAgent",
                             "eve", "id", "ping-1"),
                   0);
    for (int round = 0; round < 3; round++) {
        reopen(&fixture);
        sync_it(&fixture, true);
        assert_int_equal(count(&fixture), 4);
        assert_int_equal(count_in_bus(&fixture), 4);
    }
    assert_true(aegis_bus_follow(fixture.bus, 3, keep_row, &last, &error));
    assert_string_equal(last.recipient, "eve");
    assert_int_equal(last.at, NOW);
    /* The layout is theirs still, and our messages go behind. */
    put(&fixture, 3);
    sync_it(&fixture, false);
    size_t size = 0;
    char *text = file_get(fixture.path, &size);
    assert_non_null(strstr(text, "\"messages\": ["));
    free(text);
    assert_int_equal(count(&fixture), 5);
    /* From the bus alone nothing is lost. */
    assert_int_equal(unlink(fixture.path), 0);
    sync_it(&fixture, false);
    assert_int_equal(count(&fixture), 5);
    teardown(&fixture);
}

static void messages_that_others_removed_come_back(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    static const char emptied[] = "{ \"messages\" : [ ] }";
    for (int n = 0; n < 3; n++)
        put(&fixture, n);
    sync_it(&fixture, true);
    file_put(fixture.path, emptied, strlen(emptied));
    sync_it(&fixture, false);
    assert_int_equal(count(&fixture), 3);
    reopen(&fixture);
    sync_it(&fixture, true);
    assert_int_equal(count(&fixture), 3);
    assert_int_equal(count_in_bus(&fixture), 3);
    teardown(&fixture);
}

static void a_changed_message_does_not_become_ours(void **state)
{
    (void)state;
    struct fixture fixture = setup();
    struct aegis_error error;
    struct last_row last;
    put(&fixture, 1);
    sync_it(&fixture, true);
    json_t *messages = messages_of(&fixture);
    json_object_set_new(json_array_get(messages, 0), "title", json_string("nothing happened"));
    json_t *file = json_pack("{s:O}", "messages", messages);
    json_dump_file(file, fixture.path, 0);
    sync_it(&fixture, false);
    json_decref(file);
    json_decref(messages);
    assert_int_equal(count(&fixture), 2); /* theirs, and ours again */
    assert_int_equal(count_in_bus(&fixture), 2);
    assert_true(aegis_bus_follow(fixture.bus, 1, keep_row, &last, &error));
    assert_string_equal(last.source, "file");
    /* A name that only the gate's messages have is not kept free for others. */
    foreign_append(&fixture,
                   json_pack("{s:s, s:s}", "type", "dispute", "id", "msg_00000000000000000000000000000002"),
                   0);
    sync_it(&fixture, false);
    put(&fixture, 2);
    sync_it(&fixture, false);
    assert_int_equal(count(&fixture), 4);
    assert_int_equal(count_in_bus(&fixture), 4);
    assert_true(aegis_bus_find(fixture.bus, "msg_00000000000000000000000000000002", keep_row, &last, &error));
    assert_string_equal(last.source, "ledger");
    teardown(&fixture);
}

static void other_shapes_are_set_aside(void **state)
{
    (void)state;
    static const char *const shapes[] = {"[]",
                                         "{}",
                                         "null",
                                         "{\"messages\":{}}",
                                         "{\"messages\":[],\"messages\":[]}",
                                         "{\"messages\":[],\"version\":1}",
                                         "{\"messages\":[]} x",
                                         "\xef\xbb\xbf{\"messages\":[]}"};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct fixture fixture = setup();
        put(&fixture, 1);
        file_put(fixture.path, shapes[i], strlen(shapes[i]));
        sync_it(&fixture, true);
        assert_int_equal(count(&fixture), 1);
        char *aside = folder_path(fixture.folder, "messages.json.damaged");
        assert_int_equal(access(aside, F_OK), 0);
        free(aside);
        teardown(&fixture);
    }
    struct fixture fixture = setup();
    static const char odd[] = "{\"messages\":[1,null,\"x\",[],{}]}";
    put(&fixture, 1);
    file_put(fixture.path, odd, strlen(odd));
    sync_it(&fixture, true);
    assert_int_equal(count(&fixture), 6);
    assert_int_equal(count_in_bus(&fixture), 2);
    teardown(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_appended_in_place),
        cmocka_unit_test(many_messages_go_in_several_writes),
        cmocka_unit_test(any_crash_is_mended),
        cmocka_unit_test(a_damaged_file_is_set_aside),
        cmocka_unit_test(a_writer_who_was_only_slow_is_let_finish),
        cmocka_unit_test(what_others_write_is_kept),
        cmocka_unit_test(messages_that_others_removed_come_back),
        cmocka_unit_test(a_changed_message_does_not_become_ours),
        cmocka_unit_test(other_shapes_are_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
