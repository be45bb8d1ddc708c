// Sends a share of the users to the canary endpoints and keeps each user on one side. README.md says more.
import {
  CANARY, DEFER, HAS_KEY, REPLICABLE, Request, STEP, Settings, Table, mix,
} from "../../../../wasmhost/sdk/assemblyscript/lb";
export { lb_alloc } from "../../../../wasmhost/sdk/assemblyscript/lb";

const STABLE: u8 = 0, CANARY_SIDE: u8 = 1, EITHER: u8 = 2;
// Decorrelates the sides from policies that use the key's hash too.
const SALT: u64 = 0x63616e6172790001;

let percent: f64 = 5;
let metaKey: ArrayBuffer = new ArrayBuffer(0); // empty: the canary flag tells the sides apart
let metaValue: ArrayBuffer = new ArrayBuffer(0);

let table: Table = changetype<Table>(0);
let heaviest: u32 = 0;
let sides: usize = 0; // a byte an endpoint: STABLE or CANARY_SIDE
let room: u32 = 0;
const eligible: usize = memory.data(128 * 4); // scratch of drawCounting

export function lb_abi_v1(hostFeatures: u64): u64 { return REPLICABLE; }

export function lb_init(config: usize, len: u32): i32 {
  if (len == 0) return 0;
  const s = new Settings(config, len);
  let more = s.next();
  for (; more == 1; more = s.next()) {
    if (s.key == "percent" && s.isNumber && s.number <= 100) {
      percent = s.number;
    } else if (s.key == "meta" && !s.isNumber && s.text.indexOf("=") > 0) {
      const eq = s.text.indexOf("=");
      metaKey = String.UTF8.encode(s.text.substring(0, eq));
      metaValue = String.UTF8.encode(s.text.substring(eq + 1));
    } else {
      return -1;
    }
  }
  return more;
}

export function lb_endpoints(t: Table): i32 {
  table = t;
  if (t.n > room) {
    room = max<u32>(64, <u32>1 << (32 - clz<u32>(t.n - 1)));
    sides = heap.alloc(room);
  }
  heaviest = 0;
  for (let i: u32 = 0; i < t.n; i++) {
    const e = t.endpoint(i);
    heaviest = max(heaviest, e.weight);
    const canary = metaKey.byteLength
      ? t.hasMeta(i, changetype<usize>(metaKey), metaKey.byteLength, changetype<usize>(metaValue), metaValue.byteLength)
      : (e.flags & CANARY) != 0;
    store<u8>(sides + i, canary ? CANARY_SIDE : STABLE);
  }
  return 0;
}

export function lb_pick(r: Request): i32 {
  // The share of a key is a fixed point in 0..1: a greater percentage moves users to the canary and none away from it.
  const x = mix(r.flags & HAS_KEY ? r.key_hash ^ SALT : r.rnd ^ SALT);
  const side = <f64>(x >> 11) * (1.0 / 9007199254740992.0) * 100 < percent ? CANARY_SIDE : STABLE;
  for (let tier: u32 = 0; tier < 4; tier++) {
    const begin = table.tierBegin(tier), end = table.tierEnd(tier);
    let ep = draw(r, begin, end, side);
    if (ep == DEFER) ep = draw(r, begin, end, EITHER);
    if (ep != DEFER) return ep;
  }
  return DEFER;
}

// draw draws one of up[begin..end) by weight, on that side and not tried. Darts first, each at an even endpoint and an
// even height below the heaviest; then by counting through the weights. Both ways have the same shares.
function draw(r: Request, begin: u32, end: u32, side: u8): i32 {
  let seed = r.rnd;
  if (begin == end) return DEFER;
  for (let k = 0; k < 8; k++) {
    seed += STEP;
    const x = mix(seed);
    const ep = table.up(begin + <u32>((x >> 32) * (end - begin) >> 32));
    if ((x & 0xffffffff) * heaviest >> 32 < table.endpoint(ep).weight && mayTake(r, ep, side)) return ep;
  }
  return drawCounting(r, begin, end, side, mix(seed + STEP));
}

// drawCounting looks at 128 endpoints in a row at most, so that it stays below the fuel of a pick.
function drawCounting(r: Request, begin: u32, end: u32, side: u8, x: u64): i32 {
  if (end - begin > 128) {
    begin += <u32>((x >> 32) * (end - begin - 127) >> 32);
    end = begin + 128;
  }
  let total: u64 = 0, n: u32 = 0;
  for (let k = begin; k < end; k++) {
    const ep = table.up(k);
    if (!mayTake(r, ep, side)) continue;
    store<u32>(eligible + (n++ << 2), ep);
    total += table.endpoint(ep).weight;
  }
  if (total == 0) return DEFER;
  x %= total;
  for (let k: u32 = 0; k < n; k++) {
    const ep = load<u32>(eligible + (k << 2)), w: u64 = table.endpoint(ep).weight;
    if (x < w) return ep;
    x -= w;
  }
  return DEFER;
}

function mayTake(r: Request, ep: u32, side: u8): bool {
  return (side == EITHER || load<u8>(sides + ep) == side) && !r.tried(ep);
}
