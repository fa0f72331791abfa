/* SPDX-License-Identifier: MIT */
/* The daemon as a device model: requests and decisions, restarts in the middle of a storm, devices that come and go. */
#include "dm_rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <json-c/json.h>

#include "dm/control.h"
#include "dm/devices.h"
#include "dm/moves.h"
#include "dm/worker.h"

int pci_tests(void);

#define NVME      0x28u
#define NEGOTIATE "{\"execute\": \"qmp_capabilities\"}\n"

/* AER is not there: device-specific. 44: PM control; 68: DevCtl; b4: vendor; c: cache line size. */
static const uint16_t registers[] = { 0x44, 0x68, 0xb4, 0x0c, 0x100 };

static struct fake_guest *guest_with_device(struct rig *rig)
{
    struct fake_guest *guest = fake_add(rig->hv, 7, 7);

    guest->io.root = true;
    guest->io.kind = XENLITE_IOREQ_CONFIG;
    guest->io.size = 2;
    guest->io.regs = registers;
    guest->io.nr_regs = 5;
    guest->io.hw_sbdf = NVME;
    fake_device(rig->hv, NVME, 7, 1);
    rig_scan(rig);
    assert_non_null(model_device(dmd_find(rig->dmd, 7)->model, NVME));
    return guest;
}

