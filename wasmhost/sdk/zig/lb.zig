//! lb.zig: the load balancing policy ABI, version 1, for guests in Zig (0.11). docs/ABI.md says what each field means. Put it
//! beside the policy: const lb = @import("lb.zig"); it exports lb_alloc. Build:
//!
//!   zig build-lib policy.zig -target wasm32-freestanding -dynamic -O ReleaseSmall -rdynamic -fstrip --stack 8192
//!
//! A policy exports these; from lb_retry on they are optional, and one that is there is called:
//!
//!   export fn lb_abi_v1(host_features: u64) u64 { return lb.want(.inflight); }
//!   export fn lb_init(config: ?[*]const u8, len: u32) i32 { ... lb.Settings.init(config, len) ... }
//!   export fn lb_endpoints(t: *const lb.Table) i32
//!   export fn lb_pick(r: *lb.Request) i32
//!   export fn lb_retry(r: *lb.Request) i32
//!   export fn lb_feedback(records: [*]const lb.Feedback, n: u32, now_ns: u64) void
//!   export fn lb_tick(now_ns: u64) void                         // after lb.host.set_tick in lb_init
//!   export fn lb_save(buf: [*]u8, cap: u32) i32                 // bytes written, 0 for no state
//!   export fn lb_restore(buf: [*]const u8, len: u32) i32        // 0 ok, < 0 refused

// What lb_abi_v1 answers: flags, and want() of each live column that is to be kept fresh.
pub const REPLICABLE: u64 = 1;
pub const KEEP_ORDER: u64 = 2;
pub fn want(comptime c: Column) u64 {
    return @as(u64, 1) << (32 + @intFromEnum(c));
}

// What the host offers, as lb_abi_v1 is told.
pub const HOST_KV: u64 = 2;
pub const HOST_EJECT: u64 = 4;

pub const Column = enum(u6) { health, inflight, ewma_us, err_ppm, rps_milli, consecutive_fail, load_ppm, heartbeat_age_ms };
pub const DOWN: u32 = 0; // values of health
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
pub const Method = enum(u8) { other, get, head, post, put, delete, connect, options, trace, patch };
/// How an attempt ended: last_err of a request, err of a feedback record.
pub const Err = enum(u16) { ok, refused, connect_timeout, reset, header_timeout, body_timeout, tls, unresolvable, malformed, pool_exhausted, cancelled, bad_status };
/// What host.attr is asked for.
pub const Attr = enum(i32) { path = 1, query, host, method, sni, route, cluster, client_ip, client_identity };

// What host functions answer below 0.
pub const NOT_FOUND: i32 = -1;
pub const BAD_ID: i32 = -2;
pub const NOT_NOW: i32 = -3;
pub const LIMIT: i32 = -4;
pub const FEATURE_OFF: i32 = -5;

pub const Endpoint = extern struct {
    id_hash: u64,
    id: u32,
    weight: u32,
    tier: u8,
    flags: u8,
    zone: u16,
    name_off: u32,
    meta_off: u32,
    reserved: u32,
};

/// Request is the request block: the host writes what stands before out_n and reads the rest.
pub const Request = extern struct {
    now_ns: u64,
    rnd: u64,
    key_hash: u64,
    seq: u64,
    gen: u32,
    up_gen: u32,
    method: u8,
    attempt: u8,
    n_tried: u8,
    reserved0: u8,
    flags: u32,
    client_ip: [16]u8,
    client_port: u16,
    listener: u16,
    route: u32,
    path_hash: u64,
    host_hash: u64,
    content_length: u64,
    deadline_ms: u32,
    elapsed_us: u32,
    last_ep: i32,
    last_status: u16,
    last_err: u16,
    last_us: u32,
    sticky_ep: u32,
    tried: [8]u32,
    reserved1: [40]u8,
    out_n: u32,
    out_ep: [8]u32,
    out_timeout_ms: u32,
    out_hedge_ms: u32,
    out_status: u32,
    out_tag: u64,
    out_flags: u32,
    out_reason: u32,

    pub fn hasTried(r: *const Request, ep: u32) bool {
        for (r.tried[0..r.n_tried]) |t| if (t == ep) return true;
        return false;
    }
};

