;; Offsets that name globals of the module.
(module
  (memory 1)
  (global $base i32 (i32.const 1024))
  (global $mutable (mut i32) (i32.const 5))
  (global $next i32 (i32.const 2048))
  (data (global.get $base) "at the base")
  (data (global.get $next) "at the next"))
