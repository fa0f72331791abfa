/* SPDX-License-Identifier: MIT */
/*
 * Between the two files of the software VT-d unit.
 */
#ifndef XL_TESTS_VTD_MODEL_PRIV_H
#define XL_TESTS_VTD_MODEL_PRIV_H

#include "vtd_model.h"

uint64_t model_mem64(struct vtd_model *m, uint64_t pa);
/* Keeps the first thing that the driver did wrong. */
void model_violation(struct vtd_model *m, const char *what);

#endif
