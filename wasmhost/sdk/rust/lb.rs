//! lb.rs: the load balancing policy ABI, version 1, for guests in Rust (no_std, 1.63 or later). docs/ABI.md says what each
//! field means. Put it beside the policy and say `mod lb;`: it defines lb_alloc and the panic handler. Build:
//!
//!   rustc --edition 2021 --crate-type cdylib --target wasm32-unknown-unknown -C opt-level=s -C panic=abort -C linker=wasm-ld \
//!         -C link-arg=-zstack-size=8192 -C link-arg=--strip-all policy.rs -o policy.wasm
//!
//! A policy begins with #![no_std] and defines these; from lb_retry on they are optional, and one that is there is called:
//!
//!   #[no_mangle] extern "C" fn lb_abi_v1(host_features: u64) -> u64 { lb::want(lb::INFLIGHT) }
//!   #[no_mangle] extern "C" fn lb_init(config: *const u8, len: u32) -> i32 { ... lb::bytes(config, len) ... }
//!   #[no_mangle] extern "C" fn lb_endpoints(t: Table) -> i32 { TABLE.set(Some(t)); 0 }
//!   #[no_mangle] extern "C" fn lb_pick(r: &mut Request) -> i32
//!   #[no_mangle] extern "C" fn lb_retry(r: &mut Request) -> i32
//!   #[no_mangle] extern "C" fn lb_feedback(records: *const Feedback, n: u32, now_ns: u64) { ... lb::records(records, n) ... }
//!   #[no_mangle] extern "C" fn lb_tick(now_ns: u64)                            // after lb::set_tick in lb_init
//!   #[no_mangle] extern "C" fn lb_save(buf: *mut u8, cap: u32) -> i32          // bytes written, 0 for no state
//!   #[no_mangle] extern "C" fn lb_restore(buf: *const u8, len: u32) -> i32     // 0 ok, < 0 refused
//!
//! What a policy keeps between calls lives in statics: `static TABLE: Kept<Option<Table>> = Kept::new(None);`
#![allow(dead_code)]

use core::cell::UnsafeCell;

// What lb_abi_v1 answers: flags, and want() of each live column that is to be kept fresh.
pub const REPLICABLE: u64 = 1 << 0;
pub const KEEP_ORDER: u64 = 1 << 1;
pub const fn want(column: usize) -> u64 { 1 << (32 + column) }

// What the host offers, as lb_abi_v1 is told.
pub const HOST_KV: u64 = 2;
pub const HOST_EJECT: u64 = 4;

// Live columns, and the values of HEALTH.
pub const HEALTH: usize = 0;
pub const INFLIGHT: usize = 1;
pub const EWMA_US: usize = 2;
pub const ERR_PPM: usize = 3;
pub const RPS_MILLI: usize = 4;
pub const CONSECUTIVE_FAIL: usize = 5;
pub const LOAD_PPM: usize = 6;
pub const HEARTBEAT_AGE_MS: usize = 7;
pub const DOWN: u32 = 0;
pub const DEGRADED: u32 = 1;
pub const UP: u32 = 2;

/// NONE in a field or a column of 32 bits: no endpoint, no deadline, no figure.
pub const NONE: u32 = 0xffff_ffff;

// Results of lb_pick and lb_retry that are not the index of an endpoint.
pub const DEFER: i32 = -1;
pub const REJECT: i32 = -2;
pub const LIST: i32 = -3;
pub const STOP: i32 = -4;

// Flags of the table, of an endpoint, of a request, of out_flags, of a feedback record.
pub const PANIC: u32 = 1;
pub const SAME_ZONE: u8 = 1;
pub const CANARY: u8 = 2;
pub const DRAINING: u8 = 4;
pub const SPARE: u8 = 8;
pub const HAS_KEY: u32 = 1;
pub const REPLAYABLE: u32 = 2;
pub const IDEMPOTENT: u32 = 4;
pub const TLS: u32 = 8;
pub const UPGRADE: u32 = 16;
pub const LAST_TRY: u32 = 32;
pub const SET_STICKY: u32 = 1;
pub const NO_RETRY: u32 = 2;
pub const FINAL: u8 = 1;
pub const HEDGE_LOSER: u8 = 2;
pub const CLIENT_GONE: u8 = 4;
pub const UNMADE: u8 = 8;

