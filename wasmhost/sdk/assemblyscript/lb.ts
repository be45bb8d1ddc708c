// lb.ts: the load balancing policy ABI, version 1, for guests in AssemblyScript. docs/ABI.md says what each field means.
// Build: asc policy.ts -O3 --noAssert --runtime stub --use abort= -o policy.wasm
//
// A policy exports lb_abi_v1, lb_init, lb_endpoints and lb_pick, and passes lb_alloc on: export { lb_alloc } from ".../lb";
// With the stub runtime nothing is freed: allocate in lb_init and lb_endpoints, never in lb_pick.

// What lb_abi_v1 answers: flags, and a bit for each live column that is to be kept fresh.
export const REPLICABLE: u64 = 1 << 0;
export const KEEP_ORDER: u64 = 1 << 1;
// @ts-ignore: decorator
@inline export function want(column: Column): u64 { return <u64>1 << (32 + <u64>column); }

export enum Column { HEALTH, INFLIGHT, EWMA_US, ERR_PPM, RPS_MILLI, CONSECUTIVE_FAIL, LOAD_PPM, HEARTBEAT_AGE_MS }

// Results of lb_pick and lb_retry that are not the index of an endpoint.
export const DEFER: i32 = -1;
export const REJECT: i32 = -2;
export const LIST: i32 = -3;
export const STOP: i32 = -4;

export const SAME_ZONE: u8 = 1, CANARY: u8 = 2, DRAINING: u8 = 4, SPARE: u8 = 8; // flags of an endpoint
export const HAS_KEY: u32 = 1, REPLAYABLE: u32 = 2, IDEMPOTENT: u32 = 4, TLS: u32 = 8, UPGRADE: u32 = 16, LAST_TRY: u32 = 32;

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
  get panic(): bool { return (load<u32>(changetype<usize>(this), 60) & 1) != 0; }
  // column(c, i) is a live figure of endpoint i; only of columns that were asked for.
  column(c: Column, i: u32): u32 {
    return load<u32>(changetype<usize>(this) + load<u32>(changetype<usize>(this) + (<usize>c << 2), 64) + (i << 2));
  }
  // hasMeta tells whether endpoint i has the key with that value.
  hasMeta(i: u32, key: usize, keyLen: u32, value: usize, valueLen: u32): bool {
    let at = changetype<usize>(this) + this.endpoint(i).meta_off;
    let pairs = load<u32>(at);
    for (at += 4; pairs; pairs--) {
      const k = changetype<Text>(at), v = changetype<Text>(k.end);
      if (k.equals(key, keyLen)) return v.equals(value, valueLen);
      at = v.end;
    }
    return false;
  }
}

@unmanaged export class Request {
  now_ns: u64; rnd: u64; key_hash: u64; seq: u64; gen: u32; up_gen: u32; method: u8; attempt: u8; n_tried: u8; private r0: u8; flags: u32;

  get path_hash(): u64 { return load<u64>(changetype<usize>(this), 72); }
  get host_hash(): u64 { return load<u64>(changetype<usize>(this), 80); }
  get elapsed_us(): u32 { return load<u32>(changetype<usize>(this), 100); }
  get sticky_ep(): u32 { return load<u32>(changetype<usize>(this), 116); }
  set out_status(status: u32) { store<u32>(changetype<usize>(this), status, 236); }
  set out_reason(reason: u32) { store<u32>(changetype<usize>(this), reason, 252); }

  tried(ep: u32): bool {
    for (let k: u32 = 0, n: u32 = this.n_tried; k < n; k++) {
      if (load<u32>(changetype<usize>(this) + (k << 2), 120) == ep) return true;
    }
    return false;
  }
}

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
