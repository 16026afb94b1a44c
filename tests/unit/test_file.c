/* Files with limits and trust, errors, log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gate/base/error.h"
#include "gate/base/file.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/aegis-test-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    char *command = aegis_format("rm -rf %s", folder);
    int status = system(command);

    (void)state;
    free(command);
    return status;
}

static void check_refused(const char *path, size_t limit, enum aegis_file_trust trust, const char *problem)
{
    struct aegis_error error = {""};
    size_t size;

    assert_null(aegis_file_read(path, limit, trust, &size, &error));
    assert_memory_equal(error.text, path, strlen(path));
    if (strstr(error.text, problem) == NULL) {
        fail_msg("%s", error.text);
    }
}

static void test_write_and_read(void **state)
{
    char *path = aegis_format("%s/file", folder), *bytes;
    struct aegis_error error;
    struct stat info;
    size_t size;
    (void)state;

    umask(022);
    assert_true(aegis_file_write(path, "old", 3, 0644, &error));
    assert_true(aegis_file_write(path, "a\0b", 3, 0600, &error));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    bytes = aegis_file_read(path, 3, AEGIS_FILE_SECRET, &size, &error);
    assert_non_null(bytes);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "a\0b\0", 4);
    free(bytes);
    check_refused(path, 2, AEGIS_FILE_ANY, "longer than 2 bytes");
    assert_true(aegis_file_write(path, "", 0, 0600, &error));
    bytes = aegis_file_read(path, 0, AEGIS_FILE_SECRET, &size, &error);
    assert_non_null(bytes);
    assert_int_equal(size, 0);
    free(bytes);
    free(path);
}

static void test_trust(void **state)
{
    char *path = aegis_format("%s/trusted", folder), *bytes;
    size_t size;
    (void)state;

    assert_true(aegis_file_write(path, "x", 1, 0644, NULL));
    bytes = aegis_file_read(path, 10, AEGIS_FILE_TRUSTED, &size, NULL);
    assert_non_null(bytes);
    free(bytes);
    check_refused(path, 10, AEGIS_FILE_SECRET, "lets others read it");
    chmod(path, 0660);
    check_refused(path, 10, AEGIS_FILE_TRUSTED, "lets others write it");
    chmod(path, 0640);
    check_refused(path, 10, AEGIS_FILE_SECRET, "lets others read it");
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, 12345), 0);
        check_refused(path, 10, AEGIS_FILE_TRUSTED, "owned by uid 12345");
    }
    free(path);
}

static void test_not_files(void **state)
{
    char *fifo = aegis_format("%s/fifo", folder), *none = aegis_format("%s/none", folder);
    struct aegis_error error;
    (void)state;

    assert_int_equal(mkfifo(fifo, 0600), 0);
    check_refused(fifo, 10, AEGIS_FILE_ANY, "not a regular file");
    check_refused(folder, 10, AEGIS_FILE_ANY, "not a regular file");
    check_refused(none, 10, AEGIS_FILE_ANY, "No such file");
    check_refused("/dev/zero", 10, AEGIS_FILE_ANY, "not a regular file");
    free(none);
    none = aegis_format("%s/none/file", folder);
    assert_false(aegis_file_write(none, "x", 1, 0600, &error));
    assert_non_null(strstr(error.text, "No such file"));
    free(none);
    free(fifo);
}

static void test_folders(void **state)
{
    char *path = aegis_format("%s/a/b//c/", folder), *file = aegis_format("%s/plain", folder), *below;
    struct aegis_error error;
    struct stat info;
    (void)state;

    assert_true(aegis_folder_make(path, 0700, &error));
    assert_true(aegis_folder_make(path, 0700, &error));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_true(aegis_file_write(file, "", 0, 0600, &error));
    below = aegis_format("%s/d", file);
    assert_false(aegis_folder_make(file, 0700, &error));
    assert_non_null(strstr(error.text, "not a folder"));
    assert_false(aegis_folder_make(below, 0700, &error));
    assert_false(aegis_folder_make("", 0700, &error));
    free(below);
    free(file);
    free(path);
}

static void test_error_is_cut_at_a_character(void **state)
{
    struct aegis_error error;
    char longer[700];
    (void)state;

    for (size_t shift = 0; shift < 4; shift++) {
        memset(longer, 'x', shift);
        for (size_t at = shift; at + 4 <= sizeof longer; at += 4) {
            memcpy(longer + at, "\xf0\x9f\x98\x80", 4);
        }
        longer[shift + 600] = '\0';
        assert_false(aegis_error_set(&error, "%s", longer));
        assert_true(aegis_utf8_valid(error.text, strlen(error.text)));
        assert_true(strlen(error.text) >= sizeof error.text - 4);
    }
    aegis_error_set(&error, "what");
    assert_false(aegis_error_prefix(&error, "where %d", 7));
    assert_string_equal(error.text, "where 7: what");
    assert_false(aegis_error_set(&error, "again %s", error.text));
    assert_string_equal(error.text, "again where 7: what");
    assert_false(aegis_error_set(NULL, "x"));
    assert_false(aegis_error_prefix(NULL, "x"));
}

/* What a child writes to standard error while it runs `body`. */
static char *captured(void (*body)(void), int *status)
{
    int ends[2];
    char *text = aegis_alloc(65536);
    size_t used = 0;
    ssize_t got;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        body();
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + used, 65535 - used)) > 0) {
        used += (size_t)got;
    }
    close(ends[0]);
    assert_int_equal(waitpid(child, status, 0), child);
    return text;
}

