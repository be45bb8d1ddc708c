/* lb.h: the load balancing policy ABI, version 1, for guests in C (C11, freestanding). docs/ABI.md says what each field
 * means. Include it from one source file: it defines lb_alloc. Build:
 *
 *   clang --target=wasm32 -O2 -fno-unroll-loops -ffreestanding -nostdlib -mbulk-memory -Wl,--no-entry -Wl,-z,stack-size=8192 \
 *         -Wl,--strip-all -I DIRECTORY_OF_LB_H policy.c -o policy.wasm
 *
 * A policy defines lb_abi_v1, lb_init, lb_endpoints and lb_pick, and lb_retry, lb_feedback, lb_tick if it wants them:
 *
 *   LB_EXPORT(lb_pick) int32_t lb_pick(lb_request *r) { ... }
 */
#ifndef LB_H
#define LB_H

#include <stddef.h>
#include <stdint.h>

#define LB_EXPORT(name) __attribute__((export_name(#name)))
#define LB_IMPORT(name) __attribute__((import_module("lb"), import_name(#name)))

/* What lb_abi_v1 answers: flags, and a bit for each live column that is to be kept fresh. */
#define LB_REPLICABLE (1ull << 0)
#define LB_KEEP_ORDER (1ull << 1)
#define LB_WANT(column) (1ull << (32 + (column)))

enum lb_column {
  LB_HEALTH, LB_INFLIGHT, LB_EWMA_US, LB_ERR_PPM, LB_RPS_MILLI, LB_CONSECUTIVE_FAIL, LB_LOAD_PPM, LB_HEARTBEAT_AGE_MS
};
enum lb_health { LB_DOWN, LB_DEGRADED, LB_UP };
enum lb_region { LB_REGION_REQUEST = 1, LB_REGION_TABLE, LB_REGION_FEEDBACK, LB_REGION_CONFIG, LB_REGION_STATE };

/* Results of lb_pick and lb_retry that are not the index of an endpoint. */
enum lb_result { LB_DEFER = -1, LB_REJECT = -2, LB_LIST = -3, LB_STOP = -4 };

enum lb_table_flag { LB_PANIC = 1 };
enum lb_endpoint_flag { LB_SAME_ZONE = 1, LB_CANARY = 2, LB_DRAINING = 4, LB_SPARE = 8 };
enum lb_request_flag {
  LB_HAS_KEY = 1, LB_REPLAYABLE = 2, LB_IDEMPOTENT = 4, LB_TLS = 8, LB_UPGRADE = 16, LB_LAST_TRY = 32
};
enum lb_out_flag { LB_SET_STICKY = 1, LB_NO_RETRY = 2 };

/* Offsets (_off) count from the first byte of the table. */
typedef struct lb_table {
  uint32_t magic, gen, n, ep_off, ep_stride, str_off, str_len, up_gen, n_up, up_off, tier_end[4], self_zone, flags, col_off[16];
} lb_table;
_Static_assert(sizeof(lb_table) == 128, "table header");

typedef struct lb_endpoint {
  uint64_t id_hash;
  uint32_t id, weight;
  uint8_t tier, flags;
  uint16_t zone;
  uint32_t name_off, meta_off, reserved;
} lb_endpoint;
_Static_assert(sizeof(lb_endpoint) == 32, "endpoint");

typedef struct lb_request {
  uint64_t now_ns, rnd, key_hash, seq;
  uint32_t gen, up_gen;
  uint8_t method, attempt, n_tried, reserved0;
  uint32_t flags;
  uint8_t client_ip[16];
  uint16_t client_port, listener;
  uint32_t route;
  uint64_t path_hash, host_hash, content_length;
  uint32_t deadline_ms, elapsed_us;
  int32_t last_ep;
  uint16_t last_status, last_err;
  uint32_t last_us, sticky_ep, tried[8];
  uint8_t reserved1[40];
  uint32_t out_n, out_ep[8], out_timeout_ms, out_hedge_ms, out_status;
  uint64_t out_tag;
  uint32_t out_flags, out_reason;
} lb_request;
_Static_assert(sizeof(lb_request) == 256, "request block");
_Static_assert(offsetof(lb_request, tried) == 120 && offsetof(lb_request, out_n) == 192, "request block");

