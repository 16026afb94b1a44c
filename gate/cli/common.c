#include "gate/cli/common.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gate/base/clock.h"
#include "gate/base/confine.h"
#include "gate/base/json.h"
#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/daemon/config.h"
#include "gate/daemon/lock.h"
#include "gate/daemon/sections.h"
#include "gate/ipc/channel.h"

enum { ANSWER_LIMIT = 64 << 20, ANSWER_MS = 30000, RELOAD_MS = 90000, LOOK_AGAIN_MS = 20 };

int aegis_cli_fail(const struct aegis_cli *cli, const struct aegis_error *error)
{
    fprintf(stderr, "%s: %s\n", cli->program, error->text);
    return 1;
}

int aegis_cli_print_json(json_t *value)
{
    AEGIS_ASSERT(value != NULL);
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
    json_decref(value);
    return 0;
}

char *aegis_cli_path(const struct aegis_cli *cli, const char *name)
{
    return aegis_format("%s/%s", cli->home, name);
}

char *aegis_cli_config_file(const struct aegis_cli *cli)
{
    json_t *state = aegis_lock_read(cli->home);
    const char *file = aegis_json_text(state, "file", "");
    char *out = file[0] == '\0' ? aegis_cli_path(cli, "aegis.yaml") : aegis_strdup(file);

    json_decref(state);
    return out;
}

struct aegis_config *aegis_cli_config(const struct aegis_cli *cli, struct aegis_error *error)
{
    char *path = aegis_cli_config_file(cli);
    struct aegis_config *config =
        access(path, F_OK) == 0 ? aegis_config_load(path, error) : aegis_config_parse(path, "", 0, error);

    free(path);
    return config;
}

/* ---- tables ---- */

struct aegis_cli_table {
    size_t columns;
    size_t rows;
    char **cells; /* row by row */
};

struct aegis_cli_table *aegis_cli_table_new(size_t columns, const char *const *headings)
{
    struct aegis_cli_table *table = aegis_alloc(sizeof(*table));

    table->columns = columns;
    aegis_cli_table_add(table, headings);
    return table;
}