/// Values of method.
pub mod method {
    pub const OTHER: u8 = 0;
    pub const GET: u8 = 1;
    pub const HEAD: u8 = 2;
    pub const POST: u8 = 3;
    pub const PUT: u8 = 4;
    pub const DELETE: u8 = 5;
    pub const CONNECT: u8 = 6;
    pub const OPTIONS: u8 = 7;
    pub const TRACE: u8 = 8;
    pub const PATCH: u8 = 9;
}

/// How an attempt ended: last_err of a request, err of a feedback record.
pub mod err {
    pub const OK: u16 = 0;
    pub const REFUSED: u16 = 1;
    pub const CONNECT_TIMEOUT: u16 = 2;
    pub const RESET: u16 = 3;
    pub const HEADER_TIMEOUT: u16 = 4;
    pub const BODY_TIMEOUT: u16 = 5;
    pub const TLS: u16 = 6;
    pub const UNRESOLVABLE: u16 = 7;
    pub const MALFORMED: u16 = 8;
    pub const POOL_EXHAUSTED: u16 = 9;
    pub const CANCELLED: u16 = 10;
    pub const BAD_STATUS: u16 = 11;
}

/// What host::attr is asked for.
pub mod attr {
    pub const PATH: i32 = 1;
    pub const QUERY: i32 = 2;
    pub const HOST: i32 = 3;
    pub const METHOD: i32 = 4;
    pub const SNI: i32 = 5;
    pub const ROUTE: i32 = 6;
    pub const CLUSTER: i32 = 7;
    pub const CLIENT_IP: i32 = 8;
    pub const CLIENT_IDENTITY: i32 = 9;
}

// What host functions answer below 0.
pub const NOT_FOUND: i32 = -1;
pub const BAD_ID: i32 = -2;
pub const NOT_NOW: i32 = -3;
pub const LIMIT: i32 = -4;
pub const FEATURE_OFF: i32 = -5;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Header {
    pub magic: u32,
    pub gen: u32,
    pub n: u32,
    pub ep_off: u32,
    pub ep_stride: u32,
    pub str_off: u32,
    pub str_len: u32,
    pub up_gen: u32,
    pub n_up: u32,
    pub up_off: u32,
    pub tier_end: [u32; 4],
    pub self_zone: u32,
    pub flags: u32,
    pub col_off: [u32; 16],
}
const _: () = assert!(core::mem::size_of::<Header>() == 128);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Endpoint {
    pub id_hash: u64,
    pub id: u32,
    pub weight: u32,
    pub tier: u8,
    pub flags: u8,
    pub zone: u16,
    pub name_off: u32,
    pub meta_off: u32,
    pub reserved: u32,
}
const _: () = assert!(core::mem::size_of::<Endpoint>() == 32);

/// Request is the request block: the host writes what stands before out_n and reads the rest.
#[repr(C)]
pub struct Request {
    pub now_ns: u64,
    pub rnd: u64,
    pub key_hash: u64,
    pub seq: u64,
    pub gen: u32,
    pub up_gen: u32,
    pub method: u8,
    pub attempt: u8,
    pub n_tried: u8,
    pub reserved0: u8,
    pub flags: u32,
    pub client_ip: [u8; 16],
    pub client_port: u16,
    pub listener: u16,
    pub route: u32,
    pub path_hash: u64,
    pub host_hash: u64,
    pub content_length: u64,
    pub deadline_ms: u32,
    pub elapsed_us: u32,
    pub last_ep: i32,
    pub last_status: u16,
    pub last_err: u16,
    pub last_us: u32,
    pub sticky_ep: u32,
    pub tried: [u32; 8],
    pub reserved1: [u8; 40],
    pub out_n: u32,
    pub out_ep: [u32; 8],
    pub out_timeout_ms: u32,
    pub out_hedge_ms: u32,
    pub out_status: u32,
    pub out_tag: u64,
    pub out_flags: u32,
    pub out_reason: u32,
}
const _: () = assert!(core::mem::size_of::<Request>() == 256);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Feedback {
    pub tag: u64,
    pub ep_id: u32,
    pub ep: i32,
    pub status: u16,
    pub err: u16,
    pub attempt: u8,
    pub flags: u8,
    pub load_permille: u16,
    pub ttfb_us: u32,
    pub total_us: u32,
}
const _: () = assert!(core::mem::size_of::<Feedback>() == 32);

