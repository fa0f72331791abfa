/* SPDX-License-Identifier: MIT */
/*
 * Reads guest.cfg from a file, and checks the files that it names (guest_cfg.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest_cfg.h"

/* Replaces a path by its absolute form and refuses what cannot be read. */
static int check_file(struct guest_cfg *cfg, FILE *report, const char *key, int line, char **path)
{
    char *absolute = realpath(*path, NULL);
    struct stat st;
    int rc = 0;

    if (absolute == NULL || stat(absolute, &st) != 0 || access(absolute, R_OK) != 0) {
        rc = guest_cfg_error(cfg, report, line, "%s '%s': %s", key, *path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        rc = guest_cfg_error(cfg, report, line, "%s '%s' is no regular file", key, *path);
    } else if (st.st_size == 0) {
        rc = guest_cfg_error(cfg, report, line, "%s '%s' is empty", key, *path);
    }
    if (rc != 0) {
        free(absolute);
        return rc;
    }
    free(*path);
    *path = absolute;
    return 0;
}

static ssize_t read_text(const char *path, char **text)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t used = 0, n = 0;

    if (fd < 0) {
        return -errno;
    }
    *text = malloc(CFG_MAX_TEXT + 1);
    if (*text == NULL) {
        close(fd);
        return -ENOMEM;
    }
    while (used <= CFG_MAX_TEXT &&
           (n = read(fd, *text + used, (size_t)(CFG_MAX_TEXT + 1 - used))) > 0) {
        used += n;
    }
    if (n < 0) {
        used = -errno;
    } else if (used > CFG_MAX_TEXT) {
        used = -EFBIG;
    }
    close(fd);
    return used;
}

int guest_cfg_load(struct guest_cfg *cfg, const char *path, char *const *overrides, unsigned nr,
                   FILE *report)
{
    char *text = NULL;
    const ssize_t len = read_text(path, &text);
    int rc;

    memset(cfg, 0, sizeof(*cfg));
    if (len < 0) {
        fprintf(report, "%s: error: %s\n", path, strerror((int)-len));
        free(text);
        return -EINVAL;
    }
    rc = guest_cfg_parse(cfg, path, text, (size_t)len, overrides, nr, report);
    free(text);
    if (rc == 0) {
        rc = check_file(cfg, report, "kernel", cfg->kernel_line, &cfg->kernel);
    }
    if (rc == 0 && cfg->ramdisk != NULL) {
        rc = check_file(cfg, report, "ramdisk", cfg->ramdisk_line, &cfg->ramdisk);
    }
    return rc;
}
