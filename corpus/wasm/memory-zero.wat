;; A memory that begins empty, and an empty segment at its very end.
(module
  (memory 0)
  (data (i32.const 0) ""))