impl Request {
    pub fn has_tried(&self, ep: u32) -> bool {
        let mut k = 0;
        while k < (self.n_tried as usize).min(8) {
            if self.tried[k & 7] == ep {
                return true;
            }
            k += 1;
        }
        false
    }
}

/// Table is where the table lies. The host writes it between calls, so it is read anew and never borrowed.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Table(*const Header);

/// Column is where the live figures of one kind lie, one an endpoint; without the column all are 0.
#[derive(Clone, Copy)]
pub struct Column(*const u32);

impl Column {
    #[inline(always)]
    pub fn at(self, ep: u32) -> u32 {
        if self.0.is_null() { 0 } else { unsafe { *self.0.add(ep as usize) } }
    }
}

/// Span is part of up[]: usable endpoints of one tier.
#[derive(Clone, Copy)]
pub struct Span { at: *const u32, pub len: u32 }

impl Span {
    /// at is the index of its k-th endpoint; ascending in k.
    #[inline(always)]
    pub fn at(self, k: u32) -> u32 { unsafe { *self.at.add(k as usize) } }

    /// has tells whether endpoint ep is in it, in O(log len).
    pub fn has(self, ep: u32) -> bool {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = (low + high) / 2;
            if self.at(middle) < ep { low = middle + 1 } else { high = middle }
        }
        low < self.len && self.at(low) == ep
    }
}

impl Table {
    #[inline(always)]
    pub fn header(self) -> Header { unsafe { *self.0 } }
    #[inline(always)]
    pub fn n(self) -> u32 { unsafe { (*self.0).n } }
    pub fn panic(self) -> bool { self.header().flags & PANIC != 0 }

    #[inline(always)]
    fn byte(self, off: u32) -> *const u8 { unsafe { (self.0 as *const u8).add(off as usize) } }

    #[inline(always)]
    fn entry(self, ep: u32) -> *const Endpoint {
        unsafe { self.byte((*self.0).ep_off + ep * (*self.0).ep_stride) as *const Endpoint }
    }
    #[inline(always)]
    pub fn endpoint(self, ep: u32) -> Endpoint { unsafe { *self.entry(ep) } }
    #[inline(always)]
    pub fn weight(self, ep: u32) -> u32 { unsafe { (*self.entry(ep)).weight } }

    #[inline(always)]
    pub fn column(self, c: usize) -> Column {
        let off = unsafe { (*self.0).col_off[c & 15] };
        Column(if off == 0 { core::ptr::null() } else { self.byte(off) as *const u32 })
    }

    /// text is the string at an offset: name_off of an endpoint, say.
    pub fn text(self, off: u32) -> &'static [u8] { bytes(self.byte(off + 4), unsafe { *(self.byte(off) as *const u32) }) }