static void write_text_lines(void)
{
    aegis_log_open("keeper", AEGIS_LOG_INFO, false);
    aegis_log(AEGIS_LOG_DEBUG, "not seen");
    aegis_log(AEGIS_LOG_INFO, "one\ntwo \x1b[31m \xc3\xa9");
    aegis_log(AEGIS_LOG_ERROR, "bad \xff");
}

static void test_log_text(void **state)
{
    int status;
    char *text = captured(write_text_lines, &status), *second;
    (void)state;

    assert_null(strstr(text, "not seen"));
    assert_non_null(strstr(text, "Z info keeper["));
    assert_non_null(strstr(text, "]: one\\x0atwo \\x1b[31m \xc3\xa9\n"));
    second = strchr(text, '\n') + 1;
    assert_non_null(strstr(second, "Z error keeper["));
    assert_non_null(strstr(second, "bad \\xff\n"));
    free(text);
}

static void write_json_lines(void)
{
    char longer[9000];

    memset(longer, '\n', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    aegis_log_open("judge", AEGIS_LOG_ERROR, true);
    aegis_log_level_set(AEGIS_LOG_DEBUG);
    aegis_log(AEGIS_LOG_DEBUG, "say \"%s\" \\ \n", "\xc3\xa9");
    aegis_log(AEGIS_LOG_DEBUG, "%s", longer);
}

static void test_log_json(void **state)
{
    int status, lines = 0;
    char *text = captured(write_json_lines, &status), *rest = text, *line;
    (void)state;

    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        json_t *value = aegis_json_parse(line, strlen(line), NULL);

        assert_non_null(value);
        assert_string_equal(aegis_json_text(value, "process", ""), "judge");
        if (lines++ == 0) {
            assert_string_equal(aegis_json_text(value, "message", ""), "say \"\xc3\xa9\" \\ \n");
        }
        json_decref(value);
    }
    assert_int_equal(lines, 2);
    free(text);
}

static void break_promise(void)
{
    int two = 2;

    signal(SIGABRT, SIG_DFL);
    AEGIS_ASSERT(two == 3);
}

static void test_panic(void **state)
{
    int status;
    char *text = captured(break_promise, &status);
    (void)state;

    assert_non_null(strstr(text, "expected two == 3"));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    free(text);
}

static void test_levels(void **state)
{
    enum aegis_log_level level = AEGIS_LOG_ERROR;
    (void)state;

    assert_true(aegis_log_level_parse("debug", &level) && level == AEGIS_LOG_DEBUG);
    assert_true(aegis_log_level_parse("warning", &level) && level == AEGIS_LOG_WARNING);
    assert_false(aegis_log_level_parse("loud", &level));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_read),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_not_files),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_log_text),
        cmocka_unit_test(test_log_json),
        cmocka_unit_test(test_panic),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_error_is_cut_at_a_character),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
