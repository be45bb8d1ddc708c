// lb.ts: the load balancing policy ABI, version 1, for guests in AssemblyScript. docs/ABI.md says what each field means.
// Build: asc policy.ts -O3 --noAssert --runtime stub --use abort= -o policy.wasm
//
// A policy exports the first five, and those of the others that it wants to be called for:
//
//   export { lb_alloc } from ".../lb";
//   export function lb_abi_v1(hostFeatures: u64): u64            flags and live columns that it wants
//   export function lb_init(config: usize, len: u32): i32        0, or below 0 to refuse
//   export function lb_endpoints(t: Table): i32                  another topology; t stays until the next call
//   export function lb_pick(r: Request): i32                     an index into the table, or DEFER, REJECT, LIST
//   export function lb_retry(r: Request): i32                    the same, or STOP, after a failed attempt
//   export function lb_feedback(records: usize, n: u32, nowNs: u64): void   see feedback()
//   export function lb_tick(nowNs: u64): void                    every set_tick milliseconds
//   export function lb_save(buf: usize, cap: u32): i32           state for the next version: bytes written
//   export function lb_restore(buf: usize, len: u32): i32
//
// With the stub runtime nothing is freed: allocate in lb_init and lb_endpoints, never in lb_pick, lb_feedback or lb_tick.

// What lb_abi_v1 is told of the host, and what it answers: flags, and a bit for each live column that is to be kept fresh.
export const HOST_KV: u64 = 1 << 1, HOST_EJECT: u64 = 1 << 2;
export const REPLICABLE: u64 = 1 << 0; // may run as several instances, each with a state of its own
export const KEEP_ORDER: u64 = 1 << 1; // every feedback record counts: none is merged with another
// @ts-ignore: decorator
@inline export function want(column: Column): u64 { return <u64>1 << (32 + <u64>column); }

export enum Column { HEALTH, INFLIGHT, EWMA_US, ERR_PPM, RPS_MILLI, CONSECUTIVE_FAIL, LOAD_PPM, HEARTBEAT_AGE_MS }
export enum Health { DOWN, DEGRADED, UP }
export enum Method { OTHER, GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH }
// How an attempt ended: last_err of a request, err of a feedback record.
export enum Err {
  OK, REFUSED, CONNECT_TIMEOUT, RESET, HEADER_TIMEOUT, BODY_TIMEOUT, TLS, UNRESOLVABLE, MALFORMED, POOL_EXHAUSTED, CANCELLED,
  BAD_STATUS,
}

// Results of lb_pick and lb_retry that are not the index of an endpoint.
export const DEFER: i32 = -1, REJECT: i32 = -2, LIST: i32 = -3, STOP: i32 = -4;

export const SAME_ZONE: u8 = 1, CANARY: u8 = 2, DRAINING: u8 = 4, SPARE: u8 = 8; // flags of an endpoint
export const HAS_KEY: u32 = 1, REPLAYABLE: u32 = 2, IDEMPOTENT: u32 = 4, TLS: u32 = 8, UPGRADE: u32 = 16, LAST_TRY: u32 = 32;
export const SET_STICKY: u32 = 1, NO_RETRY: u32 = 2; // out_flags
export const FINAL: u8 = 1, HEDGE_LOSER: u8 = 2, CLIENT_GONE: u8 = 4, UNMADE: u8 = 8; // flags of a feedback record
export const NONE: u32 = 0xffffffff; // no endpoint (sticky_ep), no deadline, no figure (LOAD_PPM, HEARTBEAT_AGE_MS)