pub const Feedback = extern struct {
    tag: u64,
    ep_id: u32,
    ep: i32,
    status: u16,
    err: u16,
    attempt: u8,
    flags: u8,
    load_permille: u16,
    ttfb_us: u32,
    total_us: u32,
};

/// Table is the table's header, before the table itself. Offsets (_off) count from its first byte.
pub const Table = extern struct {
    magic: u32,
    gen: u32,
    n: u32,
    ep_off: u32,
    ep_stride: u32,
    str_off: u32,
    str_len: u32,
    up_gen: u32,
    n_up: u32,
    up_off: u32,
    tier_end: [4]u32,
    self_zone: u32,
    flags: u32,
    col_off: [16]u32,

    inline fn at(t: *const Table, comptime T: type, off: u32) T {
        return @ptrFromInt(@intFromPtr(t) + off);
    }

    pub inline fn endpoint(t: *const Table, ep: u32) *const Endpoint {
        return t.at(*const Endpoint, t.ep_off + ep * t.ep_stride);
    }

    /// column is the live figures of one kind, one an endpoint; null if they were not asked for.
    pub inline fn column(t: *const Table, c: Column) ?[*]const u32 {
        const off = t.col_off[@intFromEnum(c)];
        return if (off == 0) null else t.at([*]const u32, off);
    }

    /// text is the string at an offset: name_off of an endpoint, say.
    pub fn text(t: *const Table, off: u32) []const u8 {
        return t.at([*]const u8, off + 4)[0..t.at(*align(1) const u32, off).*];
    }

    /// meta is the value of endpoint ep for a key.
    pub fn meta(t: *const Table, ep: u32, key: []const u8) ?[]const u8 {
        var off = t.endpoint(ep).meta_off;
        var pairs = t.at(*align(1) const u32, off).*;
        off += 4;
        while (pairs > 0) : (pairs -= 1) {
            const k = t.text(off);
            const v = t.text(off + 4 + @as(u32, @intCast(k.len)));
            if (same(k, key)) return v;
            off += 8 + @as(u32, @intCast(k.len + v.len));
        }
        return null;
    }

    /// tier is the usable endpoints of a tier, 0..3, by ascending index.
    pub inline fn tier(t: *const Table, k: u32) []const u32 {
        const begin = if (k == 0) 0 else t.tier_end[k - 1];
        return t.at([*]const u32, t.up_off)[begin..t.tier_end[k]];
    }

    /// candidates is the first tier in which r has an endpoint left to try; empty if there is none.
    pub fn candidates(t: *const Table, r: *const Request) []const u32 {
        var k: u32 = 0;
        while (k < 4) : (k += 1) {
            const s = t.tier(k);
            for (s) |ep| if (!r.hasTried(ep)) return s; // no more than n_tried + 1 are looked at
        }
        return &.{};
    }

    /// heaviest is the greatest weight in the table.
    pub fn heaviest(t: *const Table) u32 {
        var most: u32 = 0;
        var i: u32 = 0;
        while (i < t.n) : (i += 1) most = @max(most, t.endpoint(i).weight);
        return most;
    }

    /// draw draws an endpoint of s by weight, leaving out those tried and endpoint not (-1: no other); -1 if none is left. most
    /// is the greatest weight in the table. It throws darts, each at an even endpoint and an even height below the heaviest,
    /// and after 16 misses counts through the weights: both ways have the same shares.
    pub fn draw(t: *const Table, r: *const Request, s: []const u32, most: u32, not: i32, seed: *u64) i32 {
        var k: u32 = 0;
        while (k < 16 and s.len > 0) : (k += 1) {
            const x = next(seed);
            const i = s[@intCast((x >> 32) * s.len >> 32)];
            if ((x & 0xffff_ffff) * most >> 32 < t.endpoint(i).weight and i != @as(u32, @bitCast(not)) and !r.hasTried(i)) return @bitCast(i);
        }
        return @call(.never_inline, Table.drawCounting, .{ t, r, s, not, next(seed) }); // fuel is charged for a whole function
    }

    /// drawCounting is exact up to 256 endpoints, and beyond that among 256 in a row: it stays below the fuel of a pick.
    fn drawCounting(t: *const Table, r: *const Request, s: []const u32, not: i32, x: u64) i32 {
        var skip: [10]u32 = undefined; // what is left out, ascending as s is, and an end that no index reaches
        var skips: u32 = 0;
        while (skips <= r.n_tried) : (skips += 1) {
            const i = if (skips < r.n_tried) r.tried[skips] else @as(u32, @bitCast(not));
            var to = skips;
            while (to > 0 and skip[to - 1] > i) : (to -= 1) skip[to] = skip[to - 1];
            skip[to] = i;
        }
        skip[skips] = NONE;

        var part = s;
        if (s.len > 256) part = s[@intCast((x >> 32) * (s.len - 255) >> 32)..][0..256];
        var total: u64 = 0;
        var k: u32 = 0;
        for (part) |i| {
            while (skip[k] < i) k += 1;
            if (skip[k] != i) total += t.endpoint(i).weight;
        }
        if (total == 0) return -1;
        var rest = x % total; // uneven by no more than total / 2^64
        k = 0;
        for (part) |i| {
            while (skip[k] < i) k += 1;
            if (skip[k] == i) continue;
            const w = t.endpoint(i).weight;
            if (rest < w) return @bitCast(i);
            rest -= w;
        }
        return -1;
    }
};

