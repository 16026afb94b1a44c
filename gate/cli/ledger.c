/* aegis ledger verify | export | replay */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/text.h"
#include "gate/cli/common.h"
#include "gate/cli/replay.h"

static void progress(int64_t done, int64_t all, void *context)
{
    (void)context;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%lld of %lld entries%s", (long long)done, (long long)all, done == all ? "\n" : "");
}

/* The head is what to write down elsewhere: it tells a ledger that was exchanged as a whole. */
static int verify(const struct aegis_cli *cli, struct aegis_reader *reader)
{
    struct aegis_error error;
    int64_t entries = 0, seq = 0;
    uint8_t hash[AEGIS_HASH_SIZE];
    char hex[AEGIS_HASH_HEX];
    bool good = aegis_reader_verify(reader, progress, NULL, &entries, &error) &&
                aegis_reader_head(reader, &seq, hash, &error);

    if (!good && cli->json) {
        aegis_cli_print_json(
            json_pack("{s:b,s:I,s:s}", "good", 0, "checked", (json_int_t)entries, "fault", error.text));
        return 1;
    }
    if (!good)
        return aegis_cli_fail(cli, &error);
    aegis_hex_encode(hash, sizeof(hash), hex);
    if (cli->json)
        return aegis_cli_print_json(json_pack("{s:b,s:I,s:{s:I,s:s}}", "good", 1, "checked",
                                              (json_int_t)entries, "head", "seq", (json_int_t)seq, "hash",
                                              hex));
    printf("good: %lld entries, every hash and every total agrees\nhead: %lld %s\n", (long long)entries,
           (long long)seq, hex);
    return 0;
}

static int export(const struct aegis_cli *cli, struct aegis_reader *reader, const char *format)
{
    const struct aegis_payment_filter everything = {0};
    struct aegis_error error;
    bool done;

    if (strcmp(format, "csv") == 0)
        done = aegis_reader_export_csv(reader, &everything, stdout, &error);
    else
        done = aegis_reader_export_lines(reader, 0, stdout, &error);
    if (done && fflush(stdout) != 0)
        done = aegis_error_set(&error, "standard output cannot be written");
    return done ? 0 : aegis_cli_fail(cli, &error);
}

static bool parse(int argc, char **argv, const char **format, json_t *plugin_path)
{
    static const struct option options[] = {
        {"format", required_argument, NULL, 'f'}, {"plugin-path", required_argument, NULL, 'p'}, {0}};

    optind = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'f')
            *format = optarg;
        else if (option == 'p')
            json_array_append_new(plugin_path, json_string(optarg));
        else
            return false;
    }
    return optind == argc && (strcmp(*format, "jsonl") == 0 || strcmp(*format, "csv") == 0);
}

static int dispatch(const struct aegis_cli *cli, const char *verb, const char *format, json_t *plugin_path)
{
    struct aegis_error error;
    struct aegis_reader *reader = aegis_cli_open_ledger(cli, &error);
    int status;

    if (reader == NULL)
        return aegis_cli_fail(cli, &error);
    if (strcmp(verb, "verify") == 0)
        status = verify(cli, reader);
    else if (strcmp(verb, "export") == 0)
        status = export(cli, reader, format);
    else
        status = aegis_cli_replay(cli, reader, plugin_path);
    aegis_reader_close(&reader);
    return status;
}

int aegis_cli_ledger(const struct aegis_cli *cli, int argc, char **argv)
{
    const char *verb = argc < 2 ? "" : argv[1], *format = "jsonl";
    json_t *plugin_path = json_array();
    int status;

    if ((strcmp(verb, "verify") == 0 || strcmp(verb, "export") == 0 || strcmp(verb, "replay") == 0) &&
        parse(argc - 1, argv + 1, &format, plugin_path))
        status = dispatch(cli, verb, format, plugin_path);
    else
        status = aegis_cli_misuse(cli, "ledger");
    json_decref(plugin_path);
    return status;
}
