/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hypervisor interface: constants and wire formats only, no state.
 *
 * Names are those of the Hyper-V Top Level Functional Specification (TLFS)
 * v6.0b, constants verbatim, structures in lower case.  Section numbers are
 * those of v6.0b.
 */
#ifndef HV_TLFS_H
#define HV_TLFS_H

#include <assert.h>
#include <stdint.h>

/* 2.4: CPUID leaves. */
#define HV_CPUID_VENDOR_AND_MAX_FUNCTIONS	0x40000000u
#define HV_CPUID_INTERFACE			0x40000001u
#define HV_CPUID_VERSION			0x40000002u
#define HV_CPUID_FEATURES			0x40000003u
#define HV_CPUID_ENLIGHTENMENT_INFO		0x40000004u
#define HV_CPUID_IMPLEMENTATION_LIMITS		0x40000005u
#define HV_CPUID_HARDWARE_FEATURES		0x40000006u

/* 2.4.4: leaf 0x40000003, EAX: access to MSRs. */
#define HV_ACCESS_VP_RUNTIME			(1u << 0)
#define HV_ACCESS_PARTITION_REFERENCE_COUNTER	(1u << 1)
#define HV_ACCESS_SYNIC_REGS			(1u << 2)
#define HV_ACCESS_SYNTHETIC_TIMER_REGS		(1u << 3)
#define HV_ACCESS_INTR_CTRL_REGS		(1u << 4)
#define HV_ACCESS_HYPERCALL_MSRS		(1u << 5)
#define HV_ACCESS_VP_INDEX			(1u << 6)
#define HV_ACCESS_RESET_REG			(1u << 7)
#define HV_ACCESS_PARTITION_REFERENCE_TSC	(1u << 9)
#define HV_ACCESS_GUEST_IDLE_REG		(1u << 10)
#define HV_ACCESS_FREQUENCY_REGS		(1u << 11)
#define HV_ACCESS_TSC_INVARIANT			(1u << 15)
/* EBX: hypercalls. */
#define HV_CREATE_PARTITIONS			(1u << 0)
#define HV_ACCESS_PARTITION_ID			(1u << 1)
#define HV_ACCESS_MEMORY_POOL			(1u << 2)
#define HV_POST_MESSAGES			(1u << 4)
#define HV_SIGNAL_EVENTS			(1u << 5)
#define HV_CREATE_PORT				(1u << 6)
#define HV_CONNECT_PORT				(1u << 7)
#define HV_ACCESS_STATS				(1u << 8)
#define HV_DEBUGGING				(1u << 11)
#define HV_CPU_MANAGEMENT			(1u << 12)
#define HV_CONFIGURE_PROFILER			(1u << 13)
#define HV_ACCESS_VSM				(1u << 16)
#define HV_ACCESS_VP_REGISTERS			(1u << 17)
#define HV_FAST_HYPERCALL_OUTPUT		(1u << 19)
#define HV_ENABLE_EXTENDED_HYPERCALLS		(1u << 20)
#define HV_START_VIRTUAL_PROCESSOR		(1u << 21)
#define HV_ISOLATION				(1u << 22)
/* EDX: features. */
#define HV_XMM_INPUT_AVAILABLE			(1u << 4)
#define HV_GUEST_IDLE_AVAILABLE			(1u << 5)
#define HV_FREQUENCY_REGS_AVAILABLE		(1u << 8)
#define HV_GUEST_CRASH_REGS_AVAILABLE		(1u << 10)
#define HV_XMM_OUTPUT_AVAILABLE			(1u << 15)
#define HV_SINT_POLLING_AVAILABLE		(1u << 17)
#define HV_HYPERCALL_MSR_LOCK_AVAILABLE		(1u << 18)
#define HV_DIRECT_SYNTHETIC_TIMERS		(1u << 19)
/* Leaf 0x40000004, EAX: recommendations. */
#define HV_RECOMMEND_APIC_MSRS			(1u << 3)
#define HV_RECOMMEND_RELAXED_TIMING		(1u << 5)
#define HV_DEPRECATE_AUTO_EOI			(1u << 9)
/* EBX: how often to spin before the hypervisor is told. */
#define HV_SPINLOCK_NEVER_NOTIFY		0xffffffffu

