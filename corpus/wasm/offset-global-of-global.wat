;; A global over an imported one, which no offset names, and data at a constant.
(module
  (import "env" "g" (global $g i32))
  (memory 1)
  (global $h i32 (global.get $g))
  (data (i32.const 9) "constant"))
