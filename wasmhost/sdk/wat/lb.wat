;; lb.wat: the load balancing policy ABI, version 1, for guests in WebAssembly text. docs/ABI.md says what each field means.
;; There is nothing to include in WAT: this is a whole policy, the smallest that tries each endpoint of the first tier in its
;; order, to start from, and a list of what there is beside. Build: wat2wasm --debug-names lb.wat -o policy.wasm
;;
;; The table. Offsets (_off) count from its first byte. up[]: u32 indexes of usable endpoints, by tier, then ascending.
;;   0 magic  4 gen  8 n  12 ep_off  16 ep_stride  20 str_off  24 str_len  28 up_gen  32 n_up  36 up_off  40 tier_end[4]
;;   56 self_zone  60 flags (1 PANIC)  64 col_off[16]
;; An endpoint.
;;   0 id_hash u64  8 id  12 weight  16 tier u8  17 flags u8 (1 SAME_ZONE 2 CANARY 4 DRAINING 8 SPARE)  18 zone u16
;;   20 name_off  24 meta_off
;; Columns, u32 an endpoint, those that lb_abi_v1 asked for: 1 << (32 + column).
;;   0 HEALTH  1 INFLIGHT  2 EWMA_US  3 ERR_PPM  4 RPS_MILLI  5 CONSECUTIVE_FAIL  6 LOAD_PPM  7 HEARTBEAT_AGE_MS
;; A request; the guest may write from 192 on.
;;   0 now_ns u64  8 rnd u64  16 key_hash u64  24 seq u64  32 gen  36 up_gen  40 method u8  41 attempt u8  42 n_tried u8
;;   44 flags (1 HAS_KEY 2 REPLAYABLE 4 IDEMPOTENT 8 TLS 16 UPGRADE 32 LAST_TRY)  48 client_ip[16]  64 client_port u16
;;   66 listener u16  68 route  72 path_hash u64  80 host_hash u64  88 content_length u64  96 deadline_ms  100 elapsed_us
;;   104 last_ep  108 last_status u16  110 last_err u16  112 last_us  116 sticky_ep  120 tried[8]
;;   192 out_n  196 out_ep[8]  228 out_timeout_ms  232 out_hedge_ms  236 out_status  240 out_tag u64
;;   248 out_flags (1 SET_STICKY 2 NO_RETRY)  252 out_reason
;; A feedback record.
;;   0 tag u64  8 ep_id  12 ep  16 status u16  18 err u16  20 attempt u8  21 flags u8 (1 FINAL 2 HEDGE_LOSER 4 CLIENT_GONE 8 UNMADE)
;;   22 load_permille u16  24 ttfb_us  28 total_us
(module
  ;; What is used of the host is imported, and nothing else:
  ;; (import "lb" "log" (func $log (param $level i32) (param $p i32) (param $n i32)))
  ;; (import "lb" "attr" (func $attr (param $what i32) (param $buf i32) (param $cap i32) (result i32)))
  ;; (import "lb" "header_id" (func $header_id (param $p i32) (param $n i32) (result i32)))
  ;; (import "lb" "header" (func $header (param $id i32) (param $buf i32) (param $cap i32) (result i32)))
  ;; (import "lb" "header_hash" (func $header_hash (param $id i32) (param $seed i64) (result i64)))
  ;; (import "lb" "header_eq" (func $header_eq (param $id i32) (param $p i32) (param $n i32) (result i32)))
  ;; (import "lb" "cookie_hash" (func $cookie_hash (param $p i32) (param $n i32) (param $seed i64) (result i64)))
  ;; (import "lb" "hash64" (func $hash64 (param $p i32) (param $n i32) (param $seed i64) (result i64)))
  ;; (import "lb" "rand64" (func $rand64 (result i64)))
  ;; (import "lb" "now_ns" (func $now_ns (result i64)))
  ;; (import "lb" "ep_meta" (func $ep_meta (param $ep i32) (param $k i32) (param $kn i32) (param $buf i32) (param $cap i32) (result i32)))
  ;; (import "lb" "ctr_id" (func $ctr_id (param $p i32) (param $n i32) (result i32)))
  ;; (import "lb" "ctr_add" (func $ctr_add (param $id i32) (param $delta i64) (result i64)))
  ;; (import "lb" "ctr_cas" (func $ctr_cas (param $id i32) (param $old i64) (param $new i64) (result i32)))
  ;; (import "lb" "kv_get" (func $kv_get (param $k i32) (param $kn i32) (param $buf i32) (param $cap i32) (result i32)))
  ;; (import "lb" "kv_set" (func $kv_set (param $k i32) (param $kn i32) (param $v i32) (param $vn i32) (param $ttl_ms i32) (result i32)))
  ;; (import "lb" "metric_id" (func $metric_id (param $kind i32) (param $p i32) (param $n i32) (result i32)))
  ;; (import "lb" "metric_add" (func $metric_add (param $id i32) (param $v i64)))
  ;; (import "lb" "set_tick" (func $set_tick (param $ms i32) (result i32)))
  ;; (import "lb" "eject" (func $eject (param $ep i32) (param $ms i32) (result i32)))

  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 8))    ;; next free byte: 0 would be a refusal
  (global $table (mut i32) (i32.const 0))

  ;; 1 REPLICABLE, for it has no state; 2 would be KEEP_ORDER. No columns.
  (func (export "lb_abi_v1") (param $host_features i64) (result i64) (i64.const 1))

  ;; Any configuration but none is refused.
  (func (export "lb_init") (param $config i32) (param $len i32) (result i32)
    (select (i32.const -1) (i32.const 0) (local.get $len)))

  ;; Regions grow upwards, aligned to 8, and are never given back.
  (func (export "lb_alloc") (param $what i32) (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (local.get $at) (local.get $len)) (i32.const 7)) (i32.const -8)))
    (block $fits
      (loop $grow
        (br_if $fits (i32.le_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
        (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
        (global.set $heap (local.get $at))
        (return (i32.const 0))))
    (local.get $at))

  ;; Another topology: the table stays where it is until the next call. Here is the place to build what a pick needs.
  (func (export "lb_endpoints") (param $t i32) (result i32)
    (global.set $table (local.get $t))
    (i32.const 0))

  ;; The index of an endpoint, or -1 DEFER, -2 REJECT, -3 LIST. lb_retry has the same type, and -4 STOP beside.
  ;; up[] is in the order of tiers: its first entry that was not tried is of the first tier that has one left.
  (func (export "lb_pick") (param $r i32) (result i32)
    (local $at i32) (local $left i32) (local $ep i32)
    (local.set $at (i32.add (global.get $table) (i32.load offset=36 (global.get $table))))       ;; up_off
    (local.set $left (i32.load offset=32 (global.get $table)))                                    ;; n_up
    (loop $next
      (if (i32.eqz (local.get $left)) (then (return (i32.const -1))))
      (local.set $ep (i32.load (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $next (call $tried (local.get $r) (local.get $ep))))
    (local.get $ep))

  ;; Optional, and called if they are there:
  ;; (func (export "lb_retry") (param $r i32) (result i32) ...)                          after a failed attempt
  ;; (func (export "lb_feedback") (param $records i32) (param $n i32) (param $now_ns i64) ...)
  ;; (func (export "lb_tick") (param $now_ns i64) ...)                                   after set_tick in lb_init
  ;; (func (export "lb_save") (param $buf i32) (param $cap i32) (result i32) ...)        bytes written, 0 for no state
  ;; (func (export "lb_restore") (param $buf i32) (param $len i32) (result i32) ...)     0 ok, < 0 refused

  (func $tried (param $r i32) (param $ep i32) (result i32)
    (local $k i32)
    (local.set $k (i32.load8_u offset=42 (local.get $r)))                                         ;; n_tried
    (loop $next
      (if (i32.eqz (local.get $k)) (then (return (i32.const 0))))
      (local.set $k (i32.sub (local.get $k) (i32.const 1)))
      (br_if $next (i32.ne (local.get $ep)
        (i32.load offset=120 (i32.add (local.get $r) (i32.shl (local.get $k) (i32.const 2))))))   ;; tried[k]
    )
    (i32.const 1)))