/* MSRs. */
#define HV_X64_MSR_GUEST_OS_ID		0x40000000u
#define HV_X64_MSR_HYPERCALL		0x40000001u
#define HV_X64_MSR_VP_INDEX		0x40000002u
#define HV_X64_MSR_RESET		0x40000003u
#define HV_X64_MSR_VP_RUNTIME		0x40000010u
#define HV_X64_MSR_TIME_REF_COUNT	0x40000020u
#define HV_X64_MSR_REFERENCE_TSC	0x40000021u
#define HV_X64_MSR_TSC_FREQUENCY	0x40000022u
#define HV_X64_MSR_APIC_FREQUENCY	0x40000023u
#define HV_X64_MSR_EOI			0x40000070u
#define HV_X64_MSR_ICR			0x40000071u
#define HV_X64_MSR_TPR			0x40000072u
#define HV_X64_MSR_VP_ASSIST_PAGE	0x40000073u
#define HV_X64_MSR_SCONTROL		0x40000080u
#define HV_X64_MSR_SVERSION		0x40000081u
#define HV_X64_MSR_SIEFP		0x40000082u
#define HV_X64_MSR_SIMP			0x40000083u
#define HV_X64_MSR_EOM			0x40000084u
#define HV_X64_MSR_SINT0		0x40000090u
#define HV_X64_MSR_STIMER0_CONFIG	0x400000b0u
#define HV_X64_MSR_STIMER0_COUNT	0x400000b1u
#define HV_X64_MSR_GUEST_IDLE		0x400000f0u
#define HV_X64_MSR_CRASH_P0		0x40000100u
#define HV_X64_MSR_CRASH_CTL		0x40000105u
/* Not in the TLFS; the name is Linux's. */
#define HV_X64_MSR_TSC_INVARIANT_CONTROL	0x40000118u

#define HV_SYNIC_SINT_COUNT		16
#define HV_STIMER_COUNT			4
#define HV_SYNIC_VERSION		1
#define HV_SYNIC_CONTROL_ENABLE		UINT64_C(1)
#define HV_RESET			UINT64_C(1)
#define HV_EXPOSE_INVARIANT_TSC		UINT64_C(1)

/* Page MSRs: 63:12 page, 0 enable. */
#define HV_MSR_PAGE_ENABLE		UINT64_C(1)
#define HV_MSR_PAGE_MASK		(~UINT64_C(0xfff))
/* Of HV_X64_MSR_HYPERCALL: immutable until the partition is reset. */
#define HV_MSR_HYPERCALL_LOCKED		UINT64_C(2)

#define HV_SYNIC_SINT_VECTOR_MASK	UINT64_C(0xff)
#define HV_SYNIC_SINT_MASKED		(UINT64_C(1) << 16)
#define HV_SYNIC_SINT_AUTO_EOI		(UINT64_C(1) << 17)
#define HV_SYNIC_SINT_POLLING		(UINT64_C(1) << 18)
#define HV_SYNIC_FIRST_VALID_VECTOR	16

#define HV_CRASH_CTL_CRASH_NOTIFY_MSG	(UINT64_C(1) << 62)
#define HV_CRASH_CTL_CRASH_NOTIFY	(UINT64_C(1) << 63)

/* 12.5: synthetic timer configuration. */
#define HV_STIMER_ENABLE		UINT64_C(1)
#define HV_STIMER_PERIODIC		(UINT64_C(1) << 1)
#define HV_STIMER_LAZY			(UINT64_C(1) << 2)
#define HV_STIMER_AUTO_ENABLE		(UINT64_C(1) << 3)
#define HV_STIMER_VECTOR(c)		((uint8_t)((c) >> 4))
#define HV_STIMER_DIRECT		(UINT64_C(1) << 12)
#define HV_STIMER_SINT(c)		((unsigned)((c) >> 16 & 0xf))
#define HV_STIMER_VALID_BITS		UINT64_C(0xf1fff)

/* 3.7: hypercall input value. */
#define HV_HYPERCALL_CODE(input)	((uint16_t)(input))
#define HV_HYPERCALL_FAST		(UINT64_C(1) << 16)
#define HV_HYPERCALL_VARHEAD(input)	((unsigned)((input) >> 17 & 0x3ff))
#define HV_HYPERCALL_NESTED		(UINT64_C(1) << 31)
#define HV_HYPERCALL_REP_COUNT(input)	((unsigned)((input) >> 32 & 0xfff))
#define HV_HYPERCALL_REP_START(input)	((unsigned)((input) >> 48 & 0xfff))
#define HV_HYPERCALL_REP_START_SHIFT	48
#define HV_HYPERCALL_REP_START_MASK	(UINT64_C(0xfff) << 48)
/* 30:27, 47:44 and 63:60 must be zero. */
#define HV_HYPERCALL_RSVD_MASK		UINT64_C(0xf000f00078000000)
/* 3.8: hypercall result value: 15:0 status, 43:32 reps completed. */
#define HV_HYPERCALL_REP_COMP_SHIFT	32

