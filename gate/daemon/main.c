/* aegis-gate: the gate itself, the check of its configuration, and (inside) each of its processes. */
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate/base/log.h"
#include "gate/base/text.h"
#include "gate/courier/courier.h"
#include "gate/daemon/checkup.h"
#include "gate/daemon/config.h"
#include "gate/daemon/home.h"
#include "gate/daemon/kind.h"
#include "gate/daemon/options.h"
#include "gate/daemon/supervisor.h"
#include "gate/judge/judge.h"
#include "gate/keeper/keeper.h"
#include "gate/proxy/worker.h"
#include "gate/runner/runner.h"
#include "gate/witness/witness.h"

static int (*const rooms[AEGIS_KINDS])(void) = {
    [AEGIS_KIND_KEEPER] = aegis_keeper_run,   [AEGIS_KIND_JUDGE] = aegis_judge_run,
    [AEGIS_KIND_RUNNER] = aegis_runner_run,   [AEGIS_KIND_WITNESS] = aegis_witness_run,
    [AEGIS_KIND_COURIER] = aegis_courier_run, [AEGIS_KIND_WORKER] = aegis_worker_run,
};

static const char help[] =
    "Usage: aegis-gate [-c FILE] [-t]\n"
    "\n"
    "The policy gate for payments by agents. Runs in the foreground and logs to standard error; SIGHUP "
    "reloads\n"
    "the configuration, SIGTERM finishes what runs and stops.\n"
    "\n"
    "  -c, --config FILE  the configuration (default: $AEGIS_HOME/aegis.yaml, else ~/.ows/aegis/aegis.yaml)\n"
    "  -t, --test         check the configuration and everything that it names, then exit\n"
    "      --help-config  list every option of the configuration file\n"
    "  -V, --version      print the version\n"
    "  -h, --help         print this\n"
    "\n"
    "`aegis init` makes a first configuration, " AEGIS_DATA_FOLDER "/aegis.yaml\n"
    "shows every option; `aegis help` lists what can be asked of a running gate.\n";

/* What the command line said. */
struct request {
    char *file;
    const char *process;
    const char *index;
    const char *log_level;
    const char *log_format;
    bool test;
    bool running;
};

enum { PROCESS = 256, INDEX, LOG_LEVEL, LOG_FORMAT, RUNNING, HELP_CONFIG };

static const struct option switches[] = {
    {"config", required_argument, NULL, 'c'},
    {"test", no_argument, NULL, 't'},
    {"help", no_argument, NULL, 'h'},
    {"help-config", no_argument, NULL, HELP_CONFIG},
    {"version", no_argument, NULL, 'V'},
    /* The supervisor's own: what a process is to become, and a check on behalf of a gate that runs. */
    {"process", required_argument, NULL, PROCESS},
    {"index", required_argument, NULL, INDEX},
    {"log-level", required_argument, NULL, LOG_LEVEL},
    {"log-format", required_argument, NULL, LOG_FORMAT},
    {"running", no_argument, NULL, RUNNING},
    {0},
};

static int complain(const char *problem)
{
    fprintf(stderr, "aegis-gate: %s\nTry `aegis-gate --help`.\n", problem);
    return 2;
}

/* One of the gate's processes; its descriptors were arranged by the supervisor. */
static int run_process(const struct request *request)
{
    enum aegis_log_level level = AEGIS_LOG_INFO;
    bool json = request->log_format != NULL && strcmp(request->log_format, "json") == 0;
    char *name = NULL;

    if (request->log_level != NULL && !aegis_log_level_parse(request->log_level, &level))
        return complain("--log-level: expected error, warning, info or debug");
    for (int kind = 0; kind < AEGIS_KINDS; kind++) {
        if (strcmp(aegis_kinds[kind].name, request->process) != 0)
            continue;
        name = kind == AEGIS_KIND_WORKER && request->index != NULL
                   ? aegis_format("%s-%s", request->process, request->index)
                   : aegis_strdup(request->process);
        aegis_log_open(name, level, json);
        int status = rooms[kind]();
        free(name);
        return status;
    }
    return complain("--process: there is no such process");
}

static int run_test(const struct request *request)
{
    aegis_log_open("test", AEGIS_LOG_ERROR, false);
    if (!aegis_checkup(request->file, request->running))
        return EXIT_FAILURE;
    printf("%s: good\n", request->file);
    return EXIT_SUCCESS;
}

static int run_gate(const struct request *request)
{
    struct aegis_error error;
    struct aegis_config *config = aegis_config_load(request->file, &error);
    enum aegis_log_level level;

    if (config == NULL) {
        fprintf(stderr, "%s%s\n", error.text,
                access(request->file, F_OK) == 0 ? "" : " (`aegis init` makes a first one)");
        return EXIT_FAILURE;
    }
    if (aegis_log_level_parse(aegis_config_text(config, "log.level"), &level))
        aegis_log_open("gate", level, strcmp(aegis_config_text(config, "log.format"), "json") == 0);
    aegis_log(AEGIS_LOG_INFO, "aegis-gate %s, configuration %s, home %s", PACKAGE_VERSION, request->file,
              aegis_config_home(config));
    return aegis_supervisor_run(config);
}

/* Returns -1 when there is something to run, else the exit status. */
static int read_switches(struct request *request, int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "c:thV", switches, NULL)) != -1) {
        switch (option) {
        case 'c':
            free(request->file);
            request->file = aegis_home_expand_here(optarg);
            break;
        case 't':
            request->test = true;
            break;
        case 'h':
            fputs(help, stdout);
            return EXIT_SUCCESS;
        case HELP_CONFIG:
            aegis_options_print(stdout);
            return EXIT_SUCCESS;
        case 'V':
            printf("aegis-gate %s\n", PACKAGE_VERSION);
            return EXIT_SUCCESS;
        case PROCESS:
            request->process = optarg;
            break;
        case INDEX:
            request->index = optarg;
            break;
        case LOG_LEVEL:
            request->log_level = optarg;
            break;
        case LOG_FORMAT:
            request->log_format = optarg;
            break;
        case RUNNING:
            request->running = true;
            break;
        default:
            fputs("Try `aegis-gate --help`.\n", stderr);
            return 2;
        }
    }
    return optind < argc ? complain("expected options only") : -1;
}

int main(int argc, char **argv)
{
    struct request request = {0};
    int status = read_switches(&request, argc, argv);

    if (status < 0 && sodium_init() < 0)
        status = complain("libsodium cannot be used");
    if (status < 0 && request.process != NULL)
        status = run_process(&request);
    if (status < 0 && request.file == NULL) {
        char *home = aegis_home_default();
        request.file = aegis_format("%s/aegis.yaml", home);
        free(home);
    }
    if (status < 0)
        status = request.test ? run_test(&request) : run_gate(&request);
    free(request.file);
    return status;
}