    /// meta is the value of endpoint ep for a key.
    pub fn meta(self, ep: u32, key: &[u8]) -> Option<&'static [u8]> {
        let mut off = self.endpoint(ep).meta_off;
        let pairs = unsafe { *(self.byte(off) as *const u32) };
        off += 4;
        for _ in 0..pairs {
            let (k, value_off) = (self.text(off), off + 4 + self.text(off).len() as u32);
            let v = self.text(value_off);
            if k == key {
                return Some(v);
            }
            off = value_off + 4 + v.len() as u32;
        }
        None
    }

    /// tier is the usable endpoints of a tier, 0..=3.
    pub fn tier(self, tier: u32) -> Span {
        let h = unsafe { &*self.0 };
        let begin = if tier == 0 { 0 } else { h.tier_end[tier as usize - 1 & 3] };
        Span { at: self.byte(h.up_off + 4 * begin) as *const u32, len: h.tier_end[tier as usize & 3] - begin }
    }

    /// candidates is the first tier in which r has an endpoint left to try; empty if there is none.
    pub fn candidates(self, r: &Request) -> Span {
        for tier in 0..4 {
            let s = self.tier(tier);
            let mut k = 0; // no more than n_tried + 1 are looked at
            while k < s.len {
                if !r.has_tried(s.at(k)) {
                    return s;
                }
                k += 1;
            }
        }
        Span { at: core::ptr::null(), len: 0 }
    }

    /// heaviest is the greatest weight in the table.
    pub fn heaviest(self) -> u32 { (0..self.n()).map(|i| self.weight(i)).max().unwrap_or(0) }

    /// draw draws an endpoint of s by weight, leaving out those tried and endpoint not (-1: no other); -1 if none is left.
    /// heaviest is the greatest weight in the table. It throws darts, each at an even endpoint and an even height below
    /// heaviest, and after 16 misses counts through the weights: both ways have the same shares.
    pub fn draw(self, r: &Request, s: Span, heaviest: u32, not: i32, seed: &mut u64) -> i32 {
        if s.len > 0 {
            for _ in 0..16 {
                let x = next(seed);
                let i = s.at(((x >> 32) * s.len as u64 >> 32) as u32);
                if ((x & 0xffff_ffff) * heaviest as u64 >> 32) < self.weight(i) as u64 && i as i32 != not && !r.has_tried(i) {
                    return i as i32;
                }
            }
        }
        let x = next(seed);
        self.draw_counting(r, s, not, x)
    }

    /// draw_counting is exact up to 256 endpoints, and beyond that among 256 in a row, so that it stays below the fuel of a
    /// pick. It is not inlined: fuel is charged for a whole function.
    #[cold]
    #[inline(never)]
    fn draw_counting(self, r: &Request, s: Span, not: i32, mut x: u64) -> i32 {
        // What is left out, ascending as the span is, and an end that no index reaches. Masks do what would else be panics,
        // and kilobytes of formatting them.
        let mut skip = [u32::MAX; 16];
        for k in 0..=(r.n_tried as usize).min(8) {
            let i = if k < r.n_tried as usize { r.tried[k & 7] } else { not as u32 };
            let mut at = k;
            while at > 0 && skip[at - 1 & 15] > i {
                skip[at & 15] = skip[at - 1 & 15];
                at -= 1;
            }
            skip[at & 15] = i;
        }
        let (mut begin, mut n) = (0, s.len);
        if n > 256 {
            begin = ((x >> 32) * (n - 255) as u64 >> 32) as u32;
            n = 256;
        }
        let mut total = 0u64;
        let mut next = 0;
        for k in begin..begin + n {
            while skip[next & 15] < s.at(k) {
                next += 1;
            }
            if skip[next & 15] != s.at(k) {
                total += self.weight(s.at(k)) as u64;
            }
        }
        if total == 0 {
            return -1;
        }
        x %= total; // uneven by no more than total / 2^64
        next = 0;
        for k in begin..begin + n {
            let i = s.at(k);
            while skip[next & 15] < i {
                next += 1;
            }
            if skip[next & 15] == i {
                continue;
            }
            let w = self.weight(i) as u64;
            if x < w {
                return i as i32;
            }
            x -= w;
        }
        -1
    }
}