#define HVCALL_SWITCH_VIRTUAL_ADDRESS_SPACE	0x0001
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE	0x0002
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST	0x0003
#define HVCALL_NOTIFY_LONG_SPIN_WAIT	0x0008
#define HVCALL_SEND_IPI			0x000b
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_SPACE_EX	0x0013
#define HVCALL_FLUSH_VIRTUAL_ADDRESS_LIST_EX	0x0014
#define HVCALL_SEND_IPI_EX		0x0015
#define HVCALL_GET_VP_REGISTERS		0x0050
#define HVCALL_SET_VP_REGISTERS		0x0051
#define HVCALL_TRANSLATE_VIRTUAL_ADDRESS	0x0052
#define HVCALL_POST_MESSAGE		0x005c
#define HVCALL_SIGNAL_EVENT		0x005d
#define HVCALL_RETARGET_INTERRUPT	0x007e
#define HVCALL_START_VIRTUAL_PROCESSOR	0x0099
#define HVCALL_GET_VP_INDEX_FROM_APIC_ID	0x009a
#define HVCALL_TRANSLATE_VIRTUAL_ADDRESS_EX	0x00ac
#define HVEXTCALL_QUERY_CAPABILITIES	0x8001

/* 3.12, appendix B: hypercall status codes. */
enum hv_status {
	HV_STATUS_SUCCESS			= 0x0000,
	HV_STATUS_INVALID_HYPERCALL_CODE	= 0x0002,
	HV_STATUS_INVALID_HYPERCALL_INPUT	= 0x0003,
	HV_STATUS_INVALID_ALIGNMENT		= 0x0004,
	HV_STATUS_INVALID_PARAMETER		= 0x0005,
	HV_STATUS_ACCESS_DENIED			= 0x0006,
	HV_STATUS_INSUFFICIENT_MEMORY		= 0x000b,
	HV_STATUS_INVALID_PARTITION_ID		= 0x000d,
	HV_STATUS_INVALID_VP_INDEX		= 0x000e,
	HV_STATUS_INVALID_PORT_ID		= 0x0011,
	HV_STATUS_INVALID_CONNECTION_ID		= 0x0012,
	/* The texts print 0x33; guests and the order of the list say 0x13. */
	HV_STATUS_INSUFFICIENT_BUFFERS		= 0x0013,
	HV_STATUS_INVALID_VP_STATE		= 0x0015,
	HV_STATUS_INVALID_SYNIC_STATE		= 0x0018,
	HV_STATUS_INVALID_REGISTER_VALUE	= 0x0050,
	/* Named by the text, and not in the list. */
	HV_STATUS_INVALID_VTL_STATE		= 0x0051,
	HV_STATUS_INVALID_DEVICE_ID		= 0x0057,
};

/* 4.2: the caller's own partition. */
#define HV_PARTITION_ID_SELF		UINT64_MAX
/* 7.8.1: the caller. */
#define HV_VP_INDEX_SELF		0xfffffffeu

/* 7.8.7.3: a set of VPs; in memory, followed by a word for each valid bank. */
struct hv_vpset {
	uint64_t format;
	uint64_t valid_bank_mask;
} __attribute__((packed));
static_assert(sizeof(struct hv_vpset) == 16, "TLFS 7.8.7.3");

#define HV_GENERIC_SET_SPARSE_4K	0
#define HV_GENERIC_SET_ALL		1

/* 15.15.1: whose state is meant. */
#define HV_INPUT_VTL_TARGET		0x0f
#define HV_INPUT_VTL_USE_TARGET		0x10
#define HV_INPUT_VTL_RSVD		0xe0

