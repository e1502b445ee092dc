/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scsi_pr - what PERSISTENT RESERVE OUT does to a state, and what a state
 * forbids.  SPC-3, 5.6 and 6.12.  Machines are named by their places.
 */
#ifndef DEVICES_SCSI_SCSI_PR_H
#define DEVICES_SCSI_SCSI_PR_H

#include "backend/reservations.h"
#include "devices/scsi/scsi_internal.h"

enum pr_action {
	PR_REGISTER, PR_RESERVE, PR_RELEASE, PR_CLEAR, PR_PREEMPT,
	PR_PREEMPT_AND_ABORT, PR_REGISTER_AND_IGNORE_KEY,
	PR_REGISTER_AND_MOVE,
};

/* A command and its parameter list, each field as it came. */
struct pr_out {
	unsigned action;	/* enum pr_action, or none of them */
	unsigned scope, type;
	uint64_t key, action_key;
	bool aptpl, spec_i_pt;
	/* Of REGISTER AND MOVE: the port that is to hold the reservation. */
	bool unreg;
	unsigned target_port;
	uint8_t id[8];
};

#define PR_TARGET_PORT	1	/* the only one */

enum pr_result {
	PR_GOOD, PR_CONFLICT, PR_BAD_CDB, PR_BAD_PARAMETER, PR_BAD_RELEASE,
};

/*
 * Do @out for @self.  @preempted: bit n, if n lost its registration by it.
 * The state is as before unless the result is PR_GOOD.
 */
enum pr_result pr_perform(struct pr_state *s, unsigned self,
			  const struct pr_out *out, uint64_t *preempted);

/* Whether the reservation keeps @who from a command that does @access. */
bool pr_forbids(const struct pr_state *s, unsigned who,
		enum scsi_access access);
/* Whether @who holds the reservation, alone or with others. */
bool pr_is_holder(const struct pr_state *s, unsigned who);
bool pr_all_hold(const struct pr_state *s);

#endif