/// next stretches a seed (rnd, key_hash) to further numbers: SplitMix64.
#[inline(always)]
pub fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Kept is what a policy keeps between calls. There is one thread, and the host never calls into a call.
pub struct Kept<T>(UnsafeCell<T>);
unsafe impl<T> Sync for Kept<T> {}
impl<T> Kept<T> {
    pub const fn new(v: T) -> Self { Kept(UnsafeCell::new(v)) }
    #[inline(always)]
    pub fn set(&self, v: T) { unsafe { *self.0.get() = v } }
}
impl<T: Copy> Kept<T> {
    #[inline(always)]
    pub fn get(&self) -> T { unsafe { *self.0.get() } }
}

/// bytes is memory that the host wrote: a configuration, a state. The pointer of an empty one may be anything.
pub fn bytes(at: *const u8, len: u32) -> &'static [u8] {
    if len == 0 { &[] } else { unsafe { core::slice::from_raw_parts(at, len as usize) } }
}

/// records is what lb_feedback gets, valid during that call.
pub fn records(at: *const Feedback, n: u32) -> &'static [Feedback] {
    if n == 0 { &[] } else { unsafe { core::slice::from_raw_parts(at, n as usize) } }
}

// Memory: regions grow upwards and are never given back; their sizes double, so at most as much again is lost.
extern "C" { static __heap_base: u8; }
static HEAP: Kept<usize> = Kept::new(0);

/// bump returns len bytes, aligned to 8, or null if memory may not grow that far. Not for lb_pick: nothing is given back.
pub fn bump(len: u32) -> *mut u8 {
    let heap = if HEAP.get() == 0 { unsafe { &__heap_base as *const u8 as usize } } else { HEAP.get() };
    let at = (heap as u64 + 7) & !7;
    let end = at + len as u64;
    let have = (core::arch::wasm32::memory_size(0) as u64) << 16;
    if end > have && core::arch::wasm32::memory_grow(0, ((end - have + 0xffff) >> 16) as usize) == usize::MAX {
        return core::ptr::null_mut();
    }
    HEAP.set(end as usize);
    at as usize as *mut u8
}

#[no_mangle]
extern "C" fn lb_alloc(_what: i32, len: u32) -> *mut u8 { bump(len) }

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { core::arch::wasm32::unreachable() }

