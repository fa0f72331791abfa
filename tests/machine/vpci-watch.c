/* SPDX-License-Identifier: MIT */
/*
 * The control domain's end of pci-guest.c: looks at the page through which the guest talks, lets it go on after each round, and says
 * what came of it, a line "NAME VALUE" each.
 *
 * vpci-watch DOMID cost      figures of a round while nobody listens to traps, and of one while somebody does
 * vpci-watch DOMID hostile   audits after each round, until the guest has ended
 * vpci-watch DOMID stop      makes the guest end, and waits for it
 * vpci-watch DOMID status    what the page says
 * vpci-watch DOMID until COUNTER N   waits until the counter (commands, arrivals, writes) has reached N
 * vpci-watch DOMID requests  the hypervisor's counters of requests to the device model
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>

#include "libs/xenlite.h"
#include "pci-guest.h"

#define PATIENCE_S 60

static xc_interface *xch;
static uint32_t domid;
static struct pci_guest_page *page;
static bool hostile_guest;

static void die(const char *what)
{
    fprintf(stderr, "vpci-watch: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void nap(long us)
{
    struct timespec t = { 0, us * 1000 };

    nanosleep(&t, NULL);
}

static bool late(time_t since)
{
    return time(NULL) - since > PATIENCE_S;
}

static int status(void)
{
    printf("state %u\nrounds %u\nops0 %" PRIu64 "\nops1 %" PRIu64 "\nwrites %" PRIu64
           "\nwrong %" PRIu64 "\nirqs0 %" PRIu64 "\nirqs1 %" PRIu64 "\ncommands %" PRIu64
           "\narrivals %" PRIu64 "\n",
           page->state, page->round, page->ops[0], page->ops[1], page->ops[0] + page->ops[1],
           page->wrong, page->irqs[0], page->irqs[1], page->commands, page->arrivals);
    printf("detail %#" PRIx64 " %#" PRIx64 " %#" PRIx64 " %#" PRIx64 "\ntext %.255s\n",
           page->detail[0], page->detail[1], page->detail[2], page->detail[3], page->text);
    return page->state == PCI_GUEST_FAILED;
}

/* True when there is a round to acknowledge, false when the guest has ended. */
static bool next_round(const struct xenlite_trace_session *session)
{
    const time_t since = time(NULL);
    struct xenlite_trap_record *records;
    uint64_t lost;
    unsigned nr;

    while (page->round == page->ack && page->state <= PCI_GUEST_RUNS && !late(since)) {
        /* Without a listener rarely: the daemon shall have the control domain to itself while it is measured. */
        nap(session || hostile_guest ? 500 : 200000);
        /* A full ring costs less: it is kept empty, as a listener does. */
        if (session && !xenlite_trace_read_all(xch, session, &records, &nr, &lost))
            free(records);
    }
    if (page->state > PCI_GUEST_RUNS)
        return false;
    if (page->round == page->ack) {
        errno = ETIMEDOUT;
        status();
        die("the guest's next round");
    }
    return true;
}

/* ---- costs ---- */

/* The next round's end; the one after it begins once this has returned and been followed by another call. */
static bool let_go(const struct xenlite_trace_session *session)
{
    static bool again;

    if (again)
        page->ack++;
    again = true;
    return next_round(session);
}

static uint64_t traps(void)
{
    struct xenlite_trap_region *list;
    uint64_t sum = 0;
    unsigned nr;

    if (xenlite_trap_regions(xch, domid, &list, &nr))
        die("trap counters");
    /* The guest sleeps by its local APIC's timer. */
    for (unsigned i = 0; i < nr; i++)
        if (strcmp(list[i].name, "vlapic"))
            sum += list[i].reads + list[i].writes;
    free(list);
    return sum;
}

static void print_figures(const char *when)
{
    for (unsigned i = 0; i < PCI_GUEST_FIGURES && page->figure[i].name[0]; i++)
        printf("%s-%.31s %" PRIu64 "\n", when, page->figure[i].name, page->figure[i].cost);
}

