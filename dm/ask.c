/* SPDX-License-Identifier: MIT */
/* Commands that the second thread answers, see ask.h. */
#include "dm/ask.h"

#include <stdlib.h>

#include <json-c/json.h>

#include "dm/dmd.h"
#include "dm/qmp.h"
#include "dm/worker.h"

struct question {
    struct job job;
    ask_fn *ask;
    struct subject subject;
    struct qmp_later *later;
    struct json_object *answer; /* NULL: error says why */
    struct qmp_error error;
};

static void run(struct job *job, xc_interface *xch)
{
    struct question *question = (struct question *)job;

    question->answer = question->ask(xch, &question->subject, &question->error);
}

/* The client may have gone meanwhile, or be about to. */
static void done(struct job *job, bool ran)
{
    struct question *question = (struct question *)job;

    if (ran)
        qmp_answer(question->later, question->answer, &question->error);
    else
        qmp_forget(question->later);
    if (!ran)
        json_object_put(question->answer);
    free(question);
}

struct json_object *ask_later(struct dmd *dmd, ask_fn *ask, const struct subject *subject,
                              struct qmp_error *error)
{
    struct question *question = calloc(1, sizeof(*question));

    if (question)
        question->later = qmp_defer(error);
    if (!question || !question->later) {
        free(question);
        qmp_set_error(error, NULL, "not enough memory");
        return NULL;
    }
    question->job.run = run;
    question->job.done = done;
    question->job.walks = true;
    question->ask = ask;
    question->subject = *subject;
    if (worker_submit(dmd->worker, &question->job, false))
        return NULL;
    qmp_forget(question->later);
    free(question);
    qmp_set_error(error, NULL, "too many requests wait for the hypervisor already");
    return NULL;
}