typedef struct lb_feedback_record {
  uint64_t tag;
  uint32_t ep_id;
  int32_t ep;
  uint16_t status, err;
  uint8_t attempt, flags;
  uint16_t load_permille;
  uint32_t ttfb_us, total_us;
} lb_feedback_record;
_Static_assert(sizeof(lb_feedback_record) == 32, "feedback record");

/* Host functions that policies of this project use; declare others in the same way. An unused one is not imported. */
LB_IMPORT(log) void lb_log(int32_t level, const char *text, uint32_t len);
LB_IMPORT(ctr_id) int32_t lb_ctr_id(const char *name, uint32_t len);
LB_IMPORT(ctr_add) int64_t lb_ctr_add(int32_t id, int64_t delta);

/* Memory: regions grow upwards and are never given back; their sizes double, so at most as much again is lost. */
extern uint8_t __heap_base;
static uint8_t *lb_heap = &__heap_base;

/* lb_bump returns len bytes, aligned to 8, or 0 if memory may not grow that far. */
static void *lb_bump(uint32_t len) {
  uint64_t at = ((uint64_t)(uintptr_t)lb_heap + 7) & ~7ull, end = at + len;
  uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
  if (end > have && __builtin_wasm_memory_grow(0, (size_t)((end - have + 0xffff) >> 16)) == (size_t)-1) return 0;
  lb_heap = (uint8_t *)(uintptr_t)end;
  return (void *)(uintptr_t)at;
}

LB_EXPORT(lb_alloc) void *lb_alloc(int32_t what, uint32_t len) {
  (void)what;
  return lb_bump(len);
}

static inline const lb_endpoint *lb_endpoint_at(const lb_table *t, uint32_t i) {
  return (const lb_endpoint *)((const uint8_t *)t + t->ep_off + i * t->ep_stride);
}

/* lb_column_of returns column c, one figure an endpoint, or 0 if the host does not have it. */
static inline const uint32_t *lb_column_of(const lb_table *t, enum lb_column c) {
  return t->col_off[c] ? (const uint32_t *)((const uint8_t *)t + t->col_off[c]) : 0;
}

static inline int lb_tried(const lb_request *r, uint32_t i) {
  for (uint32_t k = 0; k < r->n_tried; k++)
    if (r->tried[k] == i) return 1;
  return 0;
}

/* lb_span is part of up[]: the usable endpoints of one tier. */
typedef struct lb_span { const uint32_t *at, *end; } lb_span;

static inline lb_span lb_tier(const lb_table *t, uint32_t tier) {
  const uint32_t *up = (const uint32_t *)((const uint8_t *)t + t->up_off);
  return (lb_span){up + (tier ? t->tier_end[tier - 1] : 0), up + t->tier_end[tier]};
}

/* lb_untried tells whether r has an endpoint of s left to try. It looks at no more than n_tried + 1 of them. */
static inline int lb_untried(const lb_request *r, lb_span s) {
  while (s.at < s.end && lb_tried(r, *s.at)) s.at++;
  return s.at < s.end;
}

/* lb_candidates is the first tier in which r has an endpoint left to try; empty if there is none. */
static inline lb_span lb_candidates(const lb_table *t, const lb_request *r) {
  for (uint32_t tier = 0; tier < 4; tier++) {
    lb_span s = lb_tier(t, tier);
    if (lb_untried(r, s)) return s;
  }
  return (lb_span){0, 0};
}