static void pump_until(struct rig *rig, const struct fake_vcpu *v, uint32_t done)
{
    const time_t end = time(NULL) + 20;

    while (v->done < done && !fake_pci(rig->hv)->dead && time(NULL) < end)
        event_base_loop(rig->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void test_decisions(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_with_device(rig);
    struct fake_vcpu *v = &guest->io.vcpu[0];
    const struct device *device = model_device(dmd_find(rig->dmd, 7)->model, NVME);

    /* Request n goes to register n % 5: DevCtl first. */
    fake_requests(rig->hv, guest, 0, 1);
    pump_until(rig, v, 1);
    assert_int_equal(v->latest.decision, XENLITE_IOREQ_WRITE);
    assert_int_equal(v->latest.mask, 0x791f);
    assert_int_equal(v->latest.value, 1);
    fake_requests(rig->hv, guest, 0, 2);
    pump_until(rig, v, 2);
    assert_int_equal(v->latest.decision, XENLITE_IOREQ_DENY);
    fake_requests(rig->hv, guest, 0, 3);
    pump_until(rig, v, 3);
    assert_int_equal(v->latest.mask, 0xffff);
    fake_requests(rig->hv, guest, 0, 5);
    pump_until(rig, v, 5);
    assert_int_equal(v->latest.mask, 0x9f03);
    assert_int_equal(v->latest.w1c, 0x8000);
    assert_true(v->latest.reason >= REASON_RULES);
    assert_int_equal(device->written, 1);
    assert_int_equal(device->partly, 2);
    assert_int_equal(device->refused, 2);
}

/* The toolstack's file says which interrupt the pin is; who starts later finds it connected. */
static void test_intx(void **state)
{
    struct rig *rig = *state;
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/assignable", rig->run);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/assignable/0000:00:05.0.gsi", rig->run);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("21\n", file);
    fclose(file);
    guest_with_device(rig);
    assert_int_equal(fake_pci(rig->hv)->device[0].gsi, 21);
    rig_stop_daemon(rig);
    rig_start_daemon(rig);
    rig_scan(rig);
    assert_int_equal(fake_pci(rig->hv)->device[0].connected, 1);
}

/* The hypervisor remembers who is permissive, also for a daemon that starts later; so does the policy's list. */
static void test_permissive(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_with_device(rig);
    struct fake_vcpu *v = &guest->io.vcpu[0];

    rig_stop_daemon(rig);
    fake_pci(rig->hv)->device[0].entry.flags = XENLITE_PCI_IS_PERMISSIVE;
    rig_start_daemon(rig);
    guest->io.regs = &registers[2];
    guest->io.nr_regs = 1;
    fake_requests(rig->hv, guest, 0, 1);
    pump_until(rig, v, 1);
    assert_int_equal(v->latest.decision, XENLITE_IOREQ_WRITE);
    assert_int_equal(v->latest.mask, 0xffff);
}

static void one_message(struct rig *rig, struct fake_guest *guest, uint64_t address, uint32_t data,
                        uint32_t decision, uint32_t reason)
{
    struct fake_vcpu *v = &guest->io.vcpu[1];

    guest->io.kind = XENLITE_IOREQ_MSIX;
    guest->io.address = address;
    guest->io.message = data;
    fake_requests(rig->hv, guest, 1, v->sent + 1);
    pump_until(rig, v, v->sent);
    assert_int_equal(v->done, v->sent);
    assert_int_equal(v->latest.decision, decision);
    assert_int_equal(v->latest.reason, reason);
}

static void test_messages(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_with_device(rig);

    one_message(rig, guest, 0xfee00000, 0x31, XENLITE_IOREQ_BIND, REASON_MESSAGE);
    one_message(rig, guest, 0xfeeff00c, 0x1fe, XENLITE_IOREQ_BIND, REASON_MESSAGE);
    one_message(rig, guest, 0x1fee00000, 0x31, XENLITE_IOREQ_DENY, REASON_MESSAGE_ADDRESS);
    one_message(rig, guest, 0xfef00000, 0x31, XENLITE_IOREQ_DENY, REASON_MESSAGE_ADDRESS);
    one_message(rig, guest, 0, 0x31, XENLITE_IOREQ_DENY, REASON_MESSAGE_ADDRESS);
    one_message(rig, guest, 0xfee00000, 0x231, XENLITE_IOREQ_DENY, REASON_MESSAGE_MODE);
    one_message(rig, guest, 0xfee00000, 0x431, XENLITE_IOREQ_DENY, REASON_MESSAGE_MODE);
    one_message(rig, guest, 0xfee00000, 0xf, XENLITE_IOREQ_DENY, REASON_MESSAGE_VECTOR);
    /* The hypervisor has no entry left: the guest gets an answer all the same. */
    guest->io.complete_error = ENOSPC;
    one_message(rig, guest, 0xfee00000, 0x31, XENLITE_IOREQ_DENY, REASON_MESSAGE_BIND);
    guest->io.kind = XENLITE_IOREQ_PORT;
    fake_requests(rig->hv, guest, 0, 1);
    pump_until(rig, &guest->io.vcpu[0], 1);
    assert_int_equal(guest->io.vcpu[0].latest.reason, REASON_NOBODY);
}

/* Requests that make no sense, or are about what nobody knows, are dropped or refused, and never written. */
static void test_nonsense(void **state)
{
    static const uint16_t beyond[] = { 0x1000, 0xffff, 0x43 };
    struct rig *rig = *state;
    struct fake_guest *guest = guest_with_device(rig);
    struct fake_vcpu *v = &guest->io.vcpu[0];

    guest->io.regs = beyond;
    guest->io.nr_regs = 3;
    fake_requests(rig->hv, guest, 0, 3);
    pump_until(rig, v, 3);
    guest->io.regs = registers;
    for (unsigned size = 0; size < 256; size++) {
        guest->io.size = (uint8_t)size;
        if (size == 1 || size == 2 || size == 4)
            continue;
        fake_requests(rig->hv, guest, 0, v->sent + 1);
        pump_until(rig, v, v->sent);
    }
    guest->io.size = 2;
    guest->io.hw_sbdf = 0x30;
    fake_requests(rig->hv, guest, 0, v->sent + 1);
    pump_until(rig, v, v->sent);
    assert_int_equal(v->latest.reason, REASON_NO_DEVICE);
    assert_int_equal(v->done, v->sent);
    assert_int_equal(v->decision[XENLITE_IOREQ_WRITE], 0);
}

#define STORM 20000u

/*
 * Two vCPUs write all the time while the daemon is killed again and again, before a completion has reached the hypervisor or after:
 * each request is completed once, in its vCPU's order.
 */
static void test_storm(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_with_device(rig);
    struct fake_pci *pci = fake_pci(rig->hv);
    unsigned kills = 0;

    fake_requests(rig->hv, guest, 0, STORM);
    fake_requests(rig->hv, guest, 1, STORM);
    while (guest->io.vcpu[0].done < STORM || guest->io.vcpu[1].done < STORM) {
        pci->die_before = kills % 2;
        pci->die_in = (int)(kills * 7919 % 199);
        pump_until(rig, &guest->io.vcpu[0], STORM);
        pump_until(rig, &guest->io.vcpu[1], STORM);
        if (!pci->dead)
            break;
        rig_stop_daemon(rig);
        fake_killed(rig->hv);
        rig_start_daemon(rig);
        kills++;
    }
    pci->die_in = -1;
    pump_until(rig, &guest->io.vcpu[0], STORM);
    pump_until(rig, &guest->io.vcpu[1], STORM);
    assert_true(kills > 100);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(guest->io.vcpu[i].done, STORM);
        assert_int_equal(guest->io.vcpu[i].disorder, 0);
    }
}

