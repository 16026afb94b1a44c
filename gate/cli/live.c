/* aegis heartbeat | revoke | resume | reload | stop: what a running gate is told. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/base/clock.h"
#include "gate/cli/agents.h"
#include "gate/cli/common.h"
#include "gate/daemon/lock.h"

enum { STOP_MS = 600000, LOOK_AGAIN_MS = 20 };

/* Asks, and prints the answer or `done`. */
static int tell(const struct aegis_cli *cli, const char *command, json_t *arguments, const char *done)
{
    struct aegis_error error;
    json_t *body = aegis_cli_ask(cli, command, arguments, &error);

    if (body == NULL)
        return aegis_cli_fail(cli, &error);
    if (cli->json)
        return aegis_cli_print_json(body);
    puts(done);
    json_decref(body);
    return 0;
}

int aegis_cli_heartbeat(const struct aegis_cli *cli, int argc, char **argv)
{
    struct aegis_error error;
    char *agent;
    int status;

    if (argc != 2)
        return aegis_cli_misuse(cli, argv[0]);
    agent = aegis_setup_agent(cli, argv[1], &error);
    if (agent == NULL)
        return aegis_cli_fail(cli, &error);
    status = tell(cli, "heartbeat", json_pack("{s:s}", "agent", agent), "noted");
    free(agent);
    return status;
}

int aegis_cli_revoke(const struct aegis_cli *cli, int argc, char **argv)
{
    static const struct option options[] = {{"reason", required_argument, NULL, 'r'}, {0}};
    const char *reason = "revoked by the operator";
    struct aegis_error error;
    char *agent;
    int status;

    optind = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option != 'r')
            return aegis_cli_misuse(cli, "revoke");
        reason = optarg;
    }
    if (optind + 1 != argc)
        return aegis_cli_misuse(cli, "revoke");
    agent = aegis_setup_agent(cli, argv[optind], &error);
    if (agent == NULL)
        return aegis_cli_fail(cli, &error);
    status = tell(cli, "revoke", json_pack("{s:s,s:s}", "key", agent, "reason", reason),
                  "revoked: nothing more is paid with this agent's key");
    free(agent);
    return status;
}

int aegis_cli_resume(const struct aegis_cli *cli, int argc, char **argv)
{
    if (argc != 1)
        return aegis_cli_misuse(cli, argv[0]);
    return tell(cli, "resume", json_pack("{s:s}", "what", "clock"), "resumed");
}

int aegis_cli_reload(const struct aegis_cli *cli, int argc, char **argv)
{
    struct aegis_error error;
    bool running;

    if (argc != 1)
        return aegis_cli_misuse(cli, argv[0]);
    if (!aegis_cli_reload_gate(cli, &running, &error))
        return aegis_cli_fail(cli, &error);
    if (!running) {
        aegis_error_set(&error, "no gate runs in %s", cli->home);
        return aegis_cli_fail(cli, &error);
    }
    if (cli->json)
        return aegis_cli_print_json(json_pack("{s:b}", "reloaded", 1));
    puts("reloaded");
    return 0;
}

int aegis_cli_stop(const struct aegis_cli *cli, int argc, char **argv)
{
    pid_t pid = aegis_lock_holder(cli->home);
    int64_t end = aegis_clock_boot() + STOP_MS;
    struct aegis_error error;

    if (argc != 1)
        return aegis_cli_misuse(cli, argv[0]);
    if (pid <= 0) {
        aegis_error_set(&error, "no gate runs in %s", cli->home);
        return aegis_cli_fail(cli, &error);
    }
    if (kill(pid, SIGTERM) != 0) {
        aegis_error_set(&error, "process %d cannot be told: %s", (int)pid, strerror(errno));
        return aegis_cli_fail(cli, &error);
    }
    while (aegis_lock_holder(cli->home) == pid) {
        if (aegis_clock_boot() > end) {
            aegis_error_set(&error, "the gate (process %d) still runs", (int)pid);
            return aegis_cli_fail(cli, &error);
        }
        poll(NULL, 0, LOOK_AGAIN_MS);
    }
    if (cli->json)
        return aegis_cli_print_json(json_pack("{s:b}", "stopped", 1));
    puts("stopped");
    return 0;
}