/* 7.8.2: registers of a VP; of those in rows, the first. */
#define HV_REGISTER_HYPERVISOR_VERSION		0x00000100u
#define HV_REGISTER_PRIVILEGES_AND_FEATURES	0x00000200u
#define HV_REGISTER_FEATURES_INFO		0x00000201u
#define HV_REGISTER_IMPLEMENTATION_LIMITS	0x00000202u
#define HV_REGISTER_HARDWARE_FEATURES		0x00000203u
#define HV_REGISTER_GUEST_CRASH_P0		0x00000210u	/* to P4 */
#define HV_REGISTER_GUEST_CRASH_CTL		0x00000215u
#define HV_REGISTER_PROCESSOR_CLOCK_FREQUENCY	0x00000240u
#define HV_REGISTER_INTERRUPT_CLOCK_FREQUENCY	0x00000241u
#define HV_REGISTER_PENDING_EVENT_0		0x00010004u
#define HV_X64_REGISTER_RAX			0x00020000u
#define HV_X64_REGISTER_RSP			0x00020004u
#define HV_X64_REGISTER_R15			0x0002000fu
#define HV_X64_REGISTER_RIP			0x00020010u
#define HV_X64_REGISTER_RFLAGS			0x00020011u
#define HV_X64_REGISTER_CR0			0x00040000u
#define HV_X64_REGISTER_CR2			0x00040001u
#define HV_X64_REGISTER_CR3			0x00040002u
#define HV_X64_REGISTER_CR4			0x00040003u
#define HV_X64_REGISTER_CR8			0x00040004u
#define HV_X64_REGISTER_XFEM			0x00040005u
#define HV_X64_REGISTER_DR0			0x00050000u	/* to DR3 */
#define HV_X64_REGISTER_DR6			0x00050004u
#define HV_X64_REGISTER_DR7			0x00050005u
#define HV_X64_REGISTER_ES			0x00060000u
#define HV_X64_REGISTER_CS			0x00060001u
#define HV_X64_REGISTER_SS			0x00060002u
#define HV_X64_REGISTER_DS			0x00060003u
#define HV_X64_REGISTER_FS			0x00060004u
#define HV_X64_REGISTER_GS			0x00060005u
#define HV_X64_REGISTER_LDTR			0x00060006u
#define HV_X64_REGISTER_TR			0x00060007u
#define HV_X64_REGISTER_IDTR			0x00070000u
#define HV_X64_REGISTER_GDTR			0x00070001u
#define HV_X64_REGISTER_EFER			0x00080001u
#define HV_X64_REGISTER_KERNEL_GS_BASE		0x00080002u
#define HV_X64_REGISTER_APIC_BASE		0x00080003u
#define HV_X64_REGISTER_PAT			0x00080004u
#define HV_X64_REGISTER_SYSENTER_CS		0x00080005u
#define HV_X64_REGISTER_SYSENTER_EIP		0x00080006u
#define HV_X64_REGISTER_SYSENTER_ESP		0x00080007u
#define HV_X64_REGISTER_STAR			0x00080008u
#define HV_X64_REGISTER_LSTAR			0x00080009u
#define HV_X64_REGISTER_CSTAR			0x0008000au
#define HV_X64_REGISTER_SFMASK			0x0008000bu
#define HV_X64_REGISTER_TSC_AUX			0x0008007bu
#define HV_REGISTER_VP_RUNTIME			0x00090000u
#define HV_X64_REGISTER_HYPERCALL		0x00090001u
#define HV_REGISTER_GUEST_OS_ID			0x00090002u
#define HV_REGISTER_VP_INDEX			0x00090003u
#define HV_REGISTER_TIME_REF_COUNT		0x00090004u
#define HV_REGISTER_VP_ASSIST_PAGE		0x00090013u
#define HV_REGISTER_REFERENCE_TSC		0x00090017u
#define HV_REGISTER_SINT0			0x000a0000u	/* to SINT15 */
#define HV_REGISTER_SCONTROL			0x000a0010u
#define HV_REGISTER_SVERSION			0x000a0011u
#define HV_REGISTER_SIFP			0x000a0012u
#define HV_REGISTER_SIPP			0x000a0013u
#define HV_REGISTER_STIMER0_CONFIG		0x000b0000u
#define HV_REGISTER_VSM_CODE_PAGE_OFFSETS	0x000d0002u
#define HV_REGISTER_VSM_VP_STATUS		0x000d0003u
#define HV_REGISTER_VSM_PARTITION_STATUS	0x000d0004u
#define HV_REGISTER_VSM_VINA			0x000d0005u
#define HV_REGISTER_VSM_CAPABILITIES		0x000d0006u
#define HV_REGISTER_VSM_PARTITION_CONFIG	0x000d0007u
#define HV_REGISTER_VSM_VP_SECURE_CONFIG_VTL0	0x000d0010u
#define HV_X64_REGISTER_CR_INTERCEPT_CONTROL	0x000e0000u	/* and masks */
#define HV_X64_REGISTER_CR_INTERCEPT_LAST	0x000e0003u

