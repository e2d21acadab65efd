;; Globals of every type, and an offset over the last one.
(module
  (memory 1)
  (func $f)
  (global f32 (f32.const 1.5))
  (global (mut f64) (f64.const -0.1))
  (global v128 (v128.const i64x2 0x0b0b0b0b 0x0b))
  (global funcref (ref.null func))
  (global funcref (ref.func $f))
  (global externref (ref.null extern))
  (global i64 (i64.const 11))
  (global $place i32 (i32.const 267))
  (data (global.get $place) "found"))
