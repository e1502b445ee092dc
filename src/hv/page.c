/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypercall page.  TLFS 3.13 leaves its contents to the hypervisor.
 *
 * An ordinary call leaves by an OUT to the call port, with all parameters as
 * the caller had them.  The fast HvSignalEvent with flag 0, the doorbell of
 * every VMBus channel, writes the connection id to the doorbell port instead,
 * where an ioeventfd with that datamatch takes it inside the kernel.  If none
 * does, hv_doorbell() answers: RAX = status << 32 | id, where the kernel would
 * have left the id alone.  So the code ends with the status in RAX and
 * the id in RDX, where the caller had it, either way.
 *
 * The same bytes serve 64-bit, 32-bit and 16-bit callers, and first find out
 * which: 40 90 is a NOP with an idle REX prefix, or INC EAX (AX) and NOP, which
 * clears ZF.  Only 64-bit code goes on from there; what follows would mean
 * something else, and store to memory, in 16-bit code.
 *
 * No register changes that hv_hypercall() does not, and no flag.  A rep call
 * that is to go on is at its OUT again, so that its state is in the caller's
 * registers alone, and interrupts are taken between the slices.  TLFS 3.2.
 *
 * VMCALL and VMMCALL must not stand here: a kernel with KVM_HYPERV would take
 * them for its own.  At CPL 3, OUT is #GP unless the guest's kernel allowed
 * these ports; then the call is refused with #UD.
 */
#include <string.h>

#include "hv/hv_internal.h"

static const uint8_t code[] = {
/* 00 */ 0xf3, 0x0f, 0x1e, 0xfa,		/* endbr64 */
/* 04 */ 0x50,					/* push rax */
/* 05 */ 0x9c,					/* pushf */
/* 06 */ 0x31, 0xc0,				/* xor eax, eax */
/* 08 */ 0x40, 0x90,				/* nop | inc eax; nop */
/* 0a */ 0x75, 0x27,				/* jne slow */
/* 0c */ 0x48, 0x81, 0xf9, 0x5d, 0, 1, 0,	/* cmp rcx, fast | 0x5d */
/* 13 */ 0x75, 0x1e,				/* jne slow */
/* 15 */ 0x48, 0x89, 0xd0,			/* mov rax, rdx */
/* 18 */ 0x48, 0xc1, 0xe8, 0x20,		/* shr rax, 32 */
/* 1c */ 0x75, 0x15,				/* jne slow: not flag 0 */
/* 1e */ 0x89, 0xd0,				/* mov eax, edx */
#define DOORBELL_AT	0x21
/* 20 */ 0xba, 0, 0, 0, 0,			/* mov edx, doorbell_port */
/* 25 */ 0xef,					/* out dx, eax */
/* 26 */ 0x89, 0xc2,				/* mov edx, eax */
/* 28 */ 0x48, 0xc1, 0xe8, 0x20,		/* shr rax, 32 */
/* 2c */ 0x9d,					/* popf */
/* 2d */ 0x48, 0x8d, 0x64, 0x24, 0x08,		/* lea rsp, [rsp + 8] */
/* 32 */ 0xc3,					/* ret */
						/* slow: */
/* 33 */ 0x9d,					/* popf */
/* 34 */ 0x58,					/* pop rax */
#define CALL_AT		0x36
/* 35 */ 0xe7, 0,				/* out call_port, eax */
/* 37 */ 0xc3,					/* ret */
};

void hypercall_page_write(const struct hv *hv)
{
	uint8_t *page = overlay_memory(hv, PAGE_HYPERCALL);

	memset(page, 0xcc, GMEM_PAGE_SIZE);	/* int3 */
	memcpy(page, code, sizeof(code));
	memcpy(page + DOORBELL_AT, &hv->config.doorbell_port,
	       sizeof(hv->config.doorbell_port));
	page[CALL_AT] = hv->config.call_port;
}