/* 15.3: of VsmVpStatus and VsmPartitionStatus: VTL 0 is all there is. */
#define HV_VSM_VP_ENABLED_VTL_0			(UINT64_C(1) << 16)
#define HV_VSM_PARTITION_ENABLED_VTL_0		UINT64_C(1)

/* 7.9.5 */
struct hv_x64_segment_register {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint16_t attributes;
} __attribute__((packed));
static_assert(sizeof(struct hv_x64_segment_register) == 16, "TLFS 7.9.5");

#define HV_X64_SEGMENT_TYPE(a)		((a) & 0xfu)
#define HV_X64_SEGMENT_NON_SYSTEM	(1u << 4)
#define HV_X64_SEGMENT_DPL(a)		((a) >> 5 & 3u)
#define HV_X64_SEGMENT_PRESENT		(1u << 7)
#define HV_X64_SEGMENT_RSVD		0x0f00u
#define HV_X64_SEGMENT_AVAILABLE	(1u << 12)
#define HV_X64_SEGMENT_LONG		(1u << 13)
#define HV_X64_SEGMENT_DEFAULT		(1u << 14)
#define HV_X64_SEGMENT_GRANULARITY	(1u << 15)

struct hv_x64_table_register {
	uint16_t pad[3];
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));
static_assert(sizeof(struct hv_x64_table_register) == 16, "TLFS 7.9.6");

/* 7.8.3: the low word of shorter ones, the rest zero. */
union hv_register_value {
	uint64_t word[2];
	uint32_t reg32[4];
	struct hv_x64_segment_register segment;
	struct hv_x64_table_register table;
};
static_assert(sizeof(union hv_register_value) == 16, "TLFS 7.8.3");

/* 7.10.1, 7.10.2 HvSet- and HvGetVpRegisters: a list follows. */
struct hv_input_vp_registers {
	uint64_t partition_id;
	uint32_t vp_index;
	uint8_t input_vtl;
	uint8_t rsvdz[3];
} __attribute__((packed));
static_assert(sizeof(struct hv_input_vp_registers) == 16, "TLFS 7.10.1");

struct hv_register_assoc {
	uint32_t name;
	uint32_t padding[3];
	union hv_register_value value;
} __attribute__((packed));
static_assert(sizeof(struct hv_register_assoc) == 32, "TLFS 7.10.1");

/* 7.10.3 HvStartVirtualProcessor. */
struct hv_initial_vp_context {
	uint64_t rip, rsp, rflags;
	struct hv_x64_segment_register cs, ds, es, fs, gs, ss, tr, ldtr;
	struct hv_x64_table_register idtr, gdtr;
	uint64_t efer, cr0, cr3, cr4, pat;
} __attribute__((packed));
static_assert(sizeof(struct hv_initial_vp_context) == 224, "TLFS 7.10.3");

struct hv_input_start_virtual_processor {
	uint64_t partition_id;
	uint32_t vp_index;
	uint8_t target_vtl;
	uint8_t rsvdz[3];
	struct hv_initial_vp_context context;
} __attribute__((packed));
static_assert(sizeof(struct hv_input_start_virtual_processor) == 240,
	      "TLFS 7.10.3");

/* 9.4.6 HvTranslateVirtualAddress. */
struct hv_input_translate_virtual_address {
	uint64_t partition_id;
	uint32_t vp_index;
	uint32_t padding;
	uint64_t control_flags;
	uint64_t gva_page;
} __attribute__((packed));
static_assert(sizeof(struct hv_input_translate_virtual_address) == 32,
	      "TLFS 9.4.6");