static unsigned lines_with(const char *text, const char *what)
{
    unsigned n = 0;

    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

/* A guest that cannot be served yet is told of once a reason, and served when that has gone. */
static void test_no_server(void **state)
{
    static const char *const why = "domain-7 (domain 7): no ioreq server: ";
    struct rig *rig = *state;
    struct fake_guest *guest = fake_add(rig->hv, 7, 7);
    const char *messages;

    guest->io.root = true;
    guest->io.server_error = EMFILE;
    for (unsigned i = 0; i < 5; i++)
        rig_scan(rig);
    assert_null(dmd_find(rig->dmd, 7)->model);
    messages = rig_file(rig->run, "../messages");
    assert_int_equal(lines_with(messages, why), 1);
    assert_non_null(strstr(messages, "ulimit"));
    guest->io.server_error = ENOMEM;
    rig_scan(rig);
    rig_scan(rig);
    assert_int_equal(lines_with(rig_file(rig->run, "../messages"), why), 2);
    guest->io.server_error = 0;
    rig_scan(rig);
    assert_non_null(dmd_find(rig->dmd, 7)->model);
    assert_int_equal(lines_with(rig_file(rig->run, "../messages"), why), 2);
}

/* A guest that writes without end does not keep others waiting. */
static void test_fair(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *busy = guest_with_device(rig), *other = fake_add(rig->hv, 8, 8);

    other->io.root = true;
    other->io.kind = XENLITE_IOREQ_CONFIG;
    other->io.size = 4;
    other->io.regs = registers;
    other->io.nr_regs = 1;
    other->io.hw_sbdf = 0x38;
    fake_device(rig->hv, 0x38, 8, 1);
    rig_scan(rig);
    fake_requests(rig->hv, busy, 0, 0xffffffff);
    fake_requests(rig->hv, other, 0, 10);
    for (int i = 0; i < 10; i++)
        event_base_loop(rig->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_int_equal(other->io.vcpu[0].done, 10);
    busy->io.vcpu[0].last = 0;
}

/* ---- the socket ---- */

static int negotiated(struct rig *rig)
{
    int fd = rig_connect(rig, "control.sock");

    rig_send(rig, fd, NEGOTIATE);
    rig_expect(rig, fd, "\"return\"");
    return fd;
}

static void test_add_and_del(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = fake_add(rig->hv, 7, 7);
    struct fake_device *device = fake_device(rig->hv, NVME, 0, 0);
    int fd = negotiated(rig);

    guest->io.root = true;
    rig_send(rig, fd,
             "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 7, \"bdf\": "
             "\"0000:00:05.0\", \"dry-run\": true}}");
    rig_expect(rig, fd, "\"dry-run\": true");
    assert_int_equal(device->entry.owner, 0);
    rig_send(rig, fd,
             "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 7, \"bdf\": \"00:05.0\", "
             "\"permissive\": true}}");
    rig_expect(rig, fd, "DEVICE_ADDED");
    rig_expect(rig, fd, "\"return\"");
    assert_int_equal(device->entry.owner, 7);
    assert_true(model_device(dmd_find(rig->dmd, 7)->model, NVME)->permissive);
    device->entry.flags |= XENLITE_PCI_QUARANTINED;
    rig_scan(rig);
    rig_scan(rig);
    rig_expect(rig, fd, "DEVICE_QUARANTINED");
    rig_send(
        rig, fd,
        "{\"execute\": \"device-del\", \"arguments\": {\"domid\": 7, \"bdf\": \"0000:00:05.0\"}}");
    rig_expect(rig, fd, "\"waiting\": true");
    assert_int_equal(device->slot_state, XENLITE_PCI_SLOT_ejecting);
    device->slot_state = XENLITE_PCI_SLOT_off;
    rig_expect(rig, fd, "DEVICE_DELETED");
    assert_int_equal(device->entry.owner, 0);
    rig_send(
        rig, fd,
        "{\"execute\": \"device-del\", \"arguments\": {\"domid\": 7, \"bdf\": \"0000:00:05.0\"}}");
    rig_expect(rig, fd, "DeviceNotFound");
    /* Force, and a guest that dies with an ejection under way. */
    rig_send(rig, fd,
             "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 7, \"bdf\": \"00:05.0\"}}");
    rig_expect(rig, fd, "\"return\"");
    rig_send(rig, fd,
             "{\"execute\": \"device-del\", \"arguments\": {\"domid\": 7, \"bdf\": \"00:05.0\", "
             "\"force\": true}}");
    rig_expect(rig, fd, "\"waiting\": false");
    rig_send(rig, fd,
             "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 7, \"bdf\": \"00:05.0\"}}");
    rig_expect(rig, fd, "\"return\"");
    rig_send(rig, fd,
             "{\"execute\": \"device-del\", \"arguments\": {\"domid\": 7, \"bdf\": \"00:05.0\"}}");
    rig_expect(rig, fd, "\"waiting\": true");
    fake_remove(guest);
    rig_scan(rig);
    rig_expect(rig, fd, "DOMAIN_REMOVED");
    close(fd);
}

/* The daemon is started anew while a guest takes its time to let a device go. */
static void test_ejection_goes_on(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = fake_add(rig->hv, 7, 7);
    struct fake_device *device = fake_device(rig->hv, NVME, 7, 1);
    int fd = negotiated(rig);

    guest->io.root = true;
    rig_scan(rig);
    rig_expect(rig, fd, "DEVICE_ADDED");
    rig_send(rig, fd, "{\"execute\": \"device-del\", \"arguments\": {\"domid\": 7, \"bdf\": \"00:05.0\"}}");
    rig_expect(rig, fd, "\"waiting\": true");
    rig_stop_daemon(rig);
    close(fd);
    rig_start_daemon(rig);
    fd = negotiated(rig);
    rig_settle(rig);
    assert_int_equal(device->slot_state, XENLITE_PCI_SLOT_ejecting);
    assert_int_equal(device->entry.owner, 7);
    device->slot_state = XENLITE_PCI_SLOT_off;
    rig_expect(rig, fd, "DEVICE_DELETED");
    assert_int_equal(device->entry.owner, 0);
    close(fd);
}

static void set_resetting(struct rig *rig, bool on)
{
    __atomic_store_n(&fake_pci(rig->hv)->resetting, on, __ATOMIC_RELEASE);
}

/* A device is being reset for a long time: the second thread waits for it. */
static void begin_reset(struct rig *rig, int fd, const char *request)
{
    struct timespec pause = { .tv_nsec = 100000 };

    rig_settle(rig);
    __atomic_store_n(&fake_pci(rig->hv)->waits, false, __ATOMIC_RELEASE);
    set_resetting(rig, true);
    rig_send(rig, fd, request);
    for (int i = 0; i < 20000 && !__atomic_load_n(&fake_pci(rig->hv)->waits, __ATOMIC_ACQUIRE); i++) {
        rig_pump(rig);
        nanosleep(&pause, NULL);
    }
    assert_true(__atomic_load_n(&fake_pci(rig->hv)->waits, __ATOMIC_ACQUIRE));
}

#define ADD_SECOND \
    "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 8, \"bdf\": \"00:06.0\"}, \"id\": \"add\"}"

/* While a device is reset, other guests' writes, consoles and clients get what they want; who asked waits, its next requests, too. */
static void test_reset_keeps_nobody(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_with_device(rig), *other = fake_add(rig->hv, 8, 8);
    struct fake_device *device = fake_device(rig->hv, 0x30, 0, 0);
    int fd = negotiated(rig), watcher = negotiated(rig), lister = negotiated(rig), console;

    other->io.root = true;
    rig_scan(rig);
    console = rig_connect(rig, "console/8.sock");
    begin_reset(rig, fd, ADD_SECOND "{\"execute\": \"query-version\", \"id\": \"next\"}");
    fake_requests(rig->hv, guest, 0, 1000);
    pump_until(rig, &guest->io.vcpu[0], 1000);
    assert_int_equal(guest->io.vcpu[0].done, 1000);
    fake_write(rig->hv, other, "still here\n");
    rig_expect(rig, console, "still here");
    rig_send(rig, watcher, "{\"execute\": \"query-domains\"}");
    rig_expect(rig, watcher, "domain-8");
    rig_send(rig, lister, "{\"execute\": \"query-pci\"}");
    /* Scans go on meanwhile, and do not pile up. */
    for (int i = 0; i < 100; i++)
        dmd_scan(rig->dmd, false);
    assert_int_equal(device->entry.owner, 0);
    set_resetting(rig, false);
    rig_expect(rig, fd, "DEVICE_ADDED");
    rig_expect(rig, fd, "\"id\": \"add\"");
    rig_expect(rig, fd, "\"id\": \"next\"");
    assert_int_equal(device->entry.owner, 8);
    rig_expect(rig, lister, "\"owner\": \"8\"");
    close(console);
    close(lister);
    close(watcher);
    close(fd);
}

/* Clients that go away leave what they asked for, up to a bound; the daemon ends in the middle of it. */
static void test_many_resets(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *other = fake_add(rig->hv, 8, 8);
    unsigned jobs = 0;
    int fd = negotiated(rig), kept;

    fake_device(rig->hv, 0x30, 0, 0);
    other->io.root = true;
    rig_scan(rig);
    begin_reset(rig, fd, ADD_SECOND);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX / 2; i++) {
        close(fd);
        rig_pump(rig);
        fd = negotiated(rig);
        rig_send(rig, fd, "{\"execute\": \"query-pci\"}");
        rig_pump(rig);
    }
    while (move_submit(move_new(rig->dmd, MOVE_LIST, NULL), false, NULL))
        assert_true(++jobs <= WORKER_JOBS_MAX);
    kept = fd;
    fd = negotiated(rig);
    rig_send(rig, fd, "{\"execute\": \"query-pci\"}");
    rig_expect(rig, fd, "too many requests about devices wait already");
    /* A guest that ends meanwhile. */
    fake_remove(other);
    dmd_scan(rig->dmd, false);
    set_resetting(rig, false);
    rig_settle(rig);
    close(kept);
    close(fd);
    fd = negotiated(rig);
    set_resetting(rig, true);
    rig_send(rig, fd, "{\"execute\": \"query-pci\"}{\"execute\": \"query-pci\"}");
    rig_pump(rig);
    set_resetting(rig, false);
    rig_stop_daemon(rig);
    close(fd);
    rig_start_daemon(rig);
    rig_settle(rig);
}

/* Requests of a device that nobody has told the daemon of wait for the next list, and others do not wait for them. */
static void test_unknown_device(void **state)
{
    struct rig *rig = *state;
    struct fake_guest *guest = guest_with_device(rig);
    struct fake_vcpu *v = guest->io.vcpu;

    set_resetting(rig, true);
    fake_device(rig->hv, 0x30, 7, 2);
    guest->io.hw_sbdf = 0x30;
    guest->io.nr_regs = 1; /* 44 */
    fake_requests(rig->hv, guest, 0, 1);
    guest->io.hw_sbdf = NVME;
    fake_requests(rig->hv, guest, 1, 1000);
    pump_until(rig, &v[1], 1000);
    assert_int_equal(v[1].done, 1000);
    assert_int_equal(v[0].done, 0);
    set_resetting(rig, false);
    pump_until(rig, &v[0], 1);
    assert_int_equal(v[0].latest.decision, XENLITE_IOREQ_WRITE);
    assert_non_null(model_device(dmd_find(rig->dmd, 7)->model, 0x30));
}

static void test_refusals(void **state)
{
    static const char *const bad[] = {
        "{\"execute\": \"device-add\"}",
        "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 7}}",
        "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 0, \"bdf\": \"00:05.0\"}}",
        "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 7, \"bdf\": \"00:05.8\"}}",
        "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 7, \"bdf\": \"00:05.0 \"}}",
        "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 7, \"bdf\": \"00:05.0\", "
        "\"slot\": 17}}",
        "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 7, \"bdf\": \"00:05.0\", "
        "\"permissive\": 1}}",
        "{\"execute\": \"query-p2m\"}",
        "{\"execute\": \"query-p2m\", \"arguments\": {\"domid\": 7, \"address\": -1}}",
        "{\"execute\": \"query-trap-records\", \"arguments\": {\"kind\": \"x\"}}",
        "{\"execute\": \"query-trap-records\", \"arguments\": {\"limit\": 1000000}}",
        "{\"execute\": \"trap-trace-start\", \"arguments\": {\"seconds\": 0}}",
        "{\"execute\": \"trap-trace-stop\"}",
        "{\"execute\": \"set-policy\"}",
        "{\"execute\": \"set-policy\", \"arguments\": {\"policy\": {}}}",
        "{\"execute\": \"set-policy\", \"arguments\": {\"policy\": [], \"reload\": true}}",
    };
    struct rig *rig = *state;
    int fd = negotiated(rig);

    guest_with_device(rig);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rig_send(rig, fd, bad[i]);
        rig_expect(rig, fd, "\"class\": \"GenericError\"");
    }
    fake_pci(rig->hv)->refusal =
        "0000:00:05.0 cannot move, because firmware reserved memory for it";
    rig_send(rig, fd,
             "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 7, \"bdf\": \"00:05.0\"}}");
    rig_expect(rig, fd, "reserved memory for it (stage reserved, rule DEVICE_RESERVED)");
    rig_send(rig, fd,
             "{\"execute\": \"device-add\", \"arguments\": {\"domid\": 9, \"bdf\": \"00:05.0\"}}");
    rig_expect(rig, fd, "DeviceNotFound");
    fake_pci(rig->hv)->missing = true;
    rig_send(rig, fd, "{\"execute\": \"audit\"}");
    rig_expect(rig, fd, "does not have this call");
    close(fd);
}

