/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv_test.h"

/* HvSignalEvent and HvPostMessage as the guest sees their statuses. */
#define EVENT_ID	0x123456u
#define MESSAGE_ID	1u
#define MESSAGE_GPA	UINT64_C(0x4000)

struct event_port {
	struct hv_event_port port;
	int answer;
	unsigned count;
	uint16_t flag;
};

struct message_port {
	struct hv_message_port port;
	int answer;
	unsigned count;
	uint32_t type;
	size_t len;
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX];
};

static int on_signal(struct hv_event_port *port, uint16_t flag)
{
	struct event_port *p = container_of(port, struct event_port, port);

	p->count++;
	p->flag = flag;
	return p->answer;
}

static int on_post(struct hv_message_port *port, uint32_t type,
		   const void *payload, size_t len)
{
	struct message_port *p = container_of(port, struct message_port, port);

	p->count++;
	p->type = type;
	p->len = len;
	memcpy(p->payload, payload, len);
	return p->answer;
}

static struct event_port event;
static struct message_port message;

static int connect_both(void **state)
{
	hv_host_init(&h, VP_COUNT);
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, 0x1000 | ENABLE);
	event = (struct event_port){ .port.signal = on_signal };
	message = (struct message_port){ .port.post = on_post };
	assert_int_equal(hv_connect_event(h.hv, EVENT_ID, &event.port), 0);
	assert_int_equal(hv_connect_message(h.hv, MESSAGE_ID, &message.port),
			 0);
	return 0;
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, connect_both, tear_down)

static uint64_t call(uint64_t control, uint64_t input)
{
	struct hv_call c = {
		.rcx = control, .rdx = input, .long_mode = true,
		.protected_mode = true,
	};

	assert_true(hv_hypercall(h.hv, 0, &c));
	return c.rax;
}

static uint64_t signal_event(uint32_t id, uint64_t flag)
{
	return call(HVCALL_SIGNAL_EVENT | HV_HYPERCALL_FAST, flag << 32 | id);
}

static uint64_t post_message(uint32_t id, uint32_t type, uint32_t len)
{
	const struct hv_input_post_message in = {
		.connection_id = id, .message_type = type, .payload_size = len,
	};

	memcpy(h.ram + MESSAGE_GPA, &in, sizeof(in));
	for (unsigned i = 0; i < HV_MESSAGE_PAYLOAD_MAX; i++)
		h.ram[MESSAGE_GPA + sizeof(in) + i] = (uint8_t)i;
	return call(HVCALL_POST_MESSAGE, MESSAGE_GPA);
}

/* TLFS: IPC-24 */
static void a_signal_reaches_its_port(void **state)
{
	assert_int_equal(signal_event(EVENT_ID, 0), HV_STATUS_SUCCESS);
	assert_int_equal(event.count, 1);
	assert_int_equal(event.flag, 0);
	assert_int_equal(signal_event(EVENT_ID, 2047), HV_STATUS_SUCCESS);
	assert_int_equal(event.flag, 2047);
}

