/* lb.h: the load balancing policy ABI, version 1, for guests in C (C11, freestanding). docs/ABI.md says what each field
 * means. lb_states.h has what policies with a memory of each endpoint need. Include it from one source file: it defines
 * lb_alloc. Build:
 *
 *   clang --target=wasm32 -O2 -fno-unroll-loops -ffreestanding -nostdlib -mbulk-memory -Wl,--no-entry -Wl,-z,stack-size=8192 \
 *         -Wl,--strip-all -I DIRECTORY_OF_LB_H policy.c -o policy.wasm
 *
 * A policy defines the first four, and those of the others that it wants to be called for:
 *
 *   LB_EXPORT(lb_abi_v1) uint64_t lb_abi_v1(uint64_t host_features)       flags and live columns that it wants
 *   LB_EXPORT(lb_init) int32_t lb_init(const char *config, uint32_t len)  0, or below 0 to refuse; the text stays where it is
 *   LB_EXPORT(lb_endpoints) int32_t lb_endpoints(const lb_table *t)       another topology; t stays until the next call
 *   LB_EXPORT(lb_pick) int32_t lb_pick(lb_request *r)                     an index into the table, or one of lb_result
 *   LB_EXPORT(lb_retry) int32_t lb_retry(lb_request *r)                   the same, after a failed attempt
 *   LB_EXPORT(lb_feedback) void lb_feedback(const lb_feedback_record *f, uint32_t n, uint64_t now_ns)
 *   LB_EXPORT(lb_tick) void lb_tick(uint64_t now_ns)                      every lb_set_tick milliseconds
 *   LB_EXPORT(lb_save) int32_t lb_save(uint8_t *buf, uint32_t cap)        state for the next version: bytes written
 *   LB_EXPORT(lb_restore) int32_t lb_restore(const uint8_t *buf, uint32_t len)
 */
#ifndef LB_H
#define LB_H

#include <stddef.h>
#include <stdint.h>

#define LB_EXPORT(name) __attribute__((export_name(#name)))
#define LB_IMPORT(name) __attribute__((import_module("lb"), import_name(#name)))

/* What lb_abi_v1 is told of the host, and what it answers: flags, and a bit for each live column that is to be kept fresh. */
#define LB_HOST_KV (1ull << 1)
#define LB_HOST_EJECT (1ull << 2)
#define LB_REPLICABLE (1ull << 0) /* may run as several instances, each with a state of its own */
#define LB_KEEP_ORDER (1ull << 1) /* every feedback record counts: none is merged with another */
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
enum lb_method {
  LB_OTHER_METHOD, LB_GET, LB_HEAD, LB_POST, LB_PUT, LB_DELETE, LB_CONNECT, LB_OPTIONS, LB_TRACE, LB_PATCH
};
/* How an attempt ended: last_err of a request, err of a feedback record. */
enum lb_err {
  LB_OK, LB_REFUSED, LB_CONNECT_TIMEOUT, LB_RESET, LB_HEADER_TIMEOUT, LB_BODY_TIMEOUT, LB_TLS_FAILED, LB_UNRESOLVABLE,
  LB_MALFORMED, LB_POOL_EXHAUSTED, LB_CANCELLED, LB_BAD_STATUS
};
enum lb_feedback_flag { LB_FINAL = 1, LB_HEDGE_LOSER = 2, LB_CLIENT_GONE = 4, LB_UNMADE = 8 };

#define LB_NONE 0xffffffffu /* no endpoint (sticky_ep), no deadline, no figure (load_ppm, heartbeat_age_ms) */

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

/* Host functions. One that is not used is not imported. They answer a length, an id or 0 and above, or one of lb_status.
 * Where a buffer is filled, the length is answered, and nothing is written if it exceeds cap. Each costs 100 fuel, and a
 * quarter of the bytes that it reads or writes. */
enum lb_status { LB_NOT_FOUND = -1, LB_BAD_ID = -2, LB_NOT_NOW = -3, LB_LIMIT = -4, LB_FEATURE_OFF = -5 };
enum lb_level { LB_DEBUG, LB_INFO, LB_WARN, LB_ERROR };
enum lb_attr_name {
  LB_ATTR_PATH = 1, LB_ATTR_QUERY, LB_ATTR_HOST, LB_ATTR_METHOD, LB_ATTR_SNI, LB_ATTR_ROUTE, LB_ATTR_CLUSTER, LB_ATTR_CLIENT_IP,
  LB_ATTR_CLIENT_IDENTITY
};
enum lb_metric_kind { LB_COUNTER, LB_GAUGE };