comptime {
    const size_is_wrong = @sizeOf(Table) != 128 or @sizeOf(Endpoint) != 32 or @sizeOf(Request) != 256 or @sizeOf(Feedback) != 32;
    if (size_is_wrong or @offsetOf(Request, "tried") != 120 or @offsetOf(Request, "out_n") != 192) @compileError("layout");
}

/// next stretches a seed (rnd, key_hash) to further numbers: SplitMix64.
pub inline fn next(seed: *u64) u64 {
    seed.* +%= 0x9e3779b97f4a7c15;
    var z = seed.*;
    z = (z ^ z >> 30) *% 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) *% 0x94d049bb133111eb;
    return z ^ z >> 31;
}

pub fn same(a: []const u8, b: []const u8) bool {
    if (a.len != b.len) return false;
    for (a, b) |x, y| if (x != y) return false;
    return true;
}

// Memory: regions grow upwards and are never given back; their sizes double, so at most as much again is lost.
extern var __heap_base: u8;
var heap: u32 = 0;

/// bump returns len bytes, aligned to 8, or null if memory may not grow that far. Not for lb_pick: nothing is given back.
pub fn bump(len: u32) ?[*]u8 {
    if (heap == 0) heap = @intFromPtr(&__heap_base);
    const begin = (@as(u64, heap) + 7) & ~@as(u64, 7);
    const end = begin + len;
    const have = @as(u64, @wasmMemorySize(0)) << 16;
    if (end > have and @wasmMemoryGrow(0, @intCast((end - have + 0xffff) >> 16)) < 0) return null;
    heap = @intCast(end);
    return @ptrFromInt(@as(u32, @intCast(begin)));
}

export fn lb_alloc(_: i32, len: u32) ?[*]u8 {
    return bump(len);
}