/* TLFS: IPC-20 */
static void a_flag_out_of_range_is_refused(void **state)
{
	assert_int_equal(signal_event(EVENT_ID, 2048),
			 HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(signal_event(EVENT_ID, 65535),
			 HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(event.count, 0);
}

/* TLFS: IPC-01 IPC-10 IPC-21 */
static void an_unknown_connection_is_refused(void **state)
{
	static const uint32_t ids[] = {
		0, EVENT_ID + 1, EVENT_ID | 0x01000000, UINT32_MAX,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
		assert_int_equal(signal_event(ids[i], 0),
				 HV_STATUS_INVALID_CONNECTION_ID);
		assert_int_equal(post_message(ids[i], 1, 0),
				 HV_STATUS_INVALID_CONNECTION_ID);
	}
}

/* TLFS: IPC-11 IPC-21 */
static void the_wrong_kind_of_port_is_refused(void **state)
{
	assert_int_equal(signal_event(MESSAGE_ID, 0),
			 HV_STATUS_INVALID_PORT_ID);
	assert_int_equal(post_message(EVENT_ID, 1, 0),
			 HV_STATUS_INVALID_PORT_ID);
	assert_int_equal(event.count + message.count, 0);
}

/* TLFS: IPC-18 */
static void a_message_reaches_its_port(void **state)
{
	assert_int_equal(post_message(MESSAGE_ID, 1, 0), HV_STATUS_SUCCESS);
	assert_int_equal(message.len, 0);
	assert_int_equal(post_message(MESSAGE_ID, 0x7fffffff, 240),
			 HV_STATUS_SUCCESS);
	assert_int_equal(message.type, 0x7fffffff);
	assert_int_equal(message.len, 240);
	for (unsigned i = 0; i < 240; i++)
		assert_int_equal(message.payload[i], i);
}

/* Offsets are those of the text, whatever our structures say. */
/* TLFS: GEN-01 GEN-02 */
static void inputs_have_the_layout_of_the_text(void **state)
{
	static const uint8_t post[] = {
		MESSAGE_ID, 0, 0, 0, 0, 0, 0, 0,	/* id, padding */
		4, 3, 2, 1, 3, 0, 0, 0,			/* type, size */
		'a', 'b', 'c', 'd',
	};
	static const uint8_t signal[] = { 0x56, 0x34, 0x12, 0, 0x34, 2, 0, 0 };

	memcpy(h.ram + MESSAGE_GPA, post, sizeof(post));
	assert_int_equal(call(HVCALL_POST_MESSAGE, MESSAGE_GPA), 0);
	assert_int_equal(message.type, 0x01020304);
	assert_int_equal(message.len, 3);
	assert_memory_equal(message.payload, "abc", 3);
	memcpy(h.ram + MESSAGE_GPA, signal, sizeof(signal));
	assert_int_equal(call(HVCALL_SIGNAL_EVENT, MESSAGE_GPA), 0);
	assert_int_equal(event.flag, 0x234);
}

/* TLFS: HC-25 */
static void every_bit_of_the_code_counts(void **state)
{
	for (unsigned bit = 0; bit < 16; bit++)
		call(HV_HYPERCALL_FAST | (HVCALL_SIGNAL_EVENT ^ BIT64(bit)),
		     EVENT_ID);
	assert_int_equal(event.count, 0);
	assert_int_equal(signal_event(EVENT_ID, 0), HV_STATUS_SUCCESS);
	assert_int_equal(event.count, 1);
}

/* Another processor writes to the input while the call is under way. */
static int overwrite(struct hv_message_port *port, uint32_t type,
		     const void *payload, size_t len)
{
	memset(h.ram + MESSAGE_GPA, 0xff, PAGE);
	return on_post(port, type, payload, len);
}

/* TLFS: HC-11 */
static void input_that_changes_meanwhile_is_not_seen(void **state)
{
	message.port.post = overwrite;
	assert_int_equal(post_message(MESSAGE_ID, 7, 200), HV_STATUS_SUCCESS);
	assert_int_equal(message.type, 7);
	assert_int_equal(message.len, 200);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(message.payload[i], i);
}

/* TLFS: IPC-12 MSG-04 */
static void a_malformed_message_is_refused(void **state)
{
	assert_int_equal(post_message(MESSAGE_ID, 1, 241),
			 HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(post_message(MESSAGE_ID, 1, UINT32_MAX),
			 HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(post_message(MESSAGE_ID, 0, 1),
			 HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(post_message(MESSAGE_ID, 0x80000000, 1),
			 HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(message.count, 0);
}

/* TLFS: IPC-13 IPC-14 IPC-15 */
static void a_ports_refusal_has_its_status(void **state)
{
	message.answer = -EAGAIN;
	assert_int_equal(post_message(MESSAGE_ID, 1, 1),
			 HV_STATUS_INSUFFICIENT_BUFFERS);
	message.answer = -EINVAL;
	assert_int_equal(post_message(MESSAGE_ID, 1, 1),
			 HV_STATUS_INVALID_PARAMETER);
	message.answer = event.answer = -ENXIO;
	assert_int_equal(post_message(MESSAGE_ID, 1, 1),
			 HV_STATUS_INVALID_SYNIC_STATE);
	assert_int_equal(signal_event(EVENT_ID, 0),
			 HV_STATUS_INVALID_SYNIC_STATE);
	message.answer = event.answer = -ENODEV;
	assert_int_equal(post_message(MESSAGE_ID, 1, 1),
			 HV_STATUS_INVALID_VP_INDEX);
	assert_int_equal(signal_event(EVENT_ID, 0),
			 HV_STATUS_INVALID_VP_INDEX);
	assert_int_equal(HV_STATUS_INVALID_VP_INDEX, 0x0e);
	assert_int_equal(HV_STATUS_INSUFFICIENT_BUFFERS, 0x13);
	assert_int_equal(HV_STATUS_INVALID_SYNIC_STATE, 0x18);
}

static void an_id_has_one_port(void **state)
{
	struct event_port other = { .port.signal = on_signal };

	assert_int_equal(hv_connect_event(h.hv, EVENT_ID, &other.port),
			 -EEXIST);
	assert_int_equal(hv_connect_message(h.hv, EVENT_ID, &message.port),
			 -EEXIST);
	hv_disconnect(h.hv, EVENT_ID);
	hv_disconnect(h.hv, EVENT_ID);
	assert_int_equal(signal_event(EVENT_ID, 0),
			 HV_STATUS_INVALID_CONNECTION_ID);
	assert_int_equal(hv_connect_event(h.hv, EVENT_ID, &other.port), 0);
	assert_int_equal(signal_event(EVENT_ID, 0), HV_STATUS_SUCCESS);
	assert_int_equal(other.count, 1);
	assert_int_equal(event.count, 0);
}

static void ports_outlive_a_reset(void **state)
{
	hv_reset(h.hv);
	assert_true(hv_doorbell(h.hv, 0, EVENT_ID) == EVENT_ID);
	assert_int_equal(event.count, 1);
}

/* What the page's code takes the status from. */
static void a_doorbell_answers_above_its_id(void **state)
{
	assert_true(hv_doorbell(h.hv, 1, EVENT_ID) == EVENT_ID);
	assert_int_equal(event.count, 1);
	assert_int_equal(event.flag, 0);
	assert_true(hv_doorbell(h.hv, 1, 0xffffff) ==
		    ((uint64_t)HV_STATUS_INVALID_CONNECTION_ID << 32 |
		     0xffffff));
	assert_true(hv_doorbell(h.hv, 1, MESSAGE_ID) ==
		    ((uint64_t)HV_STATUS_INVALID_PORT_ID << 32 | MESSAGE_ID));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_signal_reaches_its_port),
		TEST(a_flag_out_of_range_is_refused),
		TEST(an_unknown_connection_is_refused),
		TEST(the_wrong_kind_of_port_is_refused),
		TEST(a_message_reaches_its_port),
		TEST(inputs_have_the_layout_of_the_text),
		TEST(every_bit_of_the_code_counts),
		TEST(input_that_changes_meanwhile_is_not_seen),
		TEST(a_malformed_message_is_refused),
		TEST(a_ports_refusal_has_its_status),
		TEST(an_id_has_one_port),
		TEST(ports_outlive_a_reset),
		TEST(a_doorbell_answers_above_its_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
