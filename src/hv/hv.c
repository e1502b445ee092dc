/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "core/trace.h"
#include "hv/hv_internal.h"

uint32_t hv_overlay_pages(uint32_t vp_count)
{
	return PAGES_OF_PARTITION + vp_count * PAGES_OF_VP;
}

static void vp_init(struct hv *hv, uint32_t index)
{
	struct hv_vp *vp = &hv->vp[index];

	vp->hv = hv;
	vp->index = index;
	deadline_init(vp);
	synic_init(vp);
	stimer_init(vp);
}

struct hv *hv_new(const struct hv_config *config, const struct gmem *gm,
		  const struct hv_host_ops *ops, void *host)
{
	struct hv *hv = g_new0(struct hv, 1);

	g_assert(config->vp_count >= 1 && config->vp_count <= HV_VP_MAX);
	hv->config = *config;
	hv->gm = gm;
	hv->ops = ops;
	hv->host = host;
	pthread_mutex_init(&hv->lock, NULL);
	pthread_mutex_init(&hv->overlay_lock, NULL);
	hv->overlay = g_new0(struct overlay,
			     hv_overlay_pages(config->vp_count));
	profile_init(hv);
	reftime_init(hv);
	ports_init(hv);
	calls_init(hv);
	hv->vp = g_new0(struct hv_vp, config->vp_count);
	for (uint32_t i = 0; i < config->vp_count; i++)
		vp_init(hv, i);
	return hv;
}

void hv_free(struct hv *hv)
{
	if (!hv)
		return;

	for (uint32_t i = 0; i < hv->config.vp_count; i++)
		synic_finish(&hv->vp[i]);
	g_free(hv->vp);
	ports_finish(hv);
	g_free(hv->overlay);
	pthread_mutex_destroy(&hv->overlay_lock);
	pthread_mutex_destroy(&hv->lock);
	g_free(hv);
}

void hv_reset(struct hv *hv)
{
	trace(TRACE_HV, "hv.reset");
	for (uint32_t i = 0; i < hv->config.vp_count; i++) {
		stimer_reset(&hv->vp[i]);
		synic_reset(&hv->vp[i]);
	}
	for (uint32_t p = 0; p < hv_overlay_pages(hv->config.vp_count); p++)
		overlay_set(hv, p, 0);
	hv->guest_os_id = 0;
	hv->tsc_invariant_control = 0;
	memset(hv->page_msr, 0, sizeof(hv->page_msr));
	memset(hv->crash, 0, sizeof(hv->crash));
}

struct hv_sint *hv_get_sint(struct hv *hv, uint32_t vp, unsigned sint)
{
	if (vp >= hv->config.vp_count || sint >= HV_SYNIC_SINT_COUNT)
		return NULL;
	return &hv->vp[vp].sint[sint].port;
}
