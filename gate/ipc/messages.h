/* Every message that processes exchange, typed. Who may send which is decided by the receiver's table; the
 * fields are in messages.c, and README.md has the drawing. */
#ifndef AEGIS_IPC_MESSAGES_H
#define AEGIS_IPC_MESSAGES_H

#include "gate/base/json.h"

struct aegis_message {
    const char *name;
    const struct aegis_json_field *fields; /* besides `type` */
};

/* supervisor -> any process, over its control channel:
 * configure: generation, config (this process's own part);
 * peer: kind, index, and a descriptor: a new channel to that process;
 * listen: name, and a descriptor: a listening socket (worker, keeper, courier);
 * ping: number;
 * stop: deadline_ms: finish what runs, then exit 0. */
extern const struct aegis_message aegis_message_configure;
extern const struct aegis_message aegis_message_peer;
extern const struct aegis_message aegis_message_listen;
extern const struct aegis_message aegis_message_ping;
extern const struct aegis_message aegis_message_stop;
/* any process -> supervisor:
 * ready: generation (that configuration is in force);
 * failed: generation, error (it is not, the old one stays);
 * pong: number. */
extern const struct aegis_message aegis_message_ready;
extern const struct aegis_message aegis_message_failed;
extern const struct aegis_message aegis_message_pong;

/* worker -> keeper */
extern const struct aegis_message aegis_message_identify;
extern const struct aegis_message aegis_message_authorize;
extern const struct aegis_message aegis_message_outcome;
/* keeper -> worker */
extern const struct aegis_message aegis_message_identified;
extern const struct aegis_message aegis_message_authorized;
extern const struct aegis_message aegis_message_denied;
extern const struct aegis_message aegis_message_forget;

/* keeper -> judge, judge -> keeper */
extern const struct aegis_message aegis_message_judge;
extern const struct aegis_message aegis_message_observe;
extern const struct aegis_message aegis_message_loaded;
extern const struct aegis_message aegis_message_need;
extern const struct aegis_message aegis_message_verdict;
/* worker -> judge, judge -> worker */
extern const struct aegis_message aegis_message_check;
extern const struct aegis_message aegis_message_checked;
/* judge -> runner, runner -> judge */
extern const struct aegis_message aegis_message_run;
extern const struct aegis_message aegis_message_ran;

/* keeper -> witness, witness -> keeper */
extern const struct aegis_message aegis_message_watch;
extern const struct aegis_message aegis_message_unwatch;
extern const struct aegis_message aegis_message_proof;

/* keeper -> courier */
extern const struct aegis_message aegis_message_grew;

/* command line -> keeper, keeper -> command line */
extern const struct aegis_message aegis_message_command;
extern const struct aegis_message aegis_message_answer;

#endif
