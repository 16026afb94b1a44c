#include "gate/daemon/home.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gate/base/text.h"

static const char *user_folder(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user;

    if (home != NULL && home[0] == '/')
        return home;
    user = getpwuid(getuid());
    return user != NULL && user->pw_dir[0] == '/' ? user->pw_dir : "/";
}

char *aegis_home_expand(const char *path, const char *folder)
{
    if (path[0] == '/')
        return aegis_strdup(path);
    if (strncmp(path, "~/", 2) == 0)
        return aegis_format("%s/%s", user_folder(), path + 2);
    return aegis_format("%s/%s", folder, path);
}

char *aegis_home_expand_here(const char *path)
{
    char *here = getcwd(NULL, 0), *out = aegis_home_expand(path, here == NULL ? "" : here);

    free(here);
    return out;
}

char *aegis_home_default(void)
{
    const char *home = getenv("AEGIS_HOME");

    if (home == NULL || home[0] == '\0')
        return aegis_format("%s/.ows/aegis", user_folder());
    return aegis_home_expand_here(home);
}

char *aegis_vault_default(const char *home)
{
    char *above = aegis_strdup(home), *wallets, *slash;
    struct stat status;
    bool there;

    while ((slash = strrchr(above, '/')) != NULL && slash[1] == '\0' && slash != above)
        *slash = '\0';
    if (slash != NULL)
        *slash = '\0';
    wallets = aegis_format("%s/wallets", above);
    there = stat(wallets, &status) == 0 && S_ISDIR(status.st_mode);
    free(wallets);
    if (there)
        return above;
    free(above);
    return aegis_format("%s/.ows", user_folder());
}