// Host functions. One that is not used is not imported. They answer a length, an id or 0 and above, or a status below 0. Where
// a buffer is filled, the length is answered, and nothing is written if it exceeds cap. Each costs 100 fuel, and a quarter of
// the bytes that it reads or writes.
export const NOT_FOUND: i32 = -1, BAD_ID: i32 = -2, NOT_NOW: i32 = -3, LIMIT: i32 = -4, FEATURE_OFF: i32 = -5;
export enum Level { DEBUG, INFO, WARN, ERROR }
export enum Attr { PATH = 1, QUERY, HOST, METHOD, SNI, ROUTE, CLUSTER, CLIENT_IP, CLIENT_IDENTITY }
export enum Metric { COUNTER, GAUGE }

// Anywhere.
@external("lb", "log") export declare function log(level: i32, text: usize, len: u32): void;
@external("lb", "hash64") export declare function hash64(p: usize, len: u32, seed: u64): u64; // xxh64
@external("lb", "rand64") export declare function rand64(): u64;
@external("lb", "now_ns") export declare function now_ns(): u64;
@external("lb", "ctr_add") export declare function ctr_add(id: i32, delta: i64): i64; // the new value; 0 of an unknown id
@external("lb", "ctr_cas") export declare function ctr_cas(id: i32, old: i64, value: i64): i32; // 1 done, 0 not
@external("lb", "kv_get") export declare function kv_get(key: usize, keyLen: u32, buf: usize, cap: u32): i32;
@external("lb", "kv_set") export declare function kv_set(key: usize, keyLen: u32, value: usize, len: u32, ttlMs: i32): i32;
@external("lb", "metric_add") export declare function metric_add(id: i32, v: i64): void;
@external("lb", "eject") export declare function eject(ep: u32, ms: u32): i32;
// In lb_init.
@external("lb", "header_id") export declare function header_id(name: usize, len: u32): i32;
@external("lb", "ctr_id") export declare function ctr_id(name: usize, len: u32): i32;
@external("lb", "metric_id") export declare function metric_id(kind: i32, name: usize, len: u32): i32;
@external("lb", "set_tick") export declare function set_tick(ms: u32): i32; // at least 100
// In lb_pick and lb_retry.
@external("lb", "attr") export declare function attr(what: i32, buf: usize, cap: u32): i32;
@external("lb", "header") export declare function header(id: i32, buf: usize, cap: u32): i32;
@external("lb", "header_hash") export declare function header_hash(id: i32, seed: u64): u64; // 0 if there is none
@external("lb", "header_eq") export declare function header_eq(id: i32, p: usize, len: u32): i32;
@external("lb", "cookie_hash") export declare function cookie_hash(name: usize, len: u32, seed: u64): u64;
// From lb_endpoints on. Table.meta reads the same without a call.
@external("lb", "ep_meta") export declare function ep_meta(ep: u32, key: usize, keyLen: u32, buf: usize, cap: u32): i32;

// Text in guest memory: UTF-8 bytes, not NUL-ended.
@unmanaged export class Text {
  len: u32;
  get bytes(): usize { return changetype<usize>(this) + 4; }
  get end(): usize { return this.bytes + this.len; }
  equals(at: usize, len: u32): bool { return this.len == len && memory.compare(this.bytes, at, len) == 0; }
}

@unmanaged export class Endpoint {
  id_hash: u64; id: u32; weight: u32; tier: u8; flags: u8; zone: u16; name_off: u32; meta_off: u32;
}

// The table header. Offsets count from its first byte.
@unmanaged export class Table {
  magic: u32; gen: u32; n: u32; ep_off: u32; ep_stride: u32; str_off: u32; str_len: u32; up_gen: u32; n_up: u32; up_off: u32;

