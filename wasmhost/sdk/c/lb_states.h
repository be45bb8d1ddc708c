/* lb_states.h: a record of your own for each endpoint, across tables and versions of the policy. */
#ifndef LB_STATES_H
#define LB_STATES_H

#include "lb.h"

/* lb_states keeps one record of yours for each endpoint across tables: record k is that of endpoint k of the table, and a new
 * endpoint's is all zeros. The record's first field is a uint32_t that lb_carry fills with the endpoint's id. Declare
 * static lb_states states = {.size = sizeof(RECORD)}; call lb_carry in lb_endpoints. */
typedef struct lb_states { uint8_t *at, *spare; uint32_t *slots, size, n, room; } lb_states;

static inline void *lb_state(const lb_states *s, uint32_t i) { return s->at + i * s->size; }
static inline uint32_t lb_state_id(const lb_states *s, uint32_t i) { return *(const uint32_t *)lb_state(s, i); }

/* lb_state_of finds the record of the endpoint with that id, or 0. */
static inline void *lb_state_of(const lb_states *s, uint32_t id) {
  if (s->room == 0) return 0;
  for (uint32_t mask = s->room * 2 - 1, k = id * 0x9e3779b1u; s->slots[k & mask] != 0; k++) {
    uint32_t i = s->slots[k & mask] - 1;
    if (lb_state_id(s, i) == id) return lb_state(s, i);
  }
  return 0;
}

/* lb_states_index makes room for n records, those that are there included, and files the first s->n under their ids. */
static __attribute__((noinline, unused)) int lb_states_index(lb_states *s, uint32_t n) {
  if (n > s->room) {
    uint32_t room = 64;
    while (room < n) room *= 2;
    uint8_t *at = lb_bump(room * s->size), *spare = lb_bump(room * s->size);
    uint32_t *slots = lb_bump(room * 2 * sizeof *slots);
    if (!at || !spare || !slots) return -1;
    __builtin_memcpy(at, s->at, s->n * s->size);
    *s = (lb_states){at, spare, slots, s->size, s->n, room};
  }
  __builtin_memset(s->slots, 0, s->room * 2 * sizeof *s->slots);
  for (uint32_t i = 0, mask = s->room * 2 - 1; i < s->n; i++) {
    uint32_t k = lb_state_id(s, i) * 0x9e3779b1u;
    while (s->slots[k & mask] != 0) k++;
    s->slots[k & mask] = i + 1;
  }
  return 0;
}

/* lb_carry takes the records on to table t. It answers 0, or -1 if there is no memory for it. */
static __attribute__((unused)) int lb_carry(lb_states *s, const lb_table *t) {
  if (lb_states_index(s, t->n > s->n ? t->n : s->n) < 0) return -1;
  for (uint32_t i = 0; i < t->n; i++) {
    uint32_t id = lb_endpoint_at(t, i)->id;
    const void *old = lb_state_of(s, id);
    uint8_t *to = s->spare + i * s->size;
    if (old) __builtin_memcpy(to, old, s->size);
    else __builtin_memset(to, 0, s->size);
    *(uint32_t *)to = id;
  }
  uint8_t *at = s->spare;
  s->spare = s->at;
  s->at = at;
  s->n = t->n;
  return lb_states_index(s, s->n);
}

/* lb_save_states writes the records to buf for lb_save, after a number that names their layout: change it with the layout. */
static __attribute__((unused)) int32_t lb_save_states(const lb_states *s, uint64_t layout, uint8_t *buf, uint32_t cap) {
  uint32_t len = 8 + s->n * s->size;
  if (len > cap) return 0;
  __builtin_memcpy(buf, &layout, 8);
  __builtin_memcpy(buf + 8, s->at, s->n * s->size);
  return (int32_t)len;
}

/* lb_load_states takes records back for lb_restore, whether a table is there (t) or not yet (0). -1 refuses what is none. */
static __attribute__((unused)) int32_t lb_load_states(lb_states *s, uint64_t layout, const uint8_t *buf, uint32_t len, const lb_table *t) {
  uint64_t found = ~layout;
  if (len >= 8) __builtin_memcpy(&found, buf, 8);
  if (found != layout || (len - 8) % s->size != 0) return -1;
  uint32_t n = (len - 8) / s->size;
  s->n = 0;
  if (lb_states_index(s, n) < 0) return -1;
  __builtin_memcpy(s->at, buf + 8, n * s->size);
  s->n = n;
  return lb_states_index(s, n) < 0 ? -1 : t ? lb_carry(s, t) : 0;
}

#endif