#define HV_TRANSLATE_GVA_VALIDATE_READ		(UINT64_C(1) << 0)
#define HV_TRANSLATE_GVA_VALIDATE_WRITE		(UINT64_C(1) << 1)
#define HV_TRANSLATE_GVA_VALIDATE_EXECUTE	(UINT64_C(1) << 2)
#define HV_TRANSLATE_GVA_PRIVILEGE_EXEMPT	(UINT64_C(1) << 3)
#define HV_TRANSLATE_GVA_SET_PAGE_TABLE_BITS	(UINT64_C(1) << 4)
#define HV_TRANSLATE_GVA_TLB_FLUSH_INHIBIT	(UINT64_C(1) << 5)
#define HV_TRANSLATE_GVA_INPUT_VTL(flags)	((uint8_t)((flags) >> 56))
#define HV_TRANSLATE_GVA_INPUT_VTL_MASK		(UINT64_C(0xff) << 56)

/* 9.3.4 */
enum hv_translate_gva_result_code {
	HV_TRANSLATE_GVA_SUCCESS		= 0,
	HV_TRANSLATE_GVA_PAGE_NOT_PRESENT	= 1,
	HV_TRANSLATE_GVA_PRIVILEGE_VIOLATION	= 2,
	HV_TRANSLATE_GVA_INVALID_PAGE_TABLE_FLAGS = 3,
	HV_TRANSLATE_GVA_GPA_UNMAPPED		= 4,
};

/* 9.3.3 */
#define HV_CACHE_TYPE_UNCACHED		0
#define HV_CACHE_TYPE_WRITE_BACK	6

struct hv_translate_gva_result {
	uint32_t result_code;
	uint8_t cache_type;
	uint8_t overlay_page;		/* bit 0 */
	uint16_t reserved;
} __attribute__((packed));
static_assert(sizeof(struct hv_translate_gva_result) == 8, "TLFS 9.3.4");

struct hv_output_translate_virtual_address {
	struct hv_translate_gva_result result;
	uint64_t gpa_page;
} __attribute__((packed));
static_assert(sizeof(struct hv_output_translate_virtual_address) == 16,
	      "TLFS 9.4.6");

/* Bits 3:1 of the first byte are the kind: 0, an exception. */
struct hv_x64_pending_exception_event {
	uint8_t pending;		/* bit 0 */
	uint8_t deliver_error_code;	/* bit 0 */
	uint16_t vector;
	uint32_t error_code;
	uint64_t exception_parameter;
} __attribute__((packed));
static_assert(sizeof(struct hv_x64_pending_exception_event) == 16,
	      "TLFS 7.8.3");

/* Texts leave out the padding that alignment to 16 bytes makes. */
struct hv_output_translate_virtual_address_ex {
	struct hv_translate_gva_result result;
	uint64_t padding;
	struct hv_x64_pending_exception_event event;
	uint64_t event_reserved[2];
	uint64_t gpa_page;
	uint64_t padding2;
} __attribute__((packed));
static_assert(sizeof(struct hv_output_translate_virtual_address_ex) == 64,
	      "0xac");

/* 9.4.1 HvSwitchVirtualAddressSpace. */
struct hv_input_switch_virtual_address_space {
	uint64_t address_space;		/* CR3 */
} __attribute__((packed));
static_assert(sizeof(struct hv_input_switch_virtual_address_space) == 8,
	      "TLFS 9.4.1");

/* 9.4.2, 9.4.4 HvFlushVirtualAddressSpace and List. */
struct hv_input_flush {
	uint64_t address_space;		/* CR3 */
	uint64_t flags;
	uint64_t processor_mask;
} __attribute__((packed));
static_assert(sizeof(struct hv_input_flush) == 24, "TLFS 9.4.2");

/* 9.4.3, 9.4.5: the same with a set. */
struct hv_input_flush_ex {
	uint64_t address_space;
	uint64_t flags;
	struct hv_vpset vpset;
} __attribute__((packed));
static_assert(sizeof(struct hv_input_flush_ex) == 32, "TLFS 9.4.3");

#define HV_FLUSH_ALL_PROCESSORS			(UINT64_C(1) << 0)
#define HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES	(UINT64_C(1) << 1)
#define HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY	(UINT64_C(1) << 2)

/* 10.5.2 HvSendSyntheticClusterIpi. */
struct hv_input_send_ipi {
	uint32_t vector;
	uint8_t target_vtl;
	uint8_t rsvdz[3];
	uint64_t processor_mask;
} __attribute__((packed));
static_assert(sizeof(struct hv_input_send_ipi) == 16, "TLFS 10.5.2");

