/* SPDX-License-Identifier: MIT */
/*
 * What the control domain's programs tell each other about guests: one JSON file a guest,
 * /run/xen-lite/domains/<domid>.json, written by xl-lite and read by xl-lite and xl-dmd. It is
 * replaced as a whole, so a reader never sees half of it.
 */
#ifndef LIBS_GUEST_STATE_H
#define LIBS_GUEST_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_RUN_DIR     "/run/xen-lite"
#define STATE_DOMAIN_DIR  STATE_RUN_DIR "/domains"
#define STATE_CONSOLE_DIR STATE_RUN_DIR "/console"

#define STATE_NAME_MAX 64 /* characters of a guest's name, without the terminating 0 */

/*
 * Members of the file have the names of the fields. A guest that is still being built has "ready":
 * false, and neither console_port nor console_gfn; xl-dmd leaves it alone until a later version of
 * the file says true.
 */
struct guest_state {
    unsigned domid;
    char name[STATE_NAME_MAX + 1];
    char uuid[37];
    bool ready;
    uint32_t console_port; /* HVM_PARAM_CONSOLE_EVTCHN: the guest's port, to be bound with
                              bind_interdomain */
    uint64_t console_gfn;  /* HVM_PARAM_CONSOLE_PFN */
    bool store;            /* known to xenstored */
    char on_poweroff[16], on_reboot[16], on_crash[16];
    char *config_file; /* as the user named it, made absolute; owned, may be NULL */
    char *config; /* the whole configuration text, with what the command line added; owned, may be
                     NULL */
    int64_t created; /* seconds since the epoch */
    int64_t creator; /* process that builds or watches the guest, or 0 */
};

/*
 * Writes the file of state->domid in dir (normally STATE_DOMAIN_DIR), creating the directory with
 * mode 0700. Returns 0 or a negative errno; on error the former file stays as it was.
 */
int guest_state_write(const char *dir, const struct guest_state *state);

/*
 * Reads the file of domid in dir. Refuses (-EPERM) files that neither root nor the caller owns or
 * that others can write, and (-EINVAL) contents that are no such state. The caller frees with
 * guest_state_free(), also after an error.
 */
int guest_state_read(const char *dir, unsigned domid, struct guest_state *state);

/* Removes the file. That there is none is no error. */
int guest_state_remove(const char *dir, unsigned domid);

/* Frees what the fields own and clears the structure. */
void guest_state_free(struct guest_state *state);

/*
 * Takes the lock under which names are given away (a file beside dir). Returns a descriptor whose
 * closing releases it, or a negative errno. Waits at most timeout_ms.
 */
int guest_state_lock(const char *run_dir, unsigned timeout_ms);

/* Creates path and its parents with the given mode (existing ones are left alone). Returns 0 or a
 * negative errno. */
int make_directories(const char *path, unsigned mode);

#endif