/* Anywhere. */
LB_IMPORT(log) void lb_log(int32_t level, const char *text, uint32_t len);
LB_IMPORT(hash64) uint64_t lb_hash64(const void *p, uint32_t len, uint64_t seed); /* xxh64 */
LB_IMPORT(rand64) uint64_t lb_rand64(void);
LB_IMPORT(now_ns) uint64_t lb_now_ns(void);
LB_IMPORT(ctr_add) int64_t lb_ctr_add(int32_t id, int64_t delta);                  /* the new value; 0 of an unknown id */
LB_IMPORT(ctr_cas) int32_t lb_ctr_cas(int32_t id, int64_t old, int64_t new_value); /* 1 done, 0 not */
LB_IMPORT(kv_get) int32_t lb_kv_get(const char *key, uint32_t key_len, void *buf, uint32_t cap);
LB_IMPORT(kv_set) int32_t lb_kv_set(const char *key, uint32_t key_len, const void *value, uint32_t len, int32_t ttl_ms);
LB_IMPORT(metric_add) void lb_metric_add(int32_t id, int64_t v);
LB_IMPORT(eject) int32_t lb_eject(uint32_t ep, uint32_t ms);
/* In lb_init. */
LB_IMPORT(header_id) int32_t lb_header_id(const char *name, uint32_t len);
LB_IMPORT(ctr_id) int32_t lb_ctr_id(const char *name, uint32_t len);
LB_IMPORT(metric_id) int32_t lb_metric_id(int32_t kind, const char *name, uint32_t len);
LB_IMPORT(set_tick) int32_t lb_set_tick(uint32_t ms); /* at least 100 */
/* In lb_pick and lb_retry. */
LB_IMPORT(attr) int32_t lb_attr(int32_t what, char *buf, uint32_t cap);
LB_IMPORT(header) int32_t lb_header(int32_t id, char *buf, uint32_t cap);
LB_IMPORT(header_hash) uint64_t lb_header_hash(int32_t id, uint64_t seed); /* 0 if there is none */
LB_IMPORT(header_eq) int32_t lb_header_eq(int32_t id, const char *p, uint32_t len);
LB_IMPORT(cookie_hash) uint64_t lb_cookie_hash(const char *name, uint32_t len, uint64_t seed);
/* From lb_endpoints on. lb_meta below reads the same without a call. */
LB_IMPORT(ep_meta) int32_t lb_ep_meta(uint32_t ep, const char *key, uint32_t key_len, char *buf, uint32_t cap);

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

/* lb_text is text where it lies, in the table or in the configuration: UTF-8, not NUL-ended. */
typedef struct lb_text { const char *at; uint32_t len; } lb_text;
#define LB_TEXT(literal) ((lb_text){literal, sizeof(literal) - 1})

static inline int lb_same(lb_text a, lb_text b) {
  if (a.len != b.len) return 0;
  for (uint32_t k = 0; k < a.len; k++)
    if (a.at[k] != b.at[k]) return 0;
  return 1;
}

static inline uint32_t lb_read_u32(const char *p) {
  uint32_t x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}

static inline lb_text lb_read_text(const char *p) { return (lb_text){p + 4, lb_read_u32(p)}; }

/* lb_name is the name of endpoint i, for people. */
static inline lb_text lb_name(const lb_table *t, uint32_t i) {
  return lb_read_text((const char *)t + lb_endpoint_at(t, i)->name_off);
}

/* lb_meta finds a key in the metadata of endpoint i. It answers 1 and fills in value, or 0. It goes through the pairs: ask
 * in lb_endpoints and keep what comes of it. */
static inline int lb_meta(const lb_table *t, uint32_t i, lb_text key, lb_text *value) {
  const char *p = (const char *)t + lb_endpoint_at(t, i)->meta_off;
  uint32_t pairs = lb_read_u32(p);
  for (p += 4; pairs > 0; pairs--) {
    lb_text k = lb_read_text(p), v = lb_read_text(k.at + k.len);
    if (lb_same(k, key)) {
      *value = v;
      return 1;
    }
    p = v.at + v.len;
  }
  return 0;
}

