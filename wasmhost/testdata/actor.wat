;; A guest that plays the part its config names: byte 0 says what lb_pick does, byte 1 lb_retry, byte 2 lb_endpoints,
;; byte 3 lb_alloc, byte 4 lb_init. A missing byte is 'r', the honest part: round robin by seq over
;; up[], without those tried. lb_pick and lb_retry play theirs from seq 1000 on only, so that a dry run passes;
;; lb_endpoints in tables of more than five endpoints.
(module
  (import "lb" "hash64" (func $hash64 (param i32 i32 i64) (result i64)))
  (import "lb" "rand64" (func $rand64 (result i64)))
  (import "lb" "now_ns" (func $now_ns (result i64)))
  (import "lb" "log" (func $log (param i32 i32 i32)))
  (import "lb" "attr" (func $attr (param i32 i32 i32) (result i32)))
  (import "lb" "header_id" (func $header_id (param i32 i32) (result i32)))
  (import "lb" "header" (func $header (param i32 i32 i32) (result i32)))
  (import "lb" "header_hash" (func $header_hash (param i32 i64) (result i64)))
  (import "lb" "header_eq" (func $header_eq (param i32 i32 i32) (result i32)))
  (import "lb" "cookie_hash" (func $cookie_hash (param i32 i32 i64) (result i64)))
  (import "lb" "ep_meta" (func $ep_meta (param i32 i32 i32 i32 i32) (result i32)))
  (import "lb" "ctr_id" (func $ctr_id (param i32 i32) (result i32)))
  (import "lb" "ctr_add" (func $ctr_add (param i32 i64) (result i64)))
  (import "lb" "ctr_cas" (func $ctr_cas (param i32 i64 i64) (result i32)))
  (import "lb" "kv_get" (func $kv_get (param i32 i32 i32 i32) (result i32)))
  (import "lb" "metric_id" (func $metric_id (param i32 i32 i32) (result i32)))
  (import "lb" "metric_add" (func $metric_add (param i32 i64)))
  (memory (export "memory") 1)
  (data (i32.const 16) "X-Uservpicks")        ;; 16 "X-User", 22 "v", 23 "picks"
  (global $part (mut i32) (i32.const 0))      ;; the config, 8 bytes at 64
  (global $table (mut i32) (i32.const 0))
  (global $heap (mut i32) (i32.const 1024))
  (global $ctr (mut i32) (i32.const -1))
  (global $metric (mut i32) (i32.const -1))
  (global $early (mut i32) (i32.const 0))     ;; what header() and attr() answered in lb_init

  (func $recurse (param i32) (result i32) local.get 0 i32.const 1 i32.add call $recurse i32.const 1 i32.add)

  (func $play (param $part i32) (param $req i32) (result i32)
    (if (i32.eq (local.get $part) (i32.const 114)) (then (return (call $honest (local.get $req)))))
    (if (i32.eq (local.get $part) (i32.const 108)) (then (loop $l br $l)))                                  ;; l: loop
    (if (i32.eq (local.get $part) (i32.const 82)) (then (return (call $recurse (i32.const 0)))))            ;; R: recurse
    (if (i32.eq (local.get $part) (i32.const 117)) (then unreachable))                                      ;; u: trap
    (if (i32.eq (local.get $part) (i32.const 105)) (then (return (i32.const 1000000))))                     ;; i: bad index
    (if (i32.eq (local.get $part) (i32.const 110)) (then (return (i32.const -77))))                         ;; n: bad return
    (if (i32.eq (local.get $part) (i32.const 100)) (then (return (i32.const -1))))                          ;; d: defer
    (if (i32.eq (local.get $part) (i32.const 83)) (then (return (i32.const -4))))                           ;; S: stop
    (if (i32.eq (local.get $part) (i32.const 106)) (then                                                    ;; j: reject 429
      (i32.store offset=236 (local.get $req) (i32.const 429)) (return (i32.const -2))))
    (if (i32.eq (local.get $part) (i32.const 74)) (then                                                     ;; J: reject 200
      (i32.store offset=236 (local.get $req) (i32.const 200)) (return (i32.const -2))))
    (if (i32.eq (local.get $part) (i32.const 76)) (then                                                     ;; L: list 2, 99, 1, 0
      (i32.store offset=192 (local.get $req) (i32.const 4))
      (i32.store offset=196 (local.get $req) (i32.const 2))
      (i32.store offset=200 (local.get $req) (i32.const 99))
      (i32.store offset=204 (local.get $req) (i32.const 1))
      (return (i32.const -3))))
    (if (i32.eq (local.get $part) (i32.const 77)) (then                                                     ;; M: list of 9
      (i32.store offset=192 (local.get $req) (i32.const 9)) (return (i32.const -3))))
    (if (i32.eq (local.get $part) (i32.const 78)) (then                                                     ;; N: list of garbage
      (i32.store offset=192 (local.get $req) (i32.const 8))
      (memory.fill (i32.add (local.get $req) (i32.const 196)) (i32.const 0xee) (i32.const 32))
      (return (i32.const -3))))
    (if (i32.eq (local.get $part) (i32.const 122)) (then (return (i32.const 0))))                           ;; z: always 0
    (if (i32.eq (local.get $part) (i32.const 103)) (then                                                    ;; g: grow for ever
      (loop $l (drop (memory.grow (i32.const 1))) br $l)))
    (if (i32.eq (local.get $part) (i32.const 71)) (then                                                     ;; G: grow by 4 G pages
      (drop (memory.grow (i32.const -1)))))
    (if (i32.eq (local.get $part) (i32.const 104)) (then                                                    ;; h: hash much
      (loop $l (drop (call $hash64 (i32.const 0) (i32.const 65536) (i64.const 1))) br $l)))
    (if (i32.eq (local.get $part) (i32.const 72)) (then                                                     ;; H: hash 64 KiB once
      (drop (call $hash64 (i32.const 0) (i32.const 65536) (i64.const 1)))))
    (if (i32.eq (local.get $part) (i32.const 112)) (then                                                    ;; p: pointer outside
      (drop (call $hash64 (i32.const 65000) (i32.const 1000) (i64.const 1)))))
    (if (i32.eq (local.get $part) (i32.const 102)) (then                                                    ;; f: flood the log
      (loop $l (call $log (i32.const 2) (i32.const 16) (i32.const 6)) br $l)))
    (if (i32.eq (local.get $part) (i32.const 119)) (then                                                    ;; w: scribble over the table
      (memory.fill (global.get $table) (i32.const 0xff) (i32.const 128))))
    (if (i32.eq (local.get $part) (i32.const 111)) (then                                                    ;; o: every output
      (i32.store offset=228 (local.get $req) (i32.const 250))
      (i32.store offset=232 (local.get $req) (i32.const 20))
      (i64.store offset=240 (local.get $req) (i64.const 0x1122334455667788))
      (i32.store offset=248 (local.get $req) (i32.const 3))
      (i32.store offset=252 (local.get $req) (i32.const 42))))
    (if (i32.eq (local.get $part) (i32.const 70)) (then (call $functions (local.get $req))))                ;; F: host functions
    (if (i32.eq (local.get $part) (i32.const 66)) (then                                                     ;; B: grow a page, then write there
      (drop (memory.grow (i32.const 1)))))
    (call $honest (local.get $req)))

  ;; Puts what host functions answer where the test can see it: tag, timeout, hedge, reason.
  (func $functions (param $req i32)
    (i64.store offset=240 (local.get $req)
      (i64.xor (call $header_hash (i32.const 0) (i64.const 7)) (call $cookie_hash (i32.const 22) (i32.const 1) (i64.const 7))))
    (i32.store offset=228 (local.get $req) (call $ep_meta (i32.const 1) (i32.const 22) (i32.const 1) (i32.const 128) (i32.const 64)))
    (i32.store offset=232 (local.get $req) (i32.wrap_i64 (call $ctr_add (global.get $ctr) (i64.const 1))))
    (call $metric_add (global.get $metric) (i64.const 2))
    (i32.store offset=252 (local.get $req)
      (i32.add (i32.add
        (call $header (i32.const 0) (i32.const 128) (i32.const 64))
        (i32.mul (i32.const 100) (call $attr (i32.const 7) (i32.const 200) (i32.const 64))))
        (i32.mul (i32.const 10000) (call $header_eq (i32.const 0) (i32.const 128) (i32.const 5)))))
    (if (i32.ne (call $kv_get (i32.const 16) (i32.const 4) (i32.const 300) (i32.const 8)) (i32.const -1)) (then unreachable))
    (if (i32.ne (global.get $early) (i32.const -3)) (then unreachable))
    (if (i32.ne (call $header_id (i32.const 16) (i32.const 6)) (i32.const -3)) (then unreachable))
    (if (i32.ne (call $header (i32.const 9) (i32.const 128) (i32.const 64)) (i32.const -2)) (then unreachable))
    (if (i32.ne (call $ctr_cas (i32.const 5) (i64.const 0) (i64.const 1)) (i32.const -2)) (then unreachable))
    (if (i64.ne (call $now_ns) (i64.load (local.get $req))) (then unreachable)))

  (func $honest (param $req i32) (result i32)
    (local $n i32) (local $k i32) (local $left i32) (local $ep i32) (local $t i32)
    (local.set $n (i32.load offset=32 (global.get $table)))
    (if (i32.eqz (local.get $n)) (then (return (i32.const -1))))
    (local.set $k (i32.wrap_i64 (i64.rem_u (i64.load offset=24 (local.get $req)) (i64.extend_i32_u (local.get $n)))))
    (local.set $left (local.get $n))
    (loop $next
      (local.set $ep (i32.load (i32.add (i32.add (global.get $table) (i32.load offset=36 (global.get $table)))
        (i32.shl (local.get $k) (i32.const 2)))))
      (local.set $t (i32.const 0))
      (block $tried
        (loop $tries
          (if (i32.ge_u (local.get $t) (i32.load8_u offset=42 (local.get $req))) (then (return (local.get $ep))))
          (br_if $tried (i32.eq (local.get $ep)
            (i32.load offset=120 (i32.add (local.get $req) (i32.shl (local.get $t) (i32.const 2))))))
          (local.set $t (i32.add (local.get $t) (i32.const 1)))
          (br $tries)))
      (local.set $k (i32.add (local.get $k) (i32.const 1)))
      (if (i32.eq (local.get $k) (local.get $n)) (then (local.set $k (i32.const 0))))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $next (local.get $left)))
    (i32.const -1))

  (func $answer (param $which i32) (param $req i32) (result i32)
    (if (i64.lt_u (i64.load offset=24 (local.get $req)) (i64.const 1000)) (then (return (call $honest (local.get $req)))))
    (call $play (i32.load8_u offset=64 (local.get $which)) (local.get $req)))

  (func (export "lb_abi_v1") (param i64) (result i64) (i64.const 0x0002_0000_0000)) ;; wants inflight
  (func (export "lb_alloc") (param $what i32) (param $len i32) (result i32)
    (local $p i32)
    (if (i32.eq (local.get $what) (i32.const 2)) (then
      (if (i32.eq (i32.load8_u (i32.const 67)) (i32.const 111)) (then (return (i32.const 1024))))      ;; o: overlap
      (if (i32.eq (i32.load8_u (i32.const 67)) (i32.const 101)) (then (return (i32.const 65528))))     ;; e: past the end
      (if (i32.eq (i32.load8_u (i32.const 67)) (i32.const 109)) (then (return (i32.const 4)))) ;; m: misaligned
      (if (i32.eq (i32.load8_u (i32.const 67)) (i32.const 48)) (then (return (i32.const 0))))))        ;; 0: refuse
    (local.set $p (global.get $heap))
    (global.set $heap (i32.and (i32.add (i32.add (local.get $p) (local.get $len)) (i32.const 7)) (i32.const -8)))
    (block $fits (loop $grow
      (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
      (return (i32.const 0))))
    (local.get $p))
  (func (export "lb_init") (param $cfg i32) (param $len i32) (result i32)
    (memory.fill (i32.const 64) (i32.const 114) (i32.const 8))
    (memory.copy (i32.const 64) (local.get $cfg) (select (local.get $len) (i32.const 8) (i32.lt_u (local.get $len) (i32.const 8))))
    (if (i32.eq (i32.load8_u (i32.const 68)) (i32.const 110)) (then (return (i32.const -9))))           ;; n: reject
    (if (i32.eq (i32.load8_u (i32.const 68)) (i32.const 108)) (then (loop $l br $l)))                  ;; l: loop
    (drop (call $header_id (i32.const 16) (i32.const 6)))
    (global.set $ctr (call $ctr_id (i32.const 23) (i32.const 5)))
    (global.set $metric (call $metric_id (i32.const 0) (i32.const 23) (i32.const 5)))
    (global.set $early (call $attr (i32.const 1) (i32.const 128) (i32.const 64)))
    (drop (call $rand64))
    (i32.const 0))
  (func (export "lb_endpoints") (param $table i32) (result i32)
    (global.set $table (local.get $table))
    (if (i32.gt_u (i32.load offset=8 (local.get $table)) (i32.const 5)) (then
      (if (i32.eq (i32.load8_u (i32.const 66)) (i32.const 117)) (then unreachable))
      (if (i32.eq (i32.load8_u (i32.const 66)) (i32.const 108)) (then (loop $l br $l)))
      (if (i32.eq (i32.load8_u (i32.const 66)) (i32.const 119)) (then                                         ;; w: log
        (call $log (i32.const 1) (i32.const 23) (i32.const 5))))
      (if (i32.eq (i32.load8_u (i32.const 66)) (i32.const 110)) (then (return (i32.const -1))))))
    (i32.const 0))
  (func (export "lb_pick") (param $req i32) (result i32) (call $answer (i32.const 0) (local.get $req)))
  (func (export "lb_retry") (param $req i32) (result i32) (call $answer (i32.const 1) (local.get $req))))
