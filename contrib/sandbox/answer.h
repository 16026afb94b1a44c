/* Answers over evhttp. Each carries `X-Aegis-Sandbox: true`, so that nobody takes play money for money. */
#ifndef AEGIS_SANDBOX_ANSWER_H
#define AEGIS_SANDBOX_ANSWER_H

#include <event2/event.h>
#include <event2/http.h>
#include <jansson.h>

/* Every answer ends the request, now or (stream, late, cut) when its time has come; a client that left
 * meanwhile is noticed. `json` is consumed. */
void sandbox_answer_json(struct evhttp_request *request, int status, json_t *json);
void sandbox_answer_text(struct evhttp_request *request, int status, const char *type, const void *bytes,
                         size_t size);
void sandbox_answer_cut(struct event_base *base, struct evhttp_request *request);
void sandbox_answer_late(struct event_base *base, struct evhttp_request *request, json_t *json, unsigned ms);

/* `count` server-sent events, one every `ms`. */
void sandbox_answer_events(struct event_base *base, struct evhttp_request *request, unsigned count,
                           unsigned ms);

/* Base64 of the object's JSON as a header of the answer. `json` is borrowed. */
void sandbox_answer_header(struct evhttp_request *request, const char *name, const json_t *json);

#endif
