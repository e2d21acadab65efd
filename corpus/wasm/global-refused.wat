;; An offset over a mutable global, which validation rejects.
(module
  (memory 1)
  (global $g (mut i32) (i32.const 3))
  (data (global.get $g) "x"))