/// Settings walks a configuration that is one flat JSON object of whole numbers below 2^53 and strings, without escapes:
///
///   let mut s = lb::Settings::new(lb::bytes(config, len));
///   while let Some((key, value)) = s.next()? { ... }
pub struct Settings { text: &'static [u8], at: usize, first: bool }

#[derive(Clone, Copy)]
pub enum Value { Number(u64), Text(&'static [u8]) }

impl Settings {
    pub fn new(text: &'static [u8]) -> Self { Settings { text, at: 0, first: true } }

    /// next gives the next pair, Ok(None) at the end, Err if the text is anything else. No text at all is no settings.
    pub fn next(&mut self) -> Result<Option<(&'static [u8], Value)>, ()> {
        if self.text.is_empty() {
            return Ok(None);
        }
        if self.first && !self.take(b'{') {
            return Err(());
        }
        if self.take(b'}') {
            return if self.peek().is_none() { Ok(None) } else { Err(()) };
        }
        if !self.first && !self.take(b',') {
            return Err(());
        }
        self.first = false;
        let key = self.string()?;
        if !self.take(b':') {
            return Err(());
        }
        let value = if self.peek() == Some(b'"') { Value::Text(self.string()?) } else { Value::Number(self.number()?) };
        Ok(Some((key, value)))
    }

    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, c: u8) -> bool {
        let is = self.peek() == Some(c);
        self.at += is as usize;
        is
    }

    fn string(&mut self) -> Result<&'static [u8], ()> {
        if !self.take(b'"') {
            return Err(());
        }
        let begin = self.at;
        while let Some(&c) = self.text.get(self.at) {
            self.at += 1;
            match c {
                b'"' => return self.text.get(begin..self.at - 1).ok_or(()),
                b'\\' => return Err(()),
                _ => {}
            }
        }
        Err(())
    }

    fn number(&mut self) -> Result<u64, ()> {
        let (begin, mut x) = (self.at, 0u64);
        while let Some(c @ b'0'..=b'9') = self.text.get(self.at) {
            x = x * 10 + (c - b'0') as u64;
            self.at += 1;
            if x >> 53 != 0 {
                return Err(());
            }
        }
        let digits = self.at - begin;
        if digits == 0 || digits > 1 && self.text.get(begin) == Some(&b'0') { Err(()) } else { Ok(x) }
    }
}

/// The host's functions, as the ABI has them; those below wrap what is used most. One that is not used is not imported.
pub mod host {
    #[link(wasm_import_module = "lb")]
    extern "C" {
        pub fn log(level: i32, p: *const u8, n: u32);
        pub fn attr(what: i32, buf: *mut u8, cap: u32) -> i32;
        pub fn header_id(p: *const u8, n: u32) -> i32;
        pub fn header(id: i32, buf: *mut u8, cap: u32) -> i32;
        pub fn header_hash(id: i32, seed: u64) -> u64;
        pub fn header_eq(id: i32, p: *const u8, n: u32) -> i32;
        pub fn cookie_hash(p: *const u8, n: u32, seed: u64) -> u64;
        pub fn hash64(p: *const u8, n: u32, seed: u64) -> u64;
        pub fn rand64() -> u64;
        pub fn now_ns() -> u64;
        pub fn ep_meta(ep: u32, k: *const u8, kn: u32, buf: *mut u8, cap: u32) -> i32;
        pub fn ctr_id(p: *const u8, n: u32) -> i32;
        pub fn ctr_add(id: i32, delta: i64) -> i64;
        pub fn ctr_cas(id: i32, old: i64, new: i64) -> i32;
        pub fn kv_get(k: *const u8, kn: u32, buf: *mut u8, cap: u32) -> i32;
        pub fn kv_set(k: *const u8, kn: u32, v: *const u8, vn: u32, ttl_ms: u32) -> i32;
        pub fn metric_id(kind: i32, p: *const u8, n: u32) -> i32;
        pub fn metric_add(id: i32, v: i64);
        pub fn set_tick(ms: u32) -> i32;
        pub fn eject(ep: u32, ms: u32) -> i32;
    }
}

/// log writes a line at level 0 debug, 1 info, 2 warn or 3 error.
pub fn log(level: i32, text: &str) { unsafe { host::log(level, text.as_ptr(), text.len() as u32) } }
/// header_id interns the name of a header field, in lb_init only; < 0 if it cannot.
pub fn header_id(name: &[u8]) -> i32 { unsafe { host::header_id(name.as_ptr(), name.len() as u32) } }
/// header_hash is the hash of a field, 0 if there is none; in lb_pick and lb_retry only.
pub fn header_hash(id: i32, seed: u64) -> u64 { unsafe { host::header_hash(id, seed) } }
/// ctr_id names a counter that all instances of the policy share, in lb_init only.
pub fn ctr_id(name: &str) -> i32 { unsafe { host::ctr_id(name.as_ptr(), name.len() as u32) } }
pub fn ctr_add(id: i32, delta: i64) -> i64 { unsafe { host::ctr_add(id, delta) } }
/// metric_id names a series: kind 0 counter, 1 gauge; in lb_init only.
pub fn metric_id(kind: i32, name: &str) -> i32 { unsafe { host::metric_id(kind, name.as_ptr(), name.len() as u32) } }
pub fn metric_add(id: i32, v: i64) { unsafe { host::metric_add(id, v) } }
/// set_tick asks for lb_tick every so many milliseconds, at least 100; in lb_init only.
pub fn set_tick(ms: u32) -> i32 { unsafe { host::set_tick(ms) } }
/// eject takes an endpoint out of traffic for so long, within the cluster's max_ejected.
pub fn eject(ep: u32, ms: u32) -> i32 { unsafe { host::eject(ep, ms) } }
