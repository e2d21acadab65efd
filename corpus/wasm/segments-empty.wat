;; Segments of no bytes: at the begin, in the middle, at the end.
(module
  (memory 1)
  (data (i32.const 0) "")
  (data (i32.const 77) "")
  (data (i32.const 65536) "")
  (data (i32.const 5) "x"))