/* A policy given at run time holds at once, over a restart, and until the installed one is asked for again. */
static void test_policy(void **state)
{
    static const char set[] = "{\"execute\": \"set-policy\", \"arguments\": {\"policy\": "
                              "{\"version\": 1, \"rules\": [{\"name\": \"none\", "
                              "\"where\": \"anywhere\", \"strict\": \"none\", \"permissive\": "
                              "\"none\", \"deny\": \"nothing is written here\"}]}}}";
    struct rig *rig = *state;
    struct fake_guest *guest = guest_with_device(rig);
    struct fake_vcpu *v = &guest->io.vcpu[0];
    int fd = negotiated(rig);

    guest->io.nr_regs = 1;
    fake_requests(rig->hv, guest, 0, 1);
    pump_until(rig, v, 1);
    assert_int_equal(v->latest.decision, XENLITE_IOREQ_WRITE);
    rig_send(rig, fd, set);
    rig_expect(rig, fd, "\"rules\": 1");
    fake_requests(rig->hv, guest, 0, 2);
    pump_until(rig, v, 2);
    assert_int_equal(v->latest.decision, XENLITE_IOREQ_DENY);
    close(fd);
    rig_stop_daemon(rig);
    rig_start_daemon(rig);
    fake_requests(rig->hv, guest, 0, 3);
    pump_until(rig, v, 3);
    assert_int_equal(v->latest.decision, XENLITE_IOREQ_DENY);
    fd = negotiated(rig);
    rig_send(rig, fd, "{\"execute\": \"query-policy\"}");
    rig_expect(rig, fd, "nothing is written here");
    rig_send(rig, fd, "{\"execute\": \"set-policy\", \"arguments\": {\"reload\": true}}");
    rig_expect(rig, fd, "\"rules\": ");
    fake_requests(rig->hv, guest, 0, 4);
    pump_until(rig, v, 4);
    assert_int_equal(v->latest.decision, XENLITE_IOREQ_WRITE);
    close(fd);
}

