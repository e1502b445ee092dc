/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest does to the SynIC's test device: any order of commands, of
 * messages and events for its connections, and of what frees their slots.
 *
 * Input: steps of 6 bytes.
 */
#include "hv_host.h"
#include "vmm/hv_testdev.h"

#define VP_COUNT	2
#define STEPS_MAX	512
#define VECTOR		0x55
#define CONNECTIONS	256

struct step {
	uint8_t what;
	uint8_t more;
	uint32_t value;
} __attribute__((packed));

enum { COMMAND, WRONG_SIZE, POST, SIGNAL, EMPTY, MASK, SYNIC, RESET, STEPS };

static struct hv_host h;

static unsigned call(uint64_t control, uint64_t input)
{
	struct hv_call c = {
		.rcx = control, .rdx = input,
		.long_mode = true, .protected_mode = true,
	};

	g_assert(hv_hypercall(h.hv, 0, &c));
	return (uint16_t)c.rax;
}

static unsigned post(const struct step *s)
{
	const struct hv_input_post_message in = {
		.connection_id = s->value % CONNECTIONS,
		.message_type = s->value, .payload_size = s->more,
	};

	memcpy(h.ram, &in, sizeof(in));
	return call(HVCALL_POST_MESSAGE, 0);
}

static unsigned signal_event(uint32_t id, uint64_t flag)
{
	return call(HVCALL_SIGNAL_EVENT | HV_HYPERCALL_FAST, flag << 32 | id);
}

static void do_step(struct hv_testdev *t, const struct step *s)
{
	struct ioport *io = hv_testdev_port(t);
	uint32_t vp = s->more % VP_COUNT, sint = s->value % HV_SYNIC_SINT_COUNT;
	struct hv_host_message m;

	switch (s->what % STEPS) {
	case COMMAND:
		io->write(io, HV_TESTDEV_PORT, 4, s->value);
		break;
	case WRONG_SIZE:
		io->write(io, HV_TESTDEV_PORT, 1 + s->more % 2, s->value);
		break;
	case POST:
		post(s);
		break;
	case SIGNAL:
		signal_event(s->value % CONNECTIONS, s->value >> 16);
		break;
	case EMPTY:
		hv_host_take_message(&h, vp, sint, &m);
		break;
	case MASK:
		hv_host_wrmsr(&h, vp, HV_X64_MSR_SINT0 + sint,
			      VECTOR | (s->more & 2 ? HV_SYNIC_SINT_MASKED : 0));
		break;
	case SYNIC:
		hv_host_wrmsr(&h, vp, HV_X64_MSR_SCONTROL, s->value & 1);
		break;
	case RESET:
		hv_testdev_reset(t);
		break;
	}
}

static void set_up(void)
{
	hv_host_init(&h, VP_COUNT);
	hv_host_wrmsr(&h, 0, HV_X64_MSR_GUEST_OS_ID, 1);
	hv_host_wrmsr(&h, 0, HV_X64_MSR_HYPERCALL,
		      GMEM_PAGE_SIZE | HV_MSR_PAGE_ENABLE);
	for (uint32_t vp = 0; vp < VP_COUNT; vp++) {
		hv_host_synic_on(&h, vp);
		for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++)
			hv_host_wrmsr(&h, vp, HV_X64_MSR_SINT0 + i, VECTOR);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hv_testdev *t;
	struct step s;

	set_up();
	t = hv_testdev_new(h.hv, &hv_host_ops, &h);
	for (unsigned n = 0; n < STEPS_MAX && size >= sizeof(s); n++) {
		memcpy(&s, data, sizeof(s));
		data += sizeof(s);
		size -= sizeof(s);
		do_step(t, &s);
	}
	hv_testdev_free(t);
	/* Nothing of it is left: no connection, and no note that runs. */
	for (uint32_t id = 0; id < CONNECTIONS; id++)
		g_assert(signal_event(id, 0) == HV_STATUS_INVALID_CONNECTION_ID);
	for (uint32_t vp = 0; vp < VP_COUNT; vp++) {
		memset(h.ram + hv_host_simp(vp), 0, GMEM_PAGE_SIZE);
		hv_host_wrmsr(&h, vp, HV_X64_MSR_EOM, 0);
	}
	hv_host_finish(&h);
	return 0;
}
