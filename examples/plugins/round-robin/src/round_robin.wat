;; Each endpoint of the first usable tier has its turn, in the order of up[]. The smallest whole policy: what the ABI asks
;; for and nothing else. README.md says more; docs/ABI.md explains the offsets.
(module
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 8))   ;; next free byte; 0 would mean refusal
  (global $table (mut i32) (i32.const 0))
  (global $turn (mut i32) (i32.const 0))

  ;; No flags, no live columns.
  (func (export "lb_abi_v1") (param i64) (result i64) (i64.const 0))

  ;; Any configuration but none is refused.
  (func (export "lb_init") (param $config i32) (param $len i32) (result i32)
    (select (i32.const -1) (i32.const 0) (local.get $len)))

  (func (export "lb_endpoints") (param $t i32) (result i32)
    (global.set $table (local.get $t))
    (i32.const 0))

  ;; Bump allocation, aligned to 8. Growth by a page at a time is enough arithmetic for a file like this.
  (func (export "lb_alloc") (param $what i32) (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap
      (i32.and (i32.add (i32.add (local.get $at) (local.get $len)) (i32.const 7)) (i32.const -8)))
    (block $fits
      (loop $grow
        (br_if $fits (i32.le_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
        (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
        (global.set $heap (local.get $at))
        (return (i32.const 0))))
    (local.get $at))

  (func $tried (param $r i32) (param $ep i32) (result i32)
    (local $k i32)
    (local.set $k (i32.load8_u offset=42 (local.get $r)))                     ;; n_tried
    (loop $next
      (if (i32.eqz (local.get $k)) (then (return (i32.const 0))))
      (local.set $k (i32.sub (local.get $k) (i32.const 1)))
      (br_if $next
        (i32.ne (local.get $ep)
          (i32.load offset=120 (i32.add (local.get $r) (i32.shl (local.get $k) (i32.const 2)))))))
    (i32.const 1))

  (func (export "lb_pick") (param $r i32) (result i32)
    (local $up i32) (local $tier i32) (local $begin i32) (local $n i32) (local $k i32) (local $left i32) (local $ep i32)
    (local.set $up (i32.add (global.get $table) (i32.load offset=36 (global.get $table))))
    (loop $next_tier
      ;; n: endpoints of this tier, up[begin] the first of them
      (local.set $n
        (i32.sub
          (i32.load offset=40 (i32.add (global.get $table) (i32.shl (local.get $tier) (i32.const 2))))
          (local.get $begin)))
      (if (local.get $n)
        (then
          (local.set $k (i32.rem_u (global.get $turn) (local.get $n)))
          (local.set $left (local.get $n))
          (loop $next_endpoint
            (local.set $ep
              (i32.load (i32.add (local.get $up) (i32.shl (i32.add (local.get $begin) (local.get $k)) (i32.const 2)))))
            (if (i32.eqz (call $tried (local.get $r) (local.get $ep)))
              (then
                (global.set $turn (i32.add (global.get $turn) (i32.const 1)))
                (return (local.get $ep))))
            (local.set $k (i32.add (local.get $k) (i32.const 1)))
            (if (i32.eq (local.get $k) (local.get $n)) (then (local.set $k (i32.const 0))))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $next_endpoint (local.get $left)))))
      (local.set $begin (i32.add (local.get $begin) (local.get $n)))
      (local.set $tier (i32.add (local.get $tier) (i32.const 1)))
      (br_if $next_tier (i32.lt_u (local.get $tier) (i32.const 4))))
    (i32.const -1)))                                                          ;; DEFER: nothing is left