  endpoint(i: u32): Endpoint { return changetype<Endpoint>(changetype<usize>(this) + this.ep_off + i * this.ep_stride); }
  // up(k) is the index of the k-th usable endpoint, by tier.
  up(k: u32): u32 { return load<u32>(changetype<usize>(this) + this.up_off + (k << 2)); }
  // tierBegin and tierEnd bound the usable endpoints of a tier (0..3) in up.
  tierBegin(tier: u32): u32 { return tier ? this.tierEnd(tier - 1) : 0; }
  tierEnd(tier: u32): u32 { return load<u32>(changetype<usize>(this) + (tier << 2), 40); }
  get self_zone(): u32 { return load<u32>(changetype<usize>(this), 56); }
  get panic(): bool { return (load<u32>(changetype<usize>(this), 60) & 1) != 0; }
  // column(c, i) is a live figure of endpoint i; only of columns that were asked for.
  column(c: Column, i: u32): u32 {
    return load<u32>(changetype<usize>(this) + load<u32>(changetype<usize>(this) + (<usize>c << 2), 64) + (i << 2));
  }
  // isUp tells whether endpoint i is in up, that is whether it may be picked. It takes about 15 fuel times log2(n).
  isUp(i: u32): bool {
    const tier = min<u32>(this.endpoint(i).tier, 3);
    let begin = this.tierBegin(tier), end = this.tierEnd(tier);
    while (begin < end) {
      const middle = (begin + end) >> 1, found = this.up(middle);
      if (found == i) return true;
      if (found < i) begin = middle + 1;
      else end = middle;
    }
    return false;
  }
  // firstTier is the first tier in which r has an endpoint left to try, or 4.
  firstTier(r: Request): u32 {
    for (let tier: u32 = 0; tier < 4; tier++) {
      for (let k = this.tierBegin(tier), end = this.tierEnd(tier); k < end; k++) if (!r.tried(this.up(k))) return tier;
    }
    return 4;
  }
  name(i: u32): Text { return changetype<Text>(changetype<usize>(this) + this.endpoint(i).name_off); }
  // meta finds a key in the metadata of endpoint i, or answers null. It goes through the pairs: ask in lb_endpoints and keep
  // what comes of it.
  meta(i: u32, key: usize, keyLen: u32): Text | null {
    let at = changetype<usize>(this) + this.endpoint(i).meta_off;
    let pairs = load<u32>(at);
    for (at += 4; pairs; pairs--) {
      const k = changetype<Text>(at), v = changetype<Text>(k.end);
      if (k.equals(key, keyLen)) return v;
      at = v.end;
    }
    return null;
  }
  // hasMeta tells whether endpoint i has the key with that value.
  hasMeta(i: u32, key: usize, keyLen: u32, value: usize, valueLen: u32): bool {
    const v = this.meta(i, key, keyLen);
    return v !== null && v.equals(value, valueLen);
  }
  // lessLoaded tells whether endpoint a has less (requests in flight + 1) / weight than b. Want INFLIGHT.
  lessLoaded(a: u32, b: u32): bool {
    const loadA: u64 = this.column(Column.INFLIGHT, a), loadB: u64 = this.column(Column.INFLIGHT, b);
    return (loadA + 1) * this.endpoint(b).weight < (loadB + 1) * this.endpoint(a).weight;
  }
}

// The request block. What begins with out_ is the policy's to fill in.
@unmanaged export class Request {
  now_ns: u64; rnd: u64; key_hash: u64; seq: u64; gen: u32; up_gen: u32; method: u8; attempt: u8; n_tried: u8; private r0: u8; flags: u32;
  client_ip_high: u64; client_ip_low: u64; // in network order
  client_port: u16; listener: u16; route: u32; path_hash: u64; host_hash: u64; content_length: u64; deadline_ms: u32; elapsed_us: u32;
  last_ep: i32; last_status: u16; last_err: u16; last_us: u32; sticky_ep: u32;
  private t0: u64; private t1: u64; private t2: u64; private t3: u64; // tried[8]
  private r1: u64; private r2: u64; private r3: u64; private r4: u64; private r5: u64;
  out_n: u32; private o0: u32; private o1: u32; private o2: u32; private o3: u32; private o4: u32; private o5: u32; private o6: u32; private o7: u32;
  out_timeout_ms: u32; out_hedge_ms: u32; out_status: u32; out_tag: u64; out_flags: u32; out_reason: u32;

