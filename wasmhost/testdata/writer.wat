;; writer writes to standard error as a runtime does that panics: in pieces, several of them in one call or one, and traps.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 4096))
  (data (i32.const 64) "panic: oh dear\n\ngoroutine 1 [running]:\nmain.pick()")
  (func $lb_abi_v1 (export "lb_abi_v1") (param i64) (result i64) (i64.const 0))
  (func $lb_alloc (export "lb_alloc") (param $what i32) (param $len i32) (result i32)
    (global.set $heap (i32.and (i32.add (i32.add (global.get $heap) (local.get $len)) (i32.const 7)) (i32.const -8)))
    (i32.and (i32.sub (global.get $heap) (local.get $len)) (i32.const -8)))
  (func $lb_init (export "lb_init") (param i32 i32) (result i32)
    (call $say (i32.const 1) (i32.const 64) (i32.const 5))      ;; "panic" to standard output: a line of its own
    (i32.const 0))
  (func $lb_endpoints (export "lb_endpoints") (param i32) (result i32) (i32.const 0))
  (func $say (param $fd i32) (param $at i32) (param $n i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $n))
    (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $lb_pick (export "lb_pick") (param i32) (result i32)
    (call $say (i32.const 2) (i32.const 64) (i32.const 7))      ;; "panic: "
    (call $say (i32.const 2) (i32.const 71) (i32.const 7))      ;; "oh dear"
    (call $say (i32.const 2) (i32.const 78) (i32.const 12))     ;; ends, an empty line, "goroutine "
    (call $say (i32.const 2) (i32.const 90) (i32.const 23))     ;; "1 [running]:", ends, "main.pick("
    (call $say (i32.const 2) (i32.const 113) (i32.const 1))     ;; ")"
    (unreachable)))
