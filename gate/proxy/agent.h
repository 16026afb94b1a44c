/* An agent's connection: who is on it, and the request that it is being answered. */
#ifndef AEGIS_PROXY_AGENT_H
#define AEGIS_PROXY_AGENT_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "gate/http/connection.h"
#include "gate/proxy/credential.h"
#include "gate/proxy/identity.h"
#include "gate/proxy/listener.h"
#include "gate/proxy/proxy.h"

struct aegis_agent {
    LIST_ENTRY(aegis_agent) link;
    SLIST_ENTRY(aegis_agent) left;
    struct aegis_proxy *proxy;
    struct aegis_listener *listener;
    struct aegis_http_connection *connection;
    struct aegis_settings *settings; /* whose limits the connection has */
    struct aegis_exchange *exchange; /* the request that is being answered, or NULL */
    bool one_too_many;               /* above the limit of connections: heard, and refused */
    bool has_uid;
    uid_t uid;
    char *tunnel; /* the authority it was opened to by CONNECT, or NULL */

    /* The credentials as they came with the last request, and whom the keeper took them for. A connection
     * that presents the same bytes again is not asked about again; the bytes are wiped when the connection
     * goes. */
    char credential[AEGIS_CREDENTIAL_MAX];
    size_t credential_length; /* 0: none were presented */
    struct aegis_identity *identity;
};

/* Takes the connected socket over. */
void aegis_agent_new(struct aegis_listener *listener, int fd, bool has_uid, uid_t uid);

/* The one way out: ends the request that is under way, closes, and forgets. `why` is for the log. */
void aegis_agent_close(struct aegis_agent *agent, const char *why);

/* Frees what was closed in an earlier turn of the loop. */
void aegis_agent_reap(struct aegis_agent *agent);

enum aegis_agent_credential {
    AEGIS_CREDENTIAL_FINE,      /* the identity, if there is one, is theirs; else ask with
                                   aegis_agent_identify_body */
    AEGIS_CREDENTIAL_MISSING,   /* this listener wants a token */
    AEGIS_CREDENTIAL_MALFORMED, /* more than one field, or no form that we know */
};

/* Reads the credentials of a request; finds the identity in memory if it can. */
enum aegis_agent_credential aegis_agent_present(struct aegis_agent *agent, const struct aegis_http_head *head,
                                                int64_t now);

/* {listener, token?, uid?}: how the keeper learns who asks. A new object. */
json_t *aegis_agent_credential_json(const struct aegis_agent *agent);

/* What the keeper answered to it. */
void aegis_agent_identified(struct aegis_agent *agent, const json_t *identified, int64_t now);

#endif