  tried(ep: u32): bool {
    for (let k: u32 = 0, n: u32 = this.n_tried; k < n; k++) {
      if (load<u32>(changetype<usize>(this) + (k << 2), 120) == ep) return true;
    }
    return false;
  }
  // list appends an endpoint to the answer LIST, of up to 8.
  list(ep: u32): void { store<u32>(changetype<usize>(this) + (this.out_n++ << 2), ep, 196); }
}

// How an attempt ended. ep is an index into the table, or -1 if the endpoint is gone; ep_id holds in any table.
@unmanaged export class Feedback {
  tag: u64; ep_id: u32; ep: i32; status: u16; err: u16; attempt: u8; flags: u8; load_permille: u16; ttfb_us: u32; total_us: u32;
}

// feedback is record k of those that lb_feedback gets.
// @ts-ignore: decorator
@inline export function feedback(records: usize, k: u32): Feedback { return changetype<Feedback>(records + (k << 5)); }

if (offsetof<Request>("out_n") != 192 || offsetof<Request>() != 256 || offsetof<Feedback>() != 32) ERROR("the layouts are not the ABI's");

// lb_alloc hands regions to the host.
export function lb_alloc(what: i32, len: u32): usize { return heap.alloc(len); }

// mix stretches a seed to a number that is even over 64 bits: SplitMix64. Step on by seed += STEP.
export const STEP: u64 = 0x9e3779b97f4a7c15;
export function mix(seed: u64): u64 {
  let z = seed + STEP;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

// Settings walks a configuration that is one flat JSON object of numbers and strings; strings and keys without escapes.
export class Settings {
  key: string = "";
  isNumber: bool = false;
  number: f64 = 0; // if isNumber
  text: string = ""; // if not
  private at: i32 = 0;
  private json: string;
  private first: bool = true;

  constructor(config: usize, len: u32) { this.json = String.UTF8.decodeUnsafe(config, len); }

  // next answers 1 and fills in the next pair, 0 at the end, -1 if the text is anything else.
  next(): i32 {
    if (this.first && this.take() != 0x7b) return -1; // {
    let c = this.take();
    if (c == 0x7d && this.take() == -1) return 0; // }
    if (!this.first) {
      if (c != 0x2c) return -1; // ,
      c = this.take();
    }
    this.first = false;
    if (c != 0x22) return -1; // "
    let end = this.json.indexOf('"', this.at);
    if (end < 0) return -1;
    this.key = this.json.substring(this.at, end);
    this.at = end + 1;
    if (this.take() != 0x3a) return -1; // :
    c = this.take();
    this.isNumber = c != 0x22;
    const begin = this.isNumber ? this.at - 1 : this.at;
    if (this.isNumber) {
      end = begin;
      while (end < this.json.length && isDigitOrPoint(this.json.charCodeAt(end))) end++;
      this.at = end;
      const digits = this.json.substring(begin, end);
      this.number = parseFloat(digits);
      return isFinite(this.number) && digits.indexOf(".") == digits.lastIndexOf(".") ? 1 : -1;
    }
    end = this.json.indexOf('"', begin);
    if (end < 0) return -1;
    this.text = this.json.substring(begin, end);
    this.at = end + 1;
    return this.text.includes("\\") ? -1 : 1;
  }

  // has tells whether the pair is that key with a number from least to most.
  has(key: string, least: f64, most: f64): bool {
    return this.key == key && this.isNumber && this.number >= least && this.number <= most;
  }

  // take returns the next character that is not blank, or -1.
  private take(): i32 {
    while (this.at < this.json.length) {
      const c = this.json.charCodeAt(this.at++);
      if (c != 0x20 && c != 0x09 && c != 0x0a && c != 0x0d) return c;
    }
    return -1;
  }
}

function isDigitOrPoint(c: i32): bool { return (c >= 0x30 && c <= 0x39) || c == 0x2e; }
