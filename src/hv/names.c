/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the TLFS calls the bits of CPUID and the MSRs, for people to read.
 */
#include "hv/hv_internal.h"

/* TLFS 2.4.4 to 2.4.7; a bit without a name is reserved. */
static const char *const feature_eax[32] = {
	"AccessVpRunTimeReg", "AccessPartitionReferenceCounter",
	"AccessSynicRegs", "AccessSyntheticTimerRegs", "AccessIntrCtrlRegs",
	"AccessHypercallMsrs", "AccessVpIndex", "AccessResetReg",
	"AccessStatsReg", "AccessPartitionReferenceTsc", "AccessGuestIdleReg",
	"AccessFrequencyRegs", "AccessDebugRegs",
	"AccessReenlightenmentControls", "AccessRootSchedulerReg",
	"AccessTscInvariantControls",
};

static const char *const feature_ebx[32] = {
	"CreatePartitions", "AccessPartitionId", "AccessMemoryPool",
	"AdjustMessageBuffers", "PostMessages", "SignalEvents", "CreatePort",
	"ConnectPort", "AccessStats", [11] = "Debugging", "CpuManagement",
	"ConfigureProfiler", "EnableExpandedStackwalking",
	"EnableExtendedGvaRangesForFlush", "AccessVSM", "AccessVpRegisters",
	[19] = "FastHypercallOutput", "EnableExtendedHypercalls",
	"StartVirtualProcessor", "Isolation",
};

static const char *const feature_edx[32] = {
	"Mwait", "GuestDebugging", "PerformanceMonitor",
	"CpuDynamicPartitioningEvents", "XmmRegistersForFastHypercall",
	"GuestIdleState", "HypervisorSleepState", "NumaDistanceQuery",
	"TimerFrequencies", "SyntheticMachineCheck", "GuestCrashMsrs",
	"DebugMsrs", "Npiep", "DisableHypervisor",
	"ExtendedGvaRangesForFlushVirtualAddressList", "FastHypercallOutput",
	"SvmFeatures", "SintPollingMode", "HypercallMsrLock",
	"DirectSyntheticTimers", "PatForVsm", "BndcfgsForVsm", "WatchdogTimer",
	"SyntheticTimeUnhaltedTimer", "DeviceDomains", "S1DeviceDomains",
	"Lbr", "Ipt", "CrossVtlFlush", "IdleSpecCtrl", "TranslateGvaFlags",
	"ApicEoiIntercept",
};

static const char *const hint_eax[32] = {
	"UseHypercallForAddressSpaceSwitch", "UseHypercallForLocalFlush",
	"UseHypercallForRemoteFlushAndLocalFlushEntire", "UseApicMsrs",
	"UseResetMsr", "UseRelaxedTiming", "UseDmaRemapping",
	"UseInterruptRemapping", "UseX2ApicMsrs", "DeprecateAutoEoi",
	"UseSyntheticClusterIpi", "UseExProcessorMasks", "Nested",
	"UseIntForMbecSystemCalls", "UseEnlightenedVmcs", "UseSyncedTimeline",
	"CoreSchedulerRequested", "UseDirectLocalFlushEntire",
	"NoNonArchitecturalCoreSharing", "UseX2Apic", "RestoreTimeOnResume",
	"UseHypercallForMmioAccess", "UseGpaPinningHypercall", "WakeVps",
};

static const char *const hardware_eax[32] = {
	"ApicOverlayAssist", "MsrBitmaps", "ArchPerfCounters", "Slat",
	"DmaRemapping", "InterruptRemapping", "MemoryPatrolScrubber",
	"DmaProtection", "HpetRequested", "SyntheticTimersVolatile",
};

static const struct {
	uint32_t leaf;
	enum hv_reg reg;
	const char *const *name;	/* 32 of them */
} bits[] = {
	{ HV_CPUID_FEATURES, EAX, feature_eax },
	{ HV_CPUID_FEATURES, EBX, feature_ebx },
	{ HV_CPUID_FEATURES, EDX, feature_edx },
	{ HV_CPUID_ENLIGHTENMENT_INFO, EAX, hint_eax },
	{ HV_CPUID_HARDWARE_FEATURES, EAX, hardware_eax },
};

const char *hv_cpuid_bit_name(uint32_t leaf, unsigned reg, unsigned bit)
{
	g_assert(bit < 32);
	for (size_t i = 0; i < G_N_ELEMENTS(bits); i++)
		if (bits[i].leaf == leaf && bits[i].reg == reg)
			return bits[i].name[bit];
	return NULL;
}

/* Appendix C; one name for registers that have a number each. */
static const struct {
	uint32_t first, last;
	const char *name;
} msrs[] = {
	{ 0x40000000, 0x40000000, "GUEST_OS_ID" },
	{ 0x40000001, 0x40000001, "HYPERCALL" },
	{ 0x40000002, 0x40000002, "VP_INDEX" },
	{ 0x40000003, 0x40000003, "RESET" },
	{ 0x40000010, 0x40000010, "VP_RUNTIME" },
	{ 0x40000020, 0x40000020, "TIME_REF_COUNT" },
	{ 0x40000021, 0x40000021, "REFERENCE_TSC" },
	{ 0x40000022, 0x40000022, "TSC_FREQUENCY" },
	{ 0x40000023, 0x40000023, "APIC_FREQUENCY" },
	{ 0x40000040, 0x40000040, "NPIEP_CONFIG" },
	{ 0x40000070, 0x40000070, "EOI" },
	{ 0x40000071, 0x40000071, "ICR" },
	{ 0x40000072, 0x40000072, "TPR" },
	{ 0x40000073, 0x40000073, "VP_ASSIST_PAGE" },
	{ 0x40000080, 0x40000080, "SCONTROL" },
	{ 0x40000081, 0x40000081, "SVERSION" },
	{ 0x40000082, 0x40000082, "SIEFP" },
	{ 0x40000083, 0x40000083, "SIMP" },
	{ 0x40000084, 0x40000084, "EOM" },
	{ 0x40000085, 0x40000085, "SIRBP" },
	{ 0x40000090, 0x4000009f, "SINT0-SINT15" },
	{ 0x400000b0, 0x400000b7, "STIMER0-STIMER3" },
	{ 0x400000c1, 0x400000c3, "POWER_STATE_TRIGGER_C1-C3" },
	{ 0x400000d1, 0x400000d3, "POWER_STATE_CONFIG_C1-C3" },
	{ 0x400000e0, 0x400000e3, "STATS" },
	{ 0x400000f0, 0x400000f0, "GUEST_IDLE" },
	{ 0x400000f1, 0x400000f5, "SYNTH_DEBUG" },
	{ 0x400000ff, 0x400000ff, "DEBUG_DEVICE_OPTIONS" },
	{ 0x40000100, 0x40000104, "CRASH_P0-CRASH_P4" },
	{ 0x40000105, 0x40000105, "CRASH_CTL" },
	{ 0x40000106, 0x40000106, "REENLIGHTENMENT_CONTROL" },
	{ 0x40000107, 0x40000107, "TSC_EMULATION_CONTROL" },
	{ 0x40000108, 0x40000108, "TSC_EMULATION_STATUS" },
	{ 0x40000114, 0x40000115, "STIME_UNHALTED_TIMER" },
	{ 0x40000118, 0x40000118, "TSC_INVARIANT_CONTROL" },
};

const char *hv_msr_name(uint32_t msr)
{
	for (size_t i = 0; i < G_N_ELEMENTS(msrs); i++)
		if (msr >= msrs[i].first && msr <= msrs[i].last)
			return msrs[i].name;
	return NULL;
}