/* 10.5.3: the same with a set. */
struct hv_input_send_ipi_ex {
	uint32_t vector;
	uint8_t target_vtl;
	uint8_t rsvdz[3];
	struct hv_vpset vpset;
} __attribute__((packed));
static_assert(sizeof(struct hv_input_send_ipi_ex) == 24, "TLFS 10.5.3");

#define HV_IPI_LOW_VECTOR		0x10
#define HV_IPI_HIGH_VECTOR		0xff

/* 7.10.4 HvGetVpIndexFromApicId: 32-bit APIC ids follow. */
struct hv_input_get_vp_index {
	uint64_t partition_id;
	uint8_t target_vtl;
	uint8_t rsvdz[7];
} __attribute__((packed));
static_assert(sizeof(struct hv_input_get_vp_index) == 16, "TLFS 7.10.4");

/* 10.5.4 HvRetargetDeviceInterrupt: one MSI, the rest of a set follows. */
struct hv_input_retarget {
	uint64_t partition_id;
	uint64_t device_id;
	uint32_t source;
	uint32_t rsvdz4;
	uint32_t msi_address;
	uint32_t msi_data;
	uint64_t rsvdz8;
	uint32_t vector;
	uint32_t flags;
	uint64_t mask_or_format;
} __attribute__((packed));
static_assert(sizeof(struct hv_input_retarget) == 56, "TLFS 10.5.4");

#define HV_INTERRUPT_SOURCE_MSI				1
#define HV_DEVICE_INTERRUPT_TARGET_MULTICAST		1u
#define HV_DEVICE_INTERRUPT_TARGET_PROCESSOR_SET	2u

/* 11.10: connection ids are 24 bits wide. */
#define HV_CONNECTION_ID_MAX		0x00ffffffu

/* 11.10: messages. */
#define HV_MESSAGE_SIZE			256
#define HVMSG_NONE			0x00000000u
#define HVMSG_TIMER_EXPIRED		0x80000010u
#define HVMSG_FROM_HYPERVISOR		0x80000000u	/* not for senders */
#define HV_MESSAGE_FLAG_PENDING		1

struct hv_message_header {
	uint32_t message_type;
	uint8_t payload_size;
	uint8_t message_flags;
	uint16_t reserved;
	uint64_t origination_id;
} __attribute__((packed));
static_assert(sizeof(struct hv_message_header) == 16, "TLFS 11.10");

/* 13.3: payload of HVMSG_TIMER_EXPIRED. */
struct hv_timer_message_payload {
	uint32_t timer_index;
	uint32_t reserved;
	uint64_t expiration_time;
	uint64_t delivery_time;
} __attribute__((packed));
static_assert(sizeof(struct hv_timer_message_payload) == 24, "TLFS 13.3");

/* 11.11 HvPostMessage: in memory, followed by the payload. */
struct hv_input_post_message {
	uint32_t connection_id;
	uint32_t reserved;
	uint32_t message_type;
	uint32_t payload_size;
} __attribute__((packed));
static_assert(sizeof(struct hv_input_post_message) == 16, "TLFS 11.11");

/* 11.11 HvSignalEvent: in memory, or in one register when fast. */
struct hv_input_signal_event {
	uint32_t connection_id;
	uint16_t flag_number;
	uint16_t rsvdz;
} __attribute__((packed));
static_assert(sizeof(struct hv_input_signal_event) == 8, "TLFS 11.11");

/* 14.5 HvNotifyLongSpinWait. */
struct hv_input_notify_long_spin_wait {
	uint32_t spin_count;
	uint32_t rsvdz;
} __attribute__((packed));
static_assert(sizeof(struct hv_input_notify_long_spin_wait) == 8, "TLFS 14.5");

/* 3.14.1 HvExtCallQueryCapabilities. */
struct hv_output_query_capabilities {
	uint64_t capabilities;	/* bits 0-4: calls 0x8002 to 0x8006 */
} __attribute__((packed));
static_assert(sizeof(struct hv_output_query_capabilities) == 8, "TLFS 3.14.1");

/* 12.7: the reference TSC page. */
struct hv_reference_tsc_page {
	uint32_t tsc_sequence;		/* 0: do not use it */
	uint32_t reserved;
	uint64_t tsc_scale;
	int64_t tsc_offset;
} __attribute__((packed));
static_assert(sizeof(struct hv_reference_tsc_page) == 24, "TLFS 12.7");

#endif
