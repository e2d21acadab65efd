;; An address is unsigned: -1 is far outside.
(module
  (memory 1)
  (data (i32.const -1) "x"))