static void test_trace(void **state)
{
    struct rig *rig = *state;
    struct fake_pci *pci = fake_pci(rig->hv);
    int fd = negotiated(rig);

    guest_with_device(rig);
    rig_send(rig, fd,
             "{\"execute\": \"trap-trace-start\", \"arguments\": {\"domid\": 7, \"seconds\": 5}}");
    rig_expect(rig, fd, "\"seconds\": 5");
    pci->records = 10;
    rig_expect(rig, fd, "TRAP_RECORDS");
    rig_expect(rig, fd, "an interrupt message to one of the guest's own vectors");
    rig_send(rig, fd,
             "{\"execute\": \"query-trap-records\", \"arguments\": {\"domid\": 7, \"limit\": 2}}");
    rig_expect(rig, fd, "\"tracing\": true");
    /* More than events take: told as lost, and the newest are kept. */
    pci->records = 30000;
    rig_send(rig, fd, "{\"execute\": \"trap-trace-stop\"}");
    rig_expect(rig, fd, "\"return\"");
    assert_false(pci->tracing);
    pci->tracing = true;
    rig_send(rig, fd, "{\"execute\": \"trap-trace-start\"}");
    rig_expect(rig, fd, "another program listens");
    close(fd);
}

#define T(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int pci_tests(void)
{
    const struct CMUnitTest tests[] = {
        T(test_decisions),
        T(test_intx),
        T(test_permissive),
        T(test_messages),
        T(test_nonsense),
        T(test_storm),
        T(test_no_server),
        T(test_fair),
        T(test_add_and_del),
        T(test_ejection_goes_on),
        T(test_reset_keeps_nobody),
        T(test_many_resets),
        T(test_unknown_device),
        T(test_refusals),
        T(test_policy),
        T(test_trace),
    };

    return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
