/* Every message that processes exchange, typed. Who may send which is decided by the receiver's table; the fields are in
 * messages.c, and README.md has the drawing. */
#ifndef AEGIS_IPC_MESSAGES_H
#define AEGIS_IPC_MESSAGES_H

#include "gate/base/json.h"

struct aegis_message {
    const char *name;
    const struct aegis_json_field *fields; /* besides `type` */
};

/* supervisor -> any process, over its control channel */
extern const struct aegis_message aegis_message_configure; /* generation, config: this process's own part */
extern const struct aegis_message aegis_message_peer;      /* kind, index; + descriptor: a new channel to that process */
extern const struct aegis_message aegis_message_listen;    /* name; + descriptor: a listening socket (worker, keeper, courier) */
extern const struct aegis_message aegis_message_ping;      /* number */
extern const struct aegis_message aegis_message_stop;      /* deadline_ms: finish what runs, then exit 0 */
/* any process -> supervisor */
extern const struct aegis_message aegis_message_ready; /* generation: that configuration is in force */
extern const struct aegis_message aegis_message_failed; /* generation, error: it is not, the old one stays */
extern const struct aegis_message aegis_message_pong;  /* number */

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
