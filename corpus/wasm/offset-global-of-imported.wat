;; An offset over a global over an imported one.
(module
  (import "env" "g" (global $g i32))
  (memory 1)
  (global $h i32 (global.get $g))
  (data (global.get $h) "x"))