static int cost(void)
{
    struct xenlite_trace_session session;
    uint64_t before;

    if (!let_go(NULL))
        return status();
    before = traps();
    if (!let_go(NULL))
        return status();
    printf("bar-traps %" PRIu64 "\n", traps() - before);
    if (!let_go(NULL))
        return status();
    print_figures("silent");
    if (xenlite_trace_start(xch, &session))
        die("listening to traps");
    for (int i = 0; i < 3; i++)
        if (!let_go(&session))
            return status();
    print_figures("recorded");
    xenlite_trace_stop(xch, &session);
    page->stop = 1;
    return 0;
}

/* ---- audit ---- */

static bool audit(void)
{
    struct xenlite_breach breach[4];
    struct xenlite_audit_run run;

    if (xenlite_audit(xch, breach, 4, &run))
        die("audit");
    for (unsigned i = 0; i < run.nr; i++)
        printf("breach A%u domain %u gfn %#" PRIx64 " mfn %#" PRIx64 ": %s\n", breach[i].sentence,
               breach[i].domid, breach[i].gfn, breach[i].mfn, breach[i].text);
    return !run.breaches;
}

static int hostile(void)
{
    unsigned audits = 0;
    bool clean = true;

    hostile_guest = true;
    while (next_round(NULL)) {
        clean &= audit();
        audits++;
        page->ack++;
    }
    clean &= audit();
    printf("audits %u\nclean %d\n", audits, clean);
    return status() || !clean;
}

/* ---- the rest ---- */

static int stop(void)
{
    const time_t since = time(NULL);

    page->stop = 1;
    while (page->state <= PCI_GUEST_RUNS && !late(since))
        nap(1000);
    return status() || page->state != PCI_GUEST_DONE;
}

static uint64_t named(const char *name)
{
    if (!strcmp(name, "commands"))
        return page->commands;
    if (!strcmp(name, "arrivals"))
        return page->arrivals;
    return page->ops[0] + page->ops[1];
}

static int until(const char *name, uint64_t n)
{
    const time_t since = time(NULL);

    while (named(name) < n && page->state != PCI_GUEST_FAILED && !late(since))
        nap(1000);
    printf("%s %" PRIu64 "\n", name, named(name));
    return named(name) < n;
}

static int requests(void)
{
    struct xenlite_ioreq_statistics s;

    if (xenlite_ioreq_statistics(xch, domid, &s))
        die("counters of requests");
    printf("forwarded %" PRIu64 "\nwritten %" PRIu64 "\nbound %" PRIu64 "\ndropped %" PRIu64
           "\ndenied %" PRIu64 "\nexpired %" PRIu64 "\npresented %" PRIu64 "\nstale %" PRIu64
           "\nwait-max-ms %" PRIu64 "\nservers %u\nwaiting %u\n",
           s.forwarded, s.written, s.bound, s.dropped, s.denied, s.expired, s.presented, s.stale,
           s.wait_max_ns / 1000000, s.servers, s.waiting);
    return 0;
}

int main(int argc, char **argv)
{
    xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
    xen_pfn_t frame = PCI_GUEST_PAGE >> 12;
    int error = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    xch = xc_interface_open(NULL, NULL, 0);
    if (argc < 3 || !xch || !memory)
        die("usage: vpci-watch DOMID cost|hostile|stop|status|until|requests");
    domid = (uint32_t)atoi(argv[1]);
    page = xenforeignmemory_map(memory, domid, PROT_READ | PROT_WRITE, 1, &frame, &error);
    if (!page || error)
        die("the guest's page");
    if (!strcmp(argv[2], "cost"))
        return cost();
    if (!strcmp(argv[2], "hostile"))
        return hostile();
    if (!strcmp(argv[2], "stop"))
        return stop();
    if (!strcmp(argv[2], "until") && argc > 4)
        return until(argv[3], strtoull(argv[4], NULL, 0));
    if (!strcmp(argv[2], "requests"))
        return requests();
    return status();
}