/* lb_digits reads text that is a whole number below 2^53 in digits alone. It answers 1 and fills in x, or 0. */
static inline int lb_digits(lb_text s, uint64_t *x) {
  uint64_t sum = 0;
  for (uint32_t k = 0; k < s.len; k++) {
    if (s.at[k] < '0' || s.at[k] > '9' || (sum = sum * 10 + (uint64_t)(s.at[k] - '0')) >> 53) return 0;
  }
  *x = sum;
  return s.len > 0;
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

/* lb_is_up tells whether endpoint i is in up[], that is whether it may be picked. It takes about 10 fuel times log2(n). */
static inline int lb_is_up(const lb_table *t, uint32_t i) {
  uint32_t tier = lb_endpoint_at(t, i)->tier;
  lb_span s = lb_tier(t, tier < 3 ? tier : 3);
  while (s.at < s.end) {
    const uint32_t *middle = s.at + (s.end - s.at) / 2;
    if (*middle == i) return 1;
    if (*middle < i) s.at = middle + 1;
    else s.end = middle;
  }
  return 0;
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
                                                                        int32_t not, const uint8_t *out, uint64_t x) {
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
    if (*next != *p && !(out && out[*p])) total += lb_endpoint_at(t, *p)->weight;
  }
  if (total == 0) return -1;
  x %= total; /* uneven by no more than total / 2^64 */
  next = skip;
  for (const uint32_t *p = begin; p < begin + n; p++) {
    while (*next < *p) next++;
    if (*next == *p || (out && out[*p])) continue;
    uint32_t w = lb_endpoint_at(t, *p)->weight;
    if (x < w) return (int32_t)*p;
    x -= w;
  }
  return -1;
}

/* lb_draw_but draws an endpoint of s by weight, leaving out those tried, endpoint not (-1: no other), and those for which
 * out, a byte an endpoint, is not 0 (out 0: no others); -1 if none is left. heaviest is the greatest weight there is. It
 * throws darts, each at an even endpoint and an even height below heaviest, and after 16 misses counts through the weights:
 * both ways have the same shares. */
static inline int32_t lb_draw_but(const lb_table *t, const lb_request *r, lb_span s, uint32_t heaviest, int32_t not,
                                  const uint8_t *out, uint64_t *seed) {
  uint32_t n = (uint32_t)(s.end - s.at);
  for (uint32_t k = 0; k < 16 && n > 0; k++) {
    uint64_t x = lb_next(seed);
    uint32_t i = s.at[(x >> 32) * n >> 32];
    if (((x & 0xffffffff) * heaviest >> 32) < lb_endpoint_at(t, i)->weight && (int32_t)i != not && !(out && out[i]) &&
        !lb_tried(r, i))
      return (int32_t)i;
  }
  return lb_draw_counting(t, r, s, not, out, lb_next(seed));
}

/* lb_draw is lb_draw_but with nothing left out but what was tried and endpoint not. */
static inline int32_t lb_draw(const lb_table *t, const lb_request *r, lb_span s, uint32_t heaviest, int32_t not, uint64_t *seed) {
  return lb_draw_but(t, r, s, heaviest, not, 0, seed);
}