void aegis_cli_table_add(struct aegis_cli_table *table, const char *const *cells)
{
    size_t at = table->rows++ * table->columns;

    table->cells = realloc(table->cells, table->rows * table->columns * sizeof(*table->cells));
    AEGIS_ASSERT(table->cells != NULL);
    for (size_t i = 0; i < table->columns; i++) {
        char *cell = aegis_strdup(cells[i] == NULL || cells[i][0] == '\0' ? "-" : cells[i]);
        for (char *c = cell; *c != '\0'; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                *c = '?';
        table->cells[at + i] = cell;
    }
}

static size_t width(const struct aegis_cli_table *table, size_t column)
{
    size_t most = 0;

    for (size_t row = 0; row < table->rows; row++) {
        size_t length = strlen(table->cells[row * table->columns + column]);
        most = length > most ? length : most;
    }
    return most;
}

void aegis_cli_table_print(struct aegis_cli_table **table, const char *nothing)
{
    struct aegis_cli_table *it = *table;

    for (size_t row = 0; row < it->rows && it->rows > 1; row++)
        for (size_t i = 0; i < it->columns; i++)
            printf("%-*s%s", i + 1 == it->columns ? 0 : (int)width(it, i), it->cells[row * it->columns + i],
                   i + 1 == it->columns ? "\n" : "  ");
    if (it->rows == 1)
        puts(nothing);
    for (size_t i = 0; i < it->rows * it->columns; i++)
        free(it->cells[i]);
    free(it->cells);
    free(it);
    *table = NULL;
}

/* ---- the ledger ---- */

struct aegis_reader *aegis_cli_open_ledger(const struct aegis_cli *cli, struct aegis_error *error)
{
    char *path = aegis_cli_path(cli, "ledger.db");
    struct aegis_reader *reader = NULL;

    if (access(path, F_OK) != 0)
        aegis_error_set(error, "%s: there is no ledger: no gate has run here yet", path);
    else
        reader = aegis_reader_open(path, error);
    free(path);
    return reader;
}

struct search {
    const char *wanted;
    char *found;
    bool ambiguous;
};

static bool match(const struct aegis_agent_row *row, void *context)
{
    struct search *search = context;

    if (strcmp(row->id, search->wanted) == 0) {
        free(search->found);
        search->found = aegis_strdup(row->id);
        search->ambiguous = false;
        return false;
    }
    if (strcmp(row->name, search->wanted) == 0) {
        search->ambiguous = search->found != NULL;
        if (search->found == NULL)
            search->found = aegis_strdup(row->id);
    }
    return true;
}

char *aegis_cli_agent(const struct aegis_cli *cli, const char *id_or_name, struct aegis_error *error)
{
    struct aegis_reader *reader = aegis_cli_open_ledger(cli, error);
    struct search search = {.wanted = id_or_name};
    bool read = reader != NULL && aegis_books_agents(aegis_reader_books(reader), match, &search, error);

    aegis_reader_close(&reader);
    if (read && search.found != NULL && !search.ambiguous)
        return search.found;
    if (read)
        aegis_error_set(error,
                        search.ambiguous ? "two agents are called %s: name the id" : "there is no agent %s",
                        id_or_name);
    free(search.found);
    return NULL;
}

/* ---- the running gate ---- */

static int connect_control(const struct aegis_cli *cli, struct aegis_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *path = aegis_cli_path(cli, "control.sock");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (!aegis_text_copy(address.sun_path, sizeof(address.sun_path), path) || fd < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        aegis_error_set(error, "no gate answers at %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    free(path);
    return fd;
}

json_t *aegis_cli_ask(const struct aegis_cli *cli, const char *command, json_t *arguments,
                      struct aegis_error *error)
{
    int fd = connect_control(cli, error);
    json_t *question = json_pack("{s:i,s:s,s:o}", "id", 1, "name", command, "arguments", arguments);
    json_t *answer = NULL, *body = NULL;

    if (fd < 0)
        json_decref(question);
    else if (aegis_channel_write_blocking(fd, &aegis_message_command, question, error))
        answer = aegis_channel_read_blocking(fd, &aegis_message_answer, ANSWER_LIMIT, ANSWER_MS, error);
    if (answer != NULL && aegis_json_boolean(answer, "ok", false)) {
        body = json_object_get(answer, "body");
        body = body == NULL ? json_object() : json_incref(body);
    } else if (answer != NULL) {
        aegis_error_set(error, "%s",
                        aegis_json_text(answer, "error", "the gate refused and did not say why"));
    }
    json_decref(answer);
    if (fd >= 0)
        close(fd);
    return body;
}

static int64_t reload_number(const json_t *state)
{
    return aegis_json_integer(json_object_get(state, "reload"), "number", 0);
}

bool aegis_cli_reload_gate(const struct aegis_cli *cli, bool *running, struct aegis_error *error)
{
    pid_t pid = aegis_lock_holder(cli->home);
    json_t *state = aegis_lock_read(cli->home);
    int64_t before = reload_number(state), end = aegis_clock_boot() + RELOAD_MS;
    const char *problem;
    bool good;

    *running = pid > 0;
    if (pid <= 0) {
        json_decref(state);
        return true;
    }
    if (kill(pid, SIGHUP) != 0) {
        json_decref(state);
        return aegis_error_set(error, "process %d cannot be told: %s", (int)pid, strerror(errno));
    }
    while (reload_number(state) == before) {
        json_decref(state);
        if (aegis_clock_boot() > end || aegis_lock_holder(cli->home) != pid)
            return aegis_error_set(error, "the gate (process %d) did not say what became of it", (int)pid);
        poll(NULL, 0, LOOK_AGAIN_MS);
        state = aegis_lock_read(cli->home);
        if (state == NULL) /* between two of its words */
            state = json_pack("{s:{s:I}}", "reload", "number", (json_int_t)before);
    }
    problem = aegis_json_text(json_object_get(state, "reload"), "problem", "");
    good = problem[0] == '\0' || aegis_error_set(error, "the old configuration stays in force: %s", problem);
    json_decref(state);
    return good;
}

struct aegis_vault *aegis_cli_open_vault(const struct aegis_cli *cli, struct aegis_error *error)
{
    if (!aegis_confine(AEGIS_CONFINE_NETWORK | AEGIS_CONFINE_EXEC | AEGIS_CONFINE_DEBUG, error))
        return NULL;
    return aegis_vault_new(cli->vault, 0);
}

struct aegis_plugins *aegis_cli_plugins(const struct aegis_cli *cli, json_t *folders)
{
    struct aegis_error error;
    struct aegis_config *config = aegis_cli_config(cli, &error);
    json_t *configured = config == NULL ? json_array() : aegis_section_plugin_path(config);

    json_array_extend(folders, configured);
    json_decref(configured);
    aegis_config_free(&config);
    return aegis_plugins_new(folders);
}
