;; An imported base, but of another memory's data.
(module
  (import "env" "g" (global $g i32))
  (memory $a 1)
  (memory $b 1)
  (data (memory $b) (global.get $g) "for run time")
  (data (memory $a) (i32.const 4) "known"))
