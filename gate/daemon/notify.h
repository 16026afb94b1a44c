/* Telling systemd (or whoever set NOTIFY_SOCKET) how it goes; nobody there is fine. */
#ifndef AEGIS_DAEMON_NOTIFY_H
#define AEGIS_DAEMON_NOTIFY_H

/* "READY=1", "RELOADING=1", "STOPPING=1", "STATUS=..." as in sd_notify(3). */
void aegis_notify(const char *state);

#endif