/* lb_less_loaded tells whether endpoint a has less (requests in flight + 1) / weight than b. Want LB_INFLIGHT. */
static inline int lb_less_loaded(const lb_table *t, int32_t a, int32_t b) {
  const uint32_t *inflight = lb_column_of(t, LB_INFLIGHT);
  uint64_t load_a = inflight ? inflight[a] : 0, load_b = inflight ? inflight[b] : 0;
  return (load_a + 1) * lb_endpoint_at(t, (uint32_t)b)->weight < (load_b + 1) * lb_endpoint_at(t, (uint32_t)a)->weight;
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

/* lb_setting is one "key": value of a configuration. */
enum lb_kind { LB_NUMBER, LB_STRING, LB_BOOL };
typedef struct lb_setting {
  lb_text key;
  enum lb_kind kind;
  lb_text text;   /* LB_STRING: what is between the quotes; LB_NUMBER, LB_BOOL: as written */
  double number;  /* LB_NUMBER; LB_BOOL: 1 or 0 */
} lb_setting;

static inline const char *lb_blank(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
  return p;
}

/* lb_quoted reads a string without escapes. It answers what follows its closing quote, or 0. */
static inline const char *lb_quoted(const char *p, const char *end, lb_text *text) {
  if (p == end || *p++ != '"') return 0;
  text->at = p;
  while (p < end && *p != '"' && *p != '\\' && (uint8_t)*p >= ' ') p++;
  text->len = (uint32_t)(p - text->at);
  return p < end && *p == '"' ? p + 1 : 0;
}

/* lb_unquoted reads a number (digits, and a fraction if need be), true or false. It answers what follows it, or 0. */
static inline const char *lb_unquoted(const char *p, const char *end, lb_setting *s) {
  s->text.at = p;
  while (p < end && *p != ',' && *p != '}' && (uint8_t)*p > ' ') p++;
  s->text.len = (uint32_t)(p - s->text.at);
  int yes = lb_same(s->text, LB_TEXT("true"));
  s->kind = yes || lb_same(s->text, LB_TEXT("false")) ? LB_BOOL : LB_NUMBER;
  s->number = yes;
  if (s->kind == LB_BOOL) return p;
  lb_text whole = s->text, part;
  for (whole.len = 0; whole.len < s->text.len && whole.at[whole.len] != '.';) whole.len++;
  uint64_t x, y;
  if (!lb_digits(whole, &x) || (*whole.at == '0' && whole.len > 1)) return 0;
  s->number = (double)x;
  if (whole.len == s->text.len) return p;
  part = (lb_text){whole.at + whole.len + 1, s->text.len - whole.len - 1};
  if (!lb_digits(part, &y)) return 0;
  double fraction = (double)y;
  for (uint32_t k = 0; k < part.len; k++) fraction /= 10;
  s->number += fraction;
  return p;
}

/* lb_next_setting walks a configuration that is one flat JSON object of strings without escapes, numbers without sign or
 * exponent, true and false. *at begins at the first byte. It answers 1 and fills in s, 0 at the end (and at once if there is
 * no configuration), or -1 if the text is anything else. */
static __attribute__((noinline, unused)) int lb_next_setting(const char **at, const char *begin, const char *end, lb_setting *s) {
  if (begin == end) return 0;
  const char *p = lb_blank(*at, end);
  int first = lb_blank(begin, end) == p;
  if (p == end || (first && *p != '{')) return -1;
  if (first) p = lb_blank(p + 1, end);
  if (p < end && *p == '}') return lb_blank(p + 1, end) == end ? 0 : -1;
  if (!first) {
    if (p == end || *p++ != ',') return -1;
    p = lb_blank(p, end);
  }
  if (!(p = lb_quoted(p, end, &s->key))) return -1;
  p = lb_blank(p, end);
  if (p == end || *p++ != ':') return -1;
  p = lb_blank(p, end);
  s->kind = LB_STRING;
  p = p < end && *p == '"' ? lb_quoted(p, end, &s->text) : lb_unquoted(p, end, s);
  if (!p) return -1;
  p = lb_blank(p, end);
  if (p == end || (*p != ',' && *p != '}')) return -1;
  *at = p;
  return 1;
}

/* lb_is tells whether the key of s is the given text. */
static inline int lb_is(const lb_setting *s, const char *text) {
  uint32_t k = 0;
  while (k < s->key.len && text[k] && text[k] == s->key.at[k]) k++;
  return k == s->key.len && !text[k];
}

/* lb_number, lb_whole and lb_string answer 1 and fill in x if s has that key and such a value: a number from least to most,
 * a whole one, a string. So a loop that none of them takes a setting in refuses it. */
static inline int lb_number(const lb_setting *s, const char *key, double least, double most, double *x) {
  if (!lb_is(s, key) || s->kind != LB_NUMBER || s->number < least || s->number > most) return 0;
  *x = s->number;
  return 1;
}

static inline int lb_whole(const lb_setting *s, const char *key, uint32_t least, uint32_t most, uint32_t *x) {
  double d;
  if (!lb_number(s, key, least, most, &d) || d != (uint32_t)d) return 0;
  *x = (uint32_t)d;
  return 1;
}

static inline int lb_string(const lb_setting *s, const char *key, lb_text *x) {
  if (!lb_is(s, key) || s->kind != LB_STRING) return 0;
  *x = s->text;
  return 1;
}

#endif
