/* Where things stand when nobody says. */
#ifndef AEGIS_DAEMON_HOME_H
#define AEGIS_DAEMON_HOME_H

/* AEGIS_HOME, else ~/.ows/aegis. The caller frees. */
char *aegis_home_default(void);

/* The folder above `home` when it has wallets, else ~/.ows. The caller frees. */
char *aegis_vault_default(const char *home);

/* `path` made absolute: `~/` stands for the user's folder, anything else that is relative stands in `folder`.
 * The caller frees. */
char *aegis_home_expand(const char *path, const char *folder);

/* The same, relative to the working folder. */
char *aegis_home_expand_here(const char *path);

#endif