/// Settings walks a configuration that is one flat JSON object of whole numbers below 2^53 and strings, without escapes:
///
///   var s = lb.Settings.init(config, len);
///   while (s.next() catch return -1) |setting| { ... }
pub const Settings = struct {
    text: []const u8,
    at: u32 = 0,

    pub const Value = union(enum) { number: u64, text: []const u8 };
    pub const Setting = struct { key: []const u8, value: Value };
    pub const Malformed = error{Malformed};

    pub fn init(config: ?[*]const u8, len: u32) Settings {
        return .{ .text = if (len == 0) "" else config.?[0..len] };
    }

    /// next gives the next pair, null at the end, an error if the text is anything else. No text at all is no settings.
    pub fn next(s: *Settings) Malformed!?Setting {
        if (s.text.len == 0) return null;
        const first = s.at == 0;
        if (first and !s.take('{')) return error.Malformed;
        if (s.take('}')) return if (s.peek() == null) null else error.Malformed;
        if (!first and !s.take(',')) return error.Malformed;
        const key = try s.string();
        if (!s.take(':')) return error.Malformed;
        return .{ .key = key, .value = if (s.peek() == '"') .{ .text = try s.string() } else .{ .number = try s.number() } };
    }

    fn peek(s: *Settings) ?u8 {
        while (s.at < s.text.len) : (s.at += 1) switch (s.text[s.at]) {
            ' ', '\t', '\n', '\r' => {},
            else => |c| return c,
        };
        return null;
    }

    fn take(s: *Settings, c: u8) bool {
        if (s.peek() != c) return false;
        s.at += 1;
        return true;
    }

    fn string(s: *Settings) Malformed![]const u8 {
        if (!s.take('"')) return error.Malformed;
        const begin = s.at;
        while (s.at < s.text.len) {
            s.at += 1;
            switch (s.text[s.at - 1]) {
                '"' => return s.text[begin .. s.at - 1],
                '\\' => return error.Malformed,
                else => {},
            }
        }
        return error.Malformed;
    }

    fn number(s: *Settings) Malformed!u64 {
        const begin = s.at;
        var x: u64 = 0;
        while (s.at < s.text.len and s.text[s.at] >= '0' and s.text[s.at] <= '9') : (s.at += 1) {
            x = x * 10 + s.text[s.at] - '0';
            if (x >> 53 != 0) return error.Malformed;
        }
        const digits = s.at - begin;
        return if (digits == 0 or digits > 1 and s.text[begin] == '0') error.Malformed else x;
    }
};

/// host has the functions of the host. One that is not used is not imported.
pub const host = struct {
    pub extern "lb" fn log(level: i32, p: [*]const u8, n: u32) void;
    pub extern "lb" fn attr(what: i32, buf: [*]u8, cap: u32) i32;
    pub extern "lb" fn header_id(p: [*]const u8, n: u32) i32;
    pub extern "lb" fn header(id: i32, buf: [*]u8, cap: u32) i32;
    pub extern "lb" fn header_hash(id: i32, seed: u64) u64;
    pub extern "lb" fn header_eq(id: i32, p: [*]const u8, n: u32) i32;
    pub extern "lb" fn cookie_hash(p: [*]const u8, n: u32, seed: u64) u64;
    pub extern "lb" fn hash64(p: [*]const u8, n: u32, seed: u64) u64;
    pub extern "lb" fn rand64() u64;
    pub extern "lb" fn now_ns() u64;
    pub extern "lb" fn ep_meta(ep: u32, k: [*]const u8, kn: u32, buf: [*]u8, cap: u32) i32;
    pub extern "lb" fn ctr_id(p: [*]const u8, n: u32) i32;
    pub extern "lb" fn ctr_add(id: i32, delta: i64) i64;
    pub extern "lb" fn ctr_cas(id: i32, old: i64, new: i64) i32;
    pub extern "lb" fn kv_get(k: [*]const u8, kn: u32, buf: [*]u8, cap: u32) i32;
    pub extern "lb" fn kv_set(k: [*]const u8, kn: u32, v: [*]const u8, vn: u32, ttl_ms: u32) i32;
    pub extern "lb" fn metric_id(kind: i32, p: [*]const u8, n: u32) i32;
    pub extern "lb" fn metric_add(id: i32, v: i64) void;
    pub extern "lb" fn set_tick(ms: u32) i32;
    pub extern "lb" fn eject(ep: u32, ms: u32) i32;
};