/* lb_next stretches a seed (rnd, key_hash) to further numbers: SplitMix64. */
static inline uint64_t lb_next(uint64_t *seed) {
  uint64_t z = *seed += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

/* lb_draw_counting is the slow half of lb_draw: exact up to 256 endpoints, and beyond that among 256 in a row, so that it
 * stays below the fuel of a pick. It is not inlined: fuel is charged for a whole function. */
static __attribute__((noinline, cold, unused)) int32_t lb_draw_counting(const lb_table *t, const lb_request *r, lb_span s,
                                                                        int32_t not, uint64_t x) {
  uint32_t skip[10], skips = 0; /* what is left out, ascending as the span is, and an end that no index reaches */
  for (uint32_t k = 0; k <= r->n_tried; k++) {
    uint32_t i = k < r->n_tried ? r->tried[k] : (uint32_t)not, at = skips++;
    for (; at > 0 && skip[at - 1] > i; at--) skip[at] = skip[at - 1];
    skip[at] = i;
  }
  skip[skips] = ~0u;

  uint32_t n = (uint32_t)(s.end - s.at);
  const uint32_t *begin = s.at;
  if (n > 256) {
    begin += (uint32_t)((x >> 32) * (n - 255) >> 32);
    n = 256;
  }
  uint64_t total = 0;
  const uint32_t *next = skip;
  for (const uint32_t *p = begin; p < begin + n; p++) {
    while (*next < *p) next++;
    if (*next != *p) total += lb_endpoint_at(t, *p)->weight;
  }
  if (total == 0) return -1;
  x %= total; /* uneven by no more than total / 2^64 */
  next = skip;
  for (const uint32_t *p = begin; p < begin + n; p++) {
    while (*next < *p) next++;
    if (*next == *p) continue;
    uint32_t w = lb_endpoint_at(t, *p)->weight;
    if (x < w) return (int32_t)*p;
    x -= w;
  }
  return -1;
}

/* lb_draw draws an endpoint of s by weight, leaving out those tried and endpoint not (-1: no other); -1 if none is left.
 * heaviest is the greatest weight in the table. It throws darts, each at an even endpoint and an even height below
 * heaviest, and after 16 misses counts through the weights: both ways have the same shares. */
static inline int32_t lb_draw(const lb_table *t, const lb_request *r, lb_span s, uint32_t heaviest, int32_t not, uint64_t *seed) {
  uint32_t n = (uint32_t)(s.end - s.at);
  for (uint32_t k = 0; k < 16 && n > 0; k++) {
    uint64_t x = lb_next(seed);
    uint32_t i = s.at[(x >> 32) * n >> 32];
    if (((x & 0xffffffff) * heaviest >> 32) < lb_endpoint_at(t, i)->weight && (int32_t)i != not && !lb_tried(r, i)) return (int32_t)i;
  }
  return lb_draw_counting(t, r, s, not, lb_next(seed));
}

/* lb_heaviest is the greatest weight in t. */
static inline uint32_t lb_heaviest(const lb_table *t) {
  uint32_t heaviest = 0;
  for (uint32_t i = 0; i < t->n; i++) {
    uint32_t w = lb_endpoint_at(t, i)->weight;
    if (w > heaviest) heaviest = w;
  }
  return heaviest;
}

/* lb_setting is one "key": 123 of a configuration. */
typedef struct lb_setting { const char *key; uint32_t key_len; uint64_t value; } lb_setting;

static inline const char *lb_blank(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
  return p;
}

/* lb_next_setting walks a configuration that is one JSON object of whole numbers below 2^53, with keys without escapes.
 * *at begins at the first byte. It answers 1 and fills s, 0 at the end, or -1 if the text is anything else. */
static inline int lb_next_setting(const char **at, const char *begin, const char *end, lb_setting *s) {
  const char *p = lb_blank(*at, end);
  int first = lb_blank(begin, end) == p;
  if (p == end || (first && *p != '{')) return -1;
  if (first) {
    p = lb_blank(p + 1, end);
    if (p < end && *p == '}') return lb_blank(p + 1, end) == end ? 0 : -1;
  } else if (*p == '}') {
    return lb_blank(p + 1, end) == end ? 0 : -1;
  } else if (*p++ != ',') {
    return -1;
  }
  p = lb_blank(p, end);
  if (p == end || *p++ != '"') return -1;
  s->key = p;
  while (p < end && *p != '"' && *p != '\\') p++;
  s->key_len = (uint32_t)(p - s->key);
  if (p == end || *p++ != '"') return -1;
  p = lb_blank(p, end);
  if (p == end || *p++ != ':') return -1;
  p = lb_blank(p, end);
  const char *digits = p;
  for (s->value = 0; p < end && *p >= '0' && *p <= '9'; p++) {
    s->value = s->value * 10 + (uint64_t)(*p - '0');
    if (s->value >> 53) return -1;
  }
  if (p == digits || (*digits == '0' && p - digits > 1)) return -1;
  p = lb_blank(p, end);
  if (p == end || (*p != ',' && *p != '}')) return -1;
  *at = p;
  return 1;
}

/* lb_is tells whether the key of s is the given text. */
static inline int lb_is(const lb_setting *s, const char *text) {
  uint32_t k = 0;
  while (k < s->key_len && text[k] && text[k] == s->key[k]) k++;
  return k == s->key_len && !text[k];
}

#endif
